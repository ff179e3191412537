// Lesson 3: one step of attention taken apart: query, keys, scores, weights, context, for four scores.
import { Frame, checkbox, choice, fetchJson, line, number, onColours, slider, svg, text } from "./figure.js";
import { SCORES, apply, mean, softmax } from "./scores.js";

const KINDS = [["concat", "additive"], ["dot", "dot"], ["general", "general"], ["scaled_dot", "scaled dot"]];
const FORMULAS = {
  concat: ["v", "tanh(W q + U k)", "score = v · tanh(W q + U k)"],
  dot: ["q", "keys k", "score = q · k"],
  general: ["q", "W k", "score = q · W k"],
  scaled_dot: ["q", "keys k", "score = q · k / √d"],
};
const CELL = 18; // height of a number
const shown = (token) => (token === "</s>" ? "⏎" : token);

// Every score is a dot product of one vector on the left with one vector per source token.
export function parts(kind, query, keys, parameters) {
  if (kind === "concat") {
    const fromQuery = apply(parameters["query.weight"], query);
    const columns = keys.map((key) => apply(parameters["key.weight"], key).map((value, place) => Math.tanh(value + fromQuery[place])));
    return { left: parameters["score.weight"][0], columns, scores: SCORES.additive(query, keys, parameters) };
  }
  const columns = kind === "general" ? keys.map((key) => apply(parameters["key.weight"], key)) : keys;
  return { left: query, columns, scores: SCORES[kind](query, keys, parameters) };
}

