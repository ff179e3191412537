// Lesson 7: quality by beam size, and what the model thinks of the empty output, measured on test sentences.
import { Frame, choice, fetchJson, group, line, number, onColours, percent, svg, text } from "./figure.js";

const RULES = [["plain", "allow_empty = true", "a"], ["not_empty", "allow_empty = false", "b"], ["average", "average 1, allow_empty = true", "c"]];
const MODELS = [["phrases", "label smoothing 0.1"], ["phrases-unsmoothed", "no smoothing"]];
const MEASURES = [["right", "right translations"], ["best", "the most probable translation"], ["empty", "empty outputs"]];

export async function draw(place) {
  const measured = await fetchJson("figures/search.json");
  const state = { model: MODELS[0][0], measure: MEASURES[0][0] };
  const frame = new Frame(place, {
    name: "silence",
    caption: "Above: the share of outputs by beam size, for sentences of 3 clauses. An output is right if the grammar can make it; the most probable translation is that of the grammar. Below: the mean log-probability of the output of a beam of 4, of the empty output, and how often exact search returns the empty output, by number of clauses.",
    note: `Measured on ${measured.sentences} test sentences of each number of clauses.`,
  }, paint);
  const choose = (key) => (value) => {
    state[key] = value;
    frame.refresh();
  };
  frame.controls.append(choice("Training with", MODELS, state.model, choose("model")), choice("Share of", MEASURES, state.measure, choose("measure")));
  onColours(() => frame.refresh());

  function paint(width) {
    const [above, below] = [paintBeams(width), paintSilence(width)];
    const { silence, beams } = measured.models[state.model];
    frame.report(`Share of ${MEASURES.find(([key]) => key === state.measure)[1]}, beam of 1 and of ${measured.beam_sizes.at(-1)}, allow_empty = true: ${[beams.plain[0], beams.plain.at(-1)].map((at) => percent(at[state.measure])).join(" and ")}. Exact search is empty on ${silence.map(({ exact }) => percent(exact.empty)).join(", ")} of the sentences of ${measured.clauses.join(", ")} clauses.`);
    return { height: above.height + below.height + 20, label: "Quality by beam size, and log-probability of the empty output by number of clauses; the numbers are in the text below.", children: [...above.children, group(0, above.height + 20, ...below.children)] };
  }

  // Lines over places of equal distance: series are { values, kind, shape }.
  function chart({ width, top, height, ticks, show, range: [low, high], places, unit, series }) {
    const [left, right, bottom] = [52, width - 12, top + height];
    const x = (at) => left + ((at + 0.5) / places.length) * (right - left);
    const y = (value) => bottom - ((value - low) / (high - low)) * height;
    const children = ticks.flatMap((tick) => [line(left, y(tick), right, y(tick)), text(left - 8, y(tick) + 4, show(tick), "small quiet", "end")]);
    const every = places.length > 8 && width < 480 ? 2 : 1;
    places.forEach((name, at) => at % every === 0 && children.push(text(x(at), bottom + 18, String(name), "small quiet", "middle")));
    children.push(text((left + right) / 2, bottom + 36, unit, "small quiet", "middle"));
    for (const { values, kind, shape } of series) {
      children.push(svg("polyline", { points: values.map((value, at) => `${x(at)},${y(value)}`).join(" "), class: `line ${kind}` }));
      values.forEach((value, at) => children.push(mark(shape, x(at), y(value), kind)));
    }
    return { children, x, bottom };
  }

  function mark(shape, x, y, kind) {
    if (shape === 0) return svg("rect", { x: x - 3.5, y: y - 3.5, width: 7, height: 7, class: `dot ${kind}` });
    if (shape === 1) return svg("circle", { cx: x, cy: y, r: 4, class: `dot ${kind}` });
    return svg("path", { d: `M${x - 5},${y + 4} L${x + 5},${y + 4} L${x},${y - 5} Z`, class: `dot ${kind}` });
  }

  function legend(entries, width, y) {
    const isWide = width >= 640;
    return entries.flatMap(([label, kind], at) => {
      const [x, row] = isWide ? [at * 230, y] : [0, y + 18 * at];
      return [mark(at, x + 5, row - 4, kind), text(x + 16, row, label, `small ${kind}`)];
    });
  }

  function paintBeams(width) {
    const { beams } = measured.models[state.model];
    const top = width >= 640 ? 56 : 92;
    const { children, bottom } = chart({
      width, top, height: 150, ticks: [0, 0.5, 1], show: percent, range: [0, 1], places: measured.beam_sizes, unit: "beam_size",
      series: RULES.map(([rule, , kind], shape) => ({ kind, shape, values: beams[rule].map((at) => at[state.measure]) })),
    });
    const title = `Share of ${MEASURES.find(([key]) => key === state.measure)[1]}, by beam size`;
    return { height: bottom + 44, children: [text(0, 14, title, "strong"), ...legend(RULES.map(([, label, kind]) => [label, kind]), width, 36), ...children] };
  }

  function paintSilence(width) {
    const { silence } = measured.models[state.model];
    const values = [silence.map(({ beam }) => beam.log_probability), silence.map(({ empty }) => empty)];
    const low = Math.floor(Math.min(...values.flat()) / 5) * 5;
    const top = width >= 640 ? 56 : 74;
    const ticks = Array.from({ length: Math.min(5, -low / 5) + 1 }, (_, at) => (low / Math.min(5, -low / 5)) * at);
    const { children, x, bottom } = chart({
      width, top, height: 150, ticks, show: (tick) => number(tick, 0), range: [low, 0], places: measured.clauses, unit: "clauses",
      series: [{ kind: "b", shape: 0, values: values[0] }, { kind: "a", shape: 1, values: values[1] }],
    });
    children.push(text(0, bottom + 62, "Exact search returns the empty output on", "small strong"));
    silence.forEach(({ exact }, at) => children.push(text(x(at), bottom + 84, percent(exact.empty), "strong", "middle")));
    const entries = [["output of a beam of 4", "b"], ["empty output", "a"]];
    return { height: bottom + 94, children: [text(0, 14, "Mean log-probability, by number of clauses", "strong"), ...legend(entries, width, 36), ...children] };
  }
}
