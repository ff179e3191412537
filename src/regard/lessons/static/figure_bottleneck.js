// Lesson 1: what the encoder hands to the decoder, and what comes out, as the source grows; quality by length.
import { Frame, button, choice, fetchJson, group, heatmap, html, line, onColours, percent, slider, svg, text, wrap } from "./figure.js";
import { Model } from "./runtime.js";

const SYSTEMS = [["cho2014", "a"], ["bahdanau2014", "b"]];
const UNITS = { digits: ["digit", "digits"], dates: ["date", "dates"] };
const RUN = "run"; // the task of the reader's own run, which `regard lesson RUN` serves
const STRIP = 96; // height of a vector
const GAP = 32;

export async function draw(place, { task = "digits" }) {
  const measured = await fetchJson("figures/bottleneck.json");
  const models = Object.fromEntries(Object.keys(measured).map((name) =>
    [name, SYSTEMS.map(([system]) => new Model(`models/${name}-${system}`))]));
  const hasRun = document.documentElement.dataset.run === RUN;
  const run = hasRun ? new Model("../run") : null;
  let systems = SYSTEMS;
  if (hasRun) models[RUN] = [run];
  const examples = hasRun ? await fetchJson("../run/examples.json") : [];
  const state = { task: hasRun ? RUN : task, length: 5, example: 0, step: 1, results: null, source: "", target: null, turn: 0 };

  const frame = new Frame(place, {
    name: "bottleneck",
    caption: "Each strip is a vector of the encoder, one number per row: blue above zero, orange below. cho2014 hands its decoder the single strip at the end, at every length. bahdanau2014 hands over all of them, and its decoder chooses among them at each output token; the bars show the choice. The sign ⏎ is the end token.",
    note: "Both models run in this page. Quality: measured on 200 test lines of each length, greedy search.",
  }, paint);
  const length = slider("Length of the source", { min: 1, max: 24, value: state.length, show: (value) => `${value} ${UNITS[state.task]?.[value === 1 ? 0 : 1] ?? ""}` }, (value) => {
    Object.assign(state, { length: value, example: 0 });
    useExample();
  });
  const step = slider("Output token", { min: 1, max: 2, value: 1 }, (value) => {
    state.step = value;
    frame.refresh();
  });
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    Object.assign(state, { source: field.value, target: null });
    translate();
  } });
  frame.controls.append(
    choice("Task", [["digits", "reversed digits"], ["dates", "dates"], ...(hasRun ? [[RUN, "your run"]] : [])], state.task, changeTask),
    length.element,
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    step.element,
  );
  onColours(() => frame.refresh());
  changeTask(state.task);

  function changeTask(value) {
    Object.assign(state, { task: value, example: 0, length: value === "digits" ? 5 : 1, results: null });
    systems = value === RUN ? [["your run", "c"]] : SYSTEMS;
    length.element.style.display = value === RUN ? "none" : "";
    if (value !== RUN) {
      const { sizes } = measured[value];
      length.set(state.length, { min: sizes[0], max: sizes.at(-1) });
    }
    useExample();
  }

  function useExample() {
    if (state.task === RUN) [state.source, state.target] = [examples[state.example % examples.length] ?? "", null];
    else {
      const { sizes, examples: all } = measured[state.task];
      const ofLength = all[sizes.indexOf(state.length)];
      [state.source, state.target] = ofLength[state.example % ofLength.length];
    }
    field.value = state.source;
    translate();
  }

  async function translate() {
    state.turn += 1;
    const { turn, source, task: name } = state;
    if (!source.trim()) return;
    if (!state.results) frame.report("Loading the models…");
    try {
      const manifest = name === RUN ? await run.load() : null;
      const named = manifest ? [[manifest.architecture, "c"]] : SYSTEMS;
      const [, layers, heads] = manifest?.step.outputs.find((output) => output.name === "attention")?.shape ?? [1, 1, 1];
      const results = await Promise.all(models[name].map(async (model) => {
        const [encoded, hypotheses] = [await model.encode(source), await model.translate(source, { beam_size: 1 })];
        return { ...encoded, ...hypotheses[0], handed: vectorsOf(encoded), hasHeads: layers * heads > 1 };
      }));
      if (turn !== state.turn) return; // the reader has moved on
      systems = named;
      const expected = state.target ?? (name === "digits" ? [...source].reverse().join("") : null);
      Object.assign(state, { results, expected });
      const longest = Math.max(...results.map(({ outputPieces }) => outputPieces.length));
      state.step = Math.min(state.step, longest);
      step.set(state.step, { max: longest });
      frame.report(results.map(({ output }, place) => `${systems[place][0]}: ${output || "nothing"}${expected === null ? "" : output === expected ? ", right" : ", wrong"}`).join(". ") + ".");
      frame.refresh();
    } catch (error) {
      frame.report(`The models cannot be run: ${error.message}`, true);
    }
  }

  function paint(width) {
    const isWide = width >= 640;
    const panel = isWide && systems.length > 1 ? (width - GAP) / 2 : width;
    const children = [];
    let height = 0;
    const heights = systems.map((system, place) => {
      const drawn = paintPanel(panel, system, state.results?.[place]);
      const [x, y] = isWide ? [place * (panel + GAP), 0] : [0, height];
      children.push(group(x, y, ...drawn.children));
      height += isWide ? 0 : drawn.height + 12;
      return drawn.height;
    });
    if (isWide) height = Math.max(...heights);
    if (state.task === RUN) return { height, label: `The encoder's vectors and the output for the source ${state.source}.`, children };
    const chart = paintChart(width);
    children.push(group(0, height + 14, ...chart.children));
    return { height: height + 14 + chart.height, label: describe(), children };
  }

  function describe() {
    const { sizes, exact } = measured[state.task];
    const at = sizes.indexOf(state.length);
    return `The encoder's vectors and the outputs of both systems for the source ${state.source}. Share of right outputs at this length: ${SYSTEMS.map(([name]) => `${name} ${percent(exact[name][at])}`).join(", ")}.`;
  }

  function paintPanel(width, [name, kind], result) {
    const children = [text(0, 16, name, `title ${kind}`)];
    if (!result) return { height: 250, children: [...children, text(0, 60, "loading the model…", "quiet")] };
    const { pieces, handed, outputPieces, attention } = result;
    if (!handed) return { height: 190, children: paintTextOnly(children, width, result) };
    const { vectors, note } = handed;
    const cell = Math.min(30, width / pieces.length);
    const size = vectors[0].length;
    children.push(text(0, 36, vectors.length === 1 ? `one vector of ${size} numbers` : `${vectors.length} vectors of ${size} numbers: ${(vectors.length * size).toLocaleString("en")}`, "small quiet"));
    let top = 66;
    for (const part of wrap(note, width)) {
      children.push(text(0, top - 12, part, "small quiet"));
      top += 18;
    }
    const isNarrow = pieces.every((piece) => [...piece].length === 1 || piece === "</s>");
    if (cell >= 9.5 && isNarrow) pieces.forEach((piece, place) => children.push(text(cell * (place + 0.5), top - 8, piece === "</s>" ? "⏎" : piece, "mono", "middle")));
    else children.push(text(0, top - 8, `${pieces.length} source tokens, left to right`, "small quiet"));
    const most = Math.max(...vectors.flat().map(Math.abs));
    const limit = most > 1 ? most / 2 : 1;
    if (vectors.length === 1) {
      const strip = Math.max(cell, 12);
      const left = Math.max(0, cell * pieces.length - strip);
      if (left > 4) children.push(svg("rect", { x: 0.5, y: top + 0.5, width: left - 1, height: STRIP - 1, class: "rule", "stroke-dasharray": "3 3" }));
      if (left > 70) children.push(text(left / 2, top + STRIP / 2 + 5, left > 110 ? "read, not kept" : "not kept", "small quiet", "middle"));
      children.push(heatmap(place, vectors, left, top, strip, STRIP, limit), svg("rect", { x: left, y: top, width: strip, height: STRIP, class: "frame" }));
    } else {
      const across = cell * pieces.length; // ByteNet's memory may have more positions than the source
      children.push(heatmap(place, vectors, 0, top, across, STRIP, limit), svg("rect", { x: 0, y: top, width: across, height: STRIP, class: "frame" }));
      if (cell >= 6 && vectors.length === pieces.length) for (let column = 1; column < pieces.length; column += 1) children.push(line(cell * column, top, cell * column, top + STRIP));
    }
    const below = top + STRIP + 6;
    const step = Math.min(state.step, outputPieces.length) - 1;
    if (attention) {
      attention[step].forEach((weight, place) => {
        const bar = 34 * weight;
        children.push(svg("rect", { x: cell * place + cell * 0.12, y: below, width: cell * 0.76, height: Math.max(0, bar), class: `bar ${kind}` }));
      });
      children.push(line(0, below, cell * pieces.length, below));
      if (result.hasHeads) children.push(text(0, below + 50, "mean weights of all layers and heads", "small quiet"));
    } else {
      const reading = note ? "the decoder starts from this vector" : vectors.length === 1 ? "the same vector at every output token" : "no attention: each output token reads the vector at its place";
      wrap(reading, width).forEach((part, row) => children.push(text(0, below + 16 + 18 * row, part, "small quiet")));
    }
    let y = below + (attention && result.hasHeads ? 76 : 58);
    children.push(text(0, y, "output", "small quiet"));
    y = paintOutput(children, width, y + 20, outputPieces, step, state.expected);
    if (state.expected !== null && result.output !== state.expected) {
      children.push(text(0, y + 4, "right would be", "small quiet"));
      y = paintOutput(children, width, y + 24, [...state.expected], -1, null);
    }
    return { height: y + 8, children };
  }

  // A model whose memory has another form: only what it writes.
  function paintTextOnly(children, width, { outputPieces }) {
    children.push(text(0, 36, "its encoder's vectors have a form that this figure does not draw", "small quiet"));
    paintOutput(children, width, 70, outputPieces, -1, null);
    return children;
  }

  // Characters in rows; those that differ from the expected ones are coloured and underlined.
  function paintOutput(children, width, y, pieces, step, expected) {
    if (pieces.some((piece) => piece !== "</s>" && [...piece].length > 1)) return paintPieces(children, width, y, pieces, step);
    const cell = 14;
    const perRow = Math.max(8, Math.floor(width / cell));
    const right = expected === null ? null : [...expected];
    pieces.forEach((piece, place) => {
      const [x, row] = [cell * (place % perRow), y + 25 * Math.floor(place / perRow)];
      const shown = piece === "</s>" ? "⏎" : piece.replace("▁", " ");
      const isWrong = right !== null && (piece === "</s>" ? place < right.length : piece.replace("▁", " ") !== right[place]);
      if (place === step) children.push(svg("rect", { x: x, y: row - 15, width: cell, height: 20, rx: 3, class: "frame" }));
      children.push(text(x + cell / 2, row, shown, `mono ${isWrong ? "wrong strong" : ""}`, "middle"));
      if (isWrong) children.push(svg("rect", { x: x + 2, y: row + 4, width: cell - 4, height: 2, class: "bar wrong" }));
    });
    return y + 25 * Math.ceil(pieces.length / perRow);
  }

  // Words or subwords in rows, each as wide as its letters in a font of fixed width.
  function paintPieces(children, width, y, pieces, step) {
    let [left, row] = [0, y];
    pieces.forEach((piece, place) => {
      const shown = piece === "</s>" ? "⏎" : piece;
      const room = [...shown].length * 8.6 + 10;
      if (left + room > width) [left, row] = [0, row + 27];
      if (place === step) children.push(svg("rect", { x: left, y: row - 16, width: room - 3, height: 22, rx: 3, class: "frame" }));
      children.push(text(left + 4, row, shown, "mono"));
      left += room;
    });
    return row + 25;
  }

  function paintChart(width) {
    const { sizes, exact, trained_to: trained } = measured[state.task];
    const [left, right, top, bottom] = width < 480 ? [44, width - 8, 52, 202] : [44, width - 120, 34, 184];
    const x = (size) => left + ((size - sizes[0]) / (sizes.at(-1) - sizes[0])) * (right - left);
    const y = (share) => bottom - share * (bottom - top);
    const unit = UNITS[state.task][1];
    const children = [text(0, 14, "Share of right outputs, by length of the source", "strong")];
    const half = (x(sizes[1]) - x(sizes[0])) / 2;
    children.push(svg("rect", { x: x(trained) + half, y: top - 8, width: right - x(trained) - half, height: bottom - top + 8, class: "band" }));
    const room = right - x(trained) - half;
    if (room > 60) children.push(text(x(trained) + half + 5, y(0.2), room > 150 ? "longer than in training" : "longer", "small quiet"));
    for (const share of [0, 0.5, 1]) children.push(line(left, y(share), right, y(share)), text(left - 8, y(share) + 4, percent(share), "small quiet", "end"));
    const every = sizes.length > 10 ? (width < 480 ? 6 : 4) : 1;
    for (const size of sizes) if (size === 1 || size % every === 0) children.push(text(x(size), bottom + 18, String(size), "small quiet", "middle"));
    children.push(text((left + right) / 2, bottom + 36, unit, "small quiet", "middle"));
    children.push(svg("line", { x1: x(state.length), x2: x(state.length), y1: top - 8, y2: bottom, class: "dash quiet" }));
    SYSTEMS.forEach(([name, kind], number) => {
      const points = sizes.map((size, place) => `${x(size)},${y(exact[name][place])}`).join(" ");
      children.push(svg("polyline", { points, class: `line ${kind}` }));
      sizes.forEach((size, place) => {
        const at = { class: `dot ${kind}` };
        children.push(number ? svg("circle", { ...at, cx: x(size), cy: y(exact[name][place]), r: 4 }) : svg("rect", { ...at, x: x(size) - 3.5, y: y(exact[name][place]) - 3.5, width: 7, height: 7 }));
      });
    });
    paintNames(children, { width, right, y, exact });
    return { height: bottom + 46, children };
  }

  function paintNames(children, { width, right, y, exact }) {
    const ends = SYSTEMS.map(([name]) => y(exact[name].at(-1)) + 5);
    if (width < 480) {
      children.push(svg("rect", { x: 44, y: 26, width: 7, height: 7, class: "dot a" }), text(56, 34, "cho2014", "small a"));
      children.push(svg("circle", { cx: 140, cy: 30, r: 4, class: "dot b" }), text(149, 34, "bahdanau2014", "small b"));
      return;
    }
    if (Math.abs(ends[0] - ends[1]) < 17) [ends[0], ends[1]] = ends[0] > ends[1] ? [ends[1] + 17, ends[1]] : [ends[0], ends[0] + 17];
    SYSTEMS.forEach(([name, kind], place) => children.push(text(right + 10, ends[place], name, `small strong ${kind}`)));
  }
}

// What an encoder hands to its decoder, as vectors: one for each source token, or a single one. `note` says which of the
// tensors they are where there are several; `isAttended` is false for vectors that are read without attention.
export function vectorsOf({ memory }) {
  const columnsOf = ({ dims, data }, note = "") => {
    const count = dims[1] ?? 1;
    const size = data.length / count;
    return { vectors: Array.from({ length: count }, (_, place) => data.slice(place * size, (place + 1) * size)), note };
  };
  if (memory.summary) return columnsOf({ dims: [1], data: memory.summary.data });
  if (memory["source.values"]) return columnsOf(memory["source.values"]);
  const layers = Object.keys(memory).filter((name) => /^source\.layers\.\d+\.values$/.test(name));
  if (layers.length) return columnsOf(memory[layers.at(-1)], `the values of layer ${layers.length}; each of ${layers.length} layers has its own keys and values`);
  const states = Object.keys(memory).filter((name) => /^layers\.\d+\.\d+$/.test(name));
  if (!states.length) return null;
  return columnsOf({ dims: [1], data: states.flatMap((name) => memory[name].data) }, `the last states (h and c) of ${states.length / 2} layers`);
}