export async function draw(place, { score = "dot" }) {
  const measured = await fetchJson("figures/scores.json");
  const state = { kind: score, sentence: 0, step: 1, factor: 1, isScaled: true };
  const frame = new Frame(place, {
    name: "scores",
    caption: "A decoder is about to write the marked digit. Each column belongs to a source token. The score of a column is the dot product of the vector on the left with the vector in the column; softmax turns the scores into weights; the context is the mean of the keys, weighted by them.",
    note: "Numbers of four trained models (luong2015, 16 units), one for each score.",
  }, paint);
  const step = slider("Output token", { min: 1, max: 5, value: 1, show: (value) => `${value}: ${shown(current().output[value - 1])}` }, (value) => {
    state.step = value;
    frame.refresh();
  });
  const scaled = checkbox("divide by √d = 4", true, (isChecked) => {
    state.isScaled = isChecked;
    frame.refresh();
  });
  const select = (change) => {
    Object.assign(state, change);
    scaled.hidden = state.kind !== "scaled_dot";
    scaled.style.display = scaled.hidden ? "none" : "";
    const { length } = current().output;
    state.step = Math.min(state.step, length);
    step.set(state.step, { max: length });
    frame.refresh();
  };
  frame.controls.append(
    choice("Score", KINDS, score, (kind) => select({ kind })),
    choice("Source", measured[score].sentences.map(({ source }, index) => [index, source.slice(0, -1).join("")]), 0, (sentence) => select({ sentence })),
    step.element,
    slider("Multiply the query by", { min: 0, max: 4, step: 0.25, value: 1, show: (value) => number(value) }, (factor) => select({ factor })).element,
    scaled,
  );
  select({});
  onColours(() => frame.refresh());

  function current() {
    return measured[state.kind].sentences[state.sentence];
  }

  function paint(width) {
    const { kind } = state;
    const { source, output, queries, keys } = current();
    const query = queries[state.step - 1].map((value) => value * state.factor);
    const computed = parts(kind, query, keys, measured[kind].parameters);
    const scores = kind === "scaled_dot" && !state.isScaled ? computed.scores.map((value) => value * Math.sqrt(query.length)) : computed.scores;
    const weights = softmax(scores);
    const context = mean(weights, keys);
    const column = Math.min(118, width / (source.length + 2.4));
    const x = (place) => column * (place + 1.2);
    const end = x(source.length) + column * 0.2;
    const [left, middle, formula] = FORMULAS[kind];
    const children = [];
    paintOutput(children, output, width);
    let y = 86;
    children.push(text(column / 2, y, left, "strong", "middle"), text(x(source.length / 2), y, middle, "strong", "middle"), text(end + column / 2, y, "context", "strong", "middle"));
    y += 24;
    source.forEach((token, at) => children.push(text(x(at + 0.5), y, shown(token), "mono title", "middle")));
    y += 10;
    paintVector(children, computed.left, 0, y, column - 4, "a");
    computed.columns.forEach((vector, at) => paintVector(children, vector, x(at), y, column - 4, "b", 0.12 + 0.88 * Math.sqrt(weights[at])));
    paintVector(children, context, end, y, column - 4, "c");
    y += CELL * context.length + 30;
    children.push(text(0, y, kind === "scaled_dot" && !state.isScaled ? "score = q · k" : formula, "strong"));
    y = paintRow(children, scores, x, y, column, "b", (value) => number(value, column < 44 ? 1 : 2));
    children.push(text(0, y + 30, "weight = softmax of the scores", "strong"));
    children.push(text(end + column - 4, y + 30, `sum = ${number(weights.reduce((sum, weight) => sum + weight, 0), 3)}`, "small strong", "end"));
    y = paintRow(children, weights, x, y + 30, column, "c", (value) => number(value, column < 44 ? 2 : 3), 1);
    const best = weights.indexOf(Math.max(...weights));
    frame.report(`Scores from ${number(Math.min(...scores))} to ${number(Math.max(...scores))}. The largest weight, ${number(weights[best], 3)}, is on source token ${best + 1} (${shown(source[best])}).`);
    return { height: y + 10, label: `Attention with the score ${kind} for output token ${state.step}: ${source.map((token, at) => `${shown(token)} score ${number(scores[at])}, weight ${number(weights[at], 3)}`).join("; ")}.`, children };
  }

  function paintOutput(children, output, width) {
    children.push(text(0, 16, "output", "small quiet"));
    output.forEach((token, at) => {
      const left = 78 + 26 * at;
      const isNext = at === state.step - 1;
      if (isNext) children.push(svg("rect", { x: left - 12, y: -2, width: 24, height: 26, rx: 4, class: "frame" }));
      children.push(text(left, 16, shown(token), `mono title ${at < state.step ? "" : "quiet"}`, "middle"));
    });
    children.push(line(0, 40, width, 40));
  }

  // The numbers of a vector in coloured cells.
  function paintVector(children, vector, x, y, width, kind, opacity = 1) {
    const limit = 1.2;
    vector.forEach((value, place) => {
      const top = y + CELL * place;
      const share = Math.min(1, Math.abs(value) / limit);
      children.push(svg("rect", { x, y: top, width, height: CELL - 1, class: value > 0 ? "bar plus" : "bar minus", opacity: 0.5 * share }));
      children.push(svg("text", { x: x + width / 2, y: top + 13, class: "cell mono", "text-anchor": "middle" }, number(value, width < 38 ? 1 : 2)));
    });
    children.push(svg("rect", { x, y, width, height: CELL * vector.length - 1, class: `outline ${kind}`, "stroke-width": 1 + 2.5 * (opacity === 1 ? 0.4 : opacity) }));
  }

  // A row of bars with their numbers, aligned with the columns.
  function paintRow(children, values, x, y, column, kind, show, fixed = 0) {
    const isSigned = values.some((value) => value < 0);
    const limit = fixed || Math.max(1, ...values.map(Math.abs));
    const room = 54;
    const zero = y + 26 + room;
    children.push(line(x(0), zero, x(values.length), zero, "frame"));
    values.forEach((value, at) => {
      const height = (room * Math.abs(value)) / limit;
      children.push(svg("rect", { x: x(at) + column * 0.18, y: value < 0 ? zero : zero - height, width: column * 0.6, height, class: `bar ${kind}` }));
      children.push(text(x(at) + column * 0.48, value < 0 ? zero + height + 15 : zero - height - 6, show(value), "small", "middle"));
    });
    const deepest = Math.max(0, ...values.map((value) => (value < 0 ? (room * -value) / limit : 0)));
    return zero + (isSigned ? deepest + 22 : 6);
  }
}
