// Lesson 2: the film of a training. What one sentence attends to at each checkpoint, with loss, weights and quality.
import { Frame, button, choice, fetchJson, group, heatmap, html, line, number, onColours, percent, slider, svg, text } from "./figure.js";

const PARTS = [["year", "a"], ["month", "c"], ["day", "d"]];
const ROWS = { year: [0, 4], month: [5, 7], day: [8, 10] }; // of a date in ISO form
const SYSTEMS = [["bahdanau2014", "bahdanau2014"], ["transformer2017", "transformer2017"]];
const PAUSE = 250; // milliseconds between checkpoints
const GAP = 36;
const LOWEST_LOSS = 0.003; // of the chart, which is logarithmic
const shown = (token) => (token === "</s>" ? "⏎" : token);

export async function draw(place) {
  const { films, sentences, pairs } = await fetchJson("figures/alignment.json");
  const state = { system: SYSTEMS[0][0], sentence: 0, at: 0, timer: null };
  const film = () => films[state.system];
  const last = films[state.system].step.length - 1;
  const frame = new Frame(place, {
    name: "alignment",
    caption: "In the picture, rows are output tokens and columns are source tokens. The stronger the colour of a cell, the larger the weight (in proportion to its square root, so that small weights are visible). For these pictures, the decoder is given the right output so far. Of transformer2017, the mean over all layers and heads is shown. Boxes mark the source word that each digit comes from: year, month, day. Below them is what the model writes by itself at this checkpoint. Losses below 0.003 are drawn as 0.003. The sign ⏎ is the end token.",
    note: `Measured at each checkpoint on ${pairs} dates that are not in the training data.${document.documentElement.dataset.run ? " Your run is not shown: it keeps its last two checkpoints and the best one, too few for a film." : ""}`,
  }, paint);
  const play = button("Play", () => (state.timer === null ? start() : stop()));
  const steps = slider("Checkpoint", { min: 0, max: last, value: 0, show: (at) => `step ${film().step[at]}` }, (at) => {
    stop();
    show(at);
  });
  const step = (label, sign, change) => {
    const element = button(sign, () => {
      stop();
      show(state.at + change);
    });
    element.ariaLabel = label;
    return element;
  };
  frame.controls.append(
    choice("Model", SYSTEMS.filter(([name]) => name in films), state.system, (system) => {
      state.system = system;
      show(state.at);
    }),
    choice("Source", sentences.map(({ source }, at) => [at, source.slice(0, -1).join("")]), 0, (at) => {
      state.sentence = at;
      show(state.at);
    }),
    html("div", { style: "display: flex; gap: 0.5rem" }, play, step("Previous checkpoint", "‹", -1), step("Next checkpoint", "›", 1)), steps.element,
  );
  onColours(() => frame.refresh());
  show(0);
  playOnceWhenSeen();

  function show(at) {
    state.at = Math.max(0, Math.min(last, at));
    steps.set(state.at);
    frame.report(describe());
    frame.refresh();
  }

  function start() {
    if (state.at === last) show(0);
    play.textContent = "Pause";
    frame.status.setAttribute("aria-live", "off");  // a screen reader would read every frame
    state.timer = setInterval(() => (state.at === last ? stop() : show(state.at + 1)), PAUSE);
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = "Play";
    frame.status.setAttribute("aria-live", "polite");
    frame.report(describe());
  }

  // Readers who prefer reduced motion start the film themselves.
  function playOnceWhenSeen() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const observer = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      if (state.at === 0 && state.timer === null) start();
    }, { threshold: 0.6 });
    observer.observe(frame.drawing);
  }

  function describe() {
    const { step, loss, exact, part_share: shares } = film();
    const { at } = state;
    const weights = PARTS.map(([part]) => `${part} ${percent(shares[at][part])}`).join(", ");
    return `Step ${step[at]}: loss ${number(loss[at])}, right outputs ${percent(exact[at])}. Weight on the right word: ${weights}.`;
  }

  function paint(width) {
    const isWide = width >= 760;
    const mapWidth = isWide ? Math.round((width - GAP) * 0.56) : width;
    const map = paintMap(mapWidth, isWide ? 32 : 22);
    const charts = paintCharts(isWide ? width - GAP - mapWidth : width);
    const children = [...map.children, group(isWide ? mapWidth + GAP : 0, isWide ? 0 : map.height + 24, ...charts.children)];
    const height = isWide ? Math.max(map.height, charts.height) : map.height + 24 + charts.height;
    return { height, label: `Attention of ${state.system} for ${sentences[state.sentence].source.slice(0, -1).join("")}. ${describe()}`, children };
  }

  function paintMap(width, lowest) {
    const { source, target, spans } = sentences[state.sentence];
    const weights = film().maps[state.at][state.sentence]; // in thousandths
    const [left, top] = [26, 52];
    const cell = Math.min(30, (width - left) / source.length);
    const [across, down] = [cell * source.length, Math.max(lowest, cell)];
    const children = [text(0, 16, `${state.system}, step ${film().step[state.at]}`, "strong")];
    const kindOf = (limits, at) => PARTS.find(([part]) => at >= limits[part][0] && at < limits[part][1])?.[1] ?? "quiet";
    source.forEach((token, at) => children.push(text(left + cell * (at + 0.5), top - 9, shown(token), `mono ${kindOf(spans, at)}`, "middle")));
    target.forEach((token, at) => children.push(text(left - 12, top + down * (at + 0.5) + 5, shown(token), `mono ${kindOf(ROWS, at)}`, "middle")));
    const columns = source.map((_, column) => weights.map((row) => Math.sqrt(row[column] / 1000)));
    const height = down * target.length;
    children.push(heatmap(place, columns, left, top, across, height), svg("rect", { x: left, y: top, width: across, height, class: "frame" }));
    for (const [part, kind] of PARTS) {
      const [[from, to], [first, end]] = [spans[part], ROWS[part]];
      children.push(svg("rect", { x: left + cell * from, y: top + down * first, width: cell * (to - from), height: down * (end - first), rx: 3, class: `outline ${kind}`, "stroke-width": 2 }));
    }
    const below = top + height + 34;
    children.push(text(0, below, "the model writes", "small quiet"));
    paintOutput(children, below + 24, Math.floor(width / 14) - 1);
    return { height: below + 36, children };
  }

  // What the model writes by itself; characters that differ from the right ones are coloured and underlined.
  function paintOutput(children, y, room) {
    const { target } = sentences[state.sentence];
    const output = [...film().outputs[state.at][state.sentence]];
    const cut = output.length > Math.min(room, 30) ? [...output.slice(0, Math.min(room, 30) - 1), "…"] : output;
    if (!output.length) children.push(text(0, y, "nothing", "quiet"));
    cut.forEach((token, at) => {
      const isWrong = token !== target[at];
      children.push(text(14 * at + 7, y, token, `mono ${isWrong ? "wrong strong" : ""}`, "middle"));
      if (isWrong) children.push(svg("rect", { x: 14 * at + 2, y: y + 4, width: 10, height: 2, class: "bar wrong" }));
    });
  }

  function paintCharts(width) {
    const { loss, part_share: shares, exact, entropy, even_entropy: largest } = film();
    const uniform = state.system === "bahdanau2014" ? films.uniform?.loss : null;
    const parts = [
      paintChart(width, "Loss, nats per token, on a logarithmic scale", [0.01, 0.1, 1], String, [
        ...(uniform ? [{ name: "weights kept equal", kind: "quiet", values: uniform, isDashed: true }] : []),
        { name: "loss", kind: "b", values: loss },
      ], LOWEST_LOSS),
      paintChart(width, "Weight on the right word", [0, 0.5, 1], percent, PARTS.map(([part, kind]) => ({ name: part, kind, values: shares.map((share) => share[part]) }))),
      paintChart(width, "Quality, and how even the weights are", [0, 0.5, 1], percent, [
        { name: "right outputs", kind: "b", values: exact },
        { name: "entropy ÷ largest entropy", kind: "a", values: entropy.map((bits, at) => bits / largest[at]), isDashed: true },
      ]),
    ];
    let y = 0;
    const children = parts.map((part) => {
      y += part.height;
      return group(0, y - part.height, ...part.children);
    });
    return { height: y, children };
  }

  // With `lowest`, the scale is logarithmic, and smaller values are drawn there.
  function paintChart(width, title, ticks, show, curves, lowest = null) {
    const { step } = film();
    const [left, right, top, bottom] = [44, width - 8, 46, 138];
    const x = (at) => left + (step[at] / step[last]) * (right - left);
    const scale = lowest === null ? (value) => value : (value) => Math.log(Math.max(value, lowest) / lowest);
    const highest = Math.max(...[...ticks, ...curves.flatMap(({ values }) => values)].map(scale));
    const y = (value) => bottom - (scale(value) / highest) * (bottom - top);
    const children = [text(0, 14, title, "strong")];
    let legend = 0;
    for (const { name, kind, isDashed } of curves) {
      children.push(svg("line", { x1: legend, x2: legend + 18, y1: 29, y2: 29, class: `line ${kind}`, "stroke-dasharray": isDashed ? "5 4" : undefined }));
      children.push(text(legend + 24, 33, name, `small ${kind}`));
      legend += 40 + 6.8 * name.length;
    }
    for (const tick of ticks) children.push(line(left, y(tick), right, y(tick)), text(left - 8, y(tick) + 4, show(tick), "small quiet", "end"));
    for (const share of [0, 0.25, 0.5, 0.75, 1]) children.push(text(left + share * (right - left), bottom + 17, String(share * step[last]), "small quiet", share === 1 ? "end" : "middle"));
    children.push(svg("line", { x1: x(state.at), x2: x(state.at), y1: top - 4, y2: bottom, class: "dash" }));
    for (const { kind, values, isDashed } of curves) {
      children.push(svg("polyline", { points: values.map((value, at) => `${x(at)},${y(value)}`).join(" "), class: `line ${kind}`, "stroke-dasharray": isDashed ? "5 4" : undefined }));
      children.push(svg("circle", { cx: x(state.at), cy: y(values[state.at]), r: 4.5, class: `dot ${kind}` }));
    }
    return { height: bottom + 34, children };
  }
}
