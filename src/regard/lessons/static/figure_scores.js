// Lesson 3: one step of attention taken apart: query, keys, scores, weights, context, for four scores.
import { Frame, checkbox, choice, fetchJson, heatmap, html, line, number, onColours, slider, svg, text } from "./figure.js";
import { SCORES, apply, dot, mean, softmax } from "./scores.js";

const KINDS = [["concat", "additive"], ["dot", "dot"], ["general", "general"], ["scaled_dot", "scaled dot"]];
const FORMULAS = {
  concat: ["v", "tanh(W q + U k)", "score = v · tanh(W q + U k)"],
  dot: ["q", "keys k", "score = q · k"],
  general: ["q", "W k", "score = q · W k"],
  scaled_dot: ["q", "keys k", "score = q · k / √d"],
};
const RUN = "run"; // the reader's own run, which `regard lesson RUN` serves
const CELL = 18; // height of a number
const MOST_NUMBERS = 24; // of a vector whose numbers are written out; longer ones are drawn as strips
const STRIP = 150; // height of a strip
const LETTER = 9.7; // width of a letter of a token
const shown = (token) => (token === "</s>" ? "⏎" : token);

// Every score is a dot product of one vector on the left with one vector per source token. `projected` has W q and U k, or
// W k, of a run whose matrices are too large for a page.
export function parts(kind, query, keys, parameters, projected = null) {
  if (projected) {
    const columns = kind === "concat" ? projected.keys.map((key) => key.map((value, place) => Math.tanh(value + projected.query[place]))) : projected.keys;
    const left = kind === "concat" ? parameters["score.weight"][0] : query;
    return { left, columns, scores: columns.map((column) => dot(left, column) / (kind === "scaled_dot" ? Math.sqrt(query.length) : 1)) };
  }
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
  const run = document.documentElement.dataset.run === RUN ? await fetchJson("../run/scores.json") : null;
  if (run && !run.reason) measured[RUN] = run;
  const state = { model: score, sentence: 0, step: 1, factor: 1, isScaled: true };
  const frame = new Frame(place, {
    name: "scores",
    caption: "The decoder is about to write the marked token. Each column belongs to a source token. The score of a column is the dot product of the vector on the left with the vector in the column; softmax turns the scores into weights; the context is the mean of the keys, weighted by them.",
    note: `Numbers of four trained models (luong2015, 16 units), one for each score.${measured[RUN] ? ` “Your run” is ${run.architecture}, with sources of its dev set.` : ""}${run?.reason ? ` Your run is not shown: ${run.reason}.` : ""}`,
  }, paint);
  const step = slider("Output token", { min: 1, max: 5, value: 1, show: (value) => `${value}: ${shown(current().output[value - 1])}` }, (value) => {
    state.step = value;
    frame.refresh();
  });
  const scaled = checkbox("divide by √d = 4", true, (isChecked) => {
    state.isScaled = isChecked;
    frame.refresh();
  });
  const sources = html("div");
  const select = (change) => {
    Object.assign(state, change);
    scaled.hidden = kindOf(state.model) !== "scaled_dot";
    scaled.style.display = scaled.hidden ? "none" : "";
    const { length } = current().output;
    state.step = Math.min(state.step, length);
    step.set(state.step, { max: length });
    frame.refresh();
  };
  const selectModel = (model) => {
    const isOther = (model === RUN) !== (state.model === RUN) || !sources.hasChildNodes();
    state.model = model;
    if (isOther) {
      state.sentence = 0;
      const titles = measured[model].sentences.map(({ source, text: written }, index) => [index, written ?? source.slice(0, -1).join("")]);
      sources.replaceChildren(choice("Source", titles, 0, (sentence) => select({ sentence })));
    }
    select({});
  };
  frame.controls.append(
    choice("Score", [...KINDS, ...(measured[RUN] ? [[RUN, "your run"]] : [])], score, selectModel),
    sources,
    step.element,
    slider("Multiply the query by", { min: 0, max: 4, step: 0.25, value: 1, show: (value) => number(value) }, (factor) => select({ factor })).element,
    scaled,
  );
  selectModel(score);
  onColours(() => frame.refresh());

  function kindOf(model) {
    return measured[model].kind ?? model;
  }

  function current() {
    return measured[state.model].sentences[state.sentence];
  }

  function compute() {
    const kind = kindOf(state.model);
    const { queries, keys, projected_keys: projectedKeys, projected_queries: projectedQueries } = current();
    const times = (vector) => vector?.map((value) => value * state.factor);
    const query = times(queries[state.step - 1]);
    const projected = projectedKeys && { keys: projectedKeys, query: times(projectedQueries?.[state.step - 1]) };
    const { left, columns, scores: divided } = parts(kind, query, keys, measured[state.model].parameters, projected);
    const scores = kind === "scaled_dot" && !state.isScaled ? divided.map((value) => value * Math.sqrt(query.length)) : divided;
    const weights = softmax(scores);
    return { kind, left, columns, scores, weights, context: mean(weights, keys) };
  }

  function paint(room) {
    const { source, output } = current();
    const { kind, left: leftVector, columns, scores, weights, context } = compute();
    const width = Math.max(room, state.model === RUN ? 40 * (source.length + 2.4) : 0); // a wide figure scrolls
    const column = Math.min(118, width / (source.length + 2.4));
    const x = (place) => column * (place + 1.2);
    const end = x(source.length) + column * 0.2;
    const [left, middle, formula] = FORMULAS[kind];
    const children = [];
    let y = paintOutput(children, output, room) + 30;
    const size = (vector) => (vector.length > MOST_NUMBERS ? ` (${vector.length})` : "");
    const [edge, from, to] = size(leftVector) ? [column - 4, "start", "end"] : [column / 2, "middle", "middle"];
    children.push(text(size(leftVector) ? 0 : edge, y, `${left}${size(leftVector)}`, "strong", from), text(x(source.length / 2), y, `${middle}${size(columns[0])}`, "strong", "middle"), text(end + edge, y, `context${size(context)}`, "strong", to));
    y += 24;
    y = paintTokens(children, source, x, y, column);
    paintVector(children, leftVector, 0, y, column - 4, "a");
    columns.forEach((vector, at) => paintVector(children, vector, x(at), y, column - 4, "b", 0.12 + 0.88 * Math.sqrt(weights[at])));
    paintVector(children, context, end, y, column - 4, "c");
    y += Math.max(...[leftVector, columns[0], context].map(heightOf)) + 30;
    children.push(text(0, y, kind === "scaled_dot" && !state.isScaled ? "score = q · k" : formula, "strong"));
    y = paintRow(children, scores, x, y, column, "b", (value) => number(value, column < 44 ? 1 : 2));
    children.push(text(0, y + 30, "weight = softmax of the scores", "strong"));
    children.push(text(end + column - 4, y + 30, `sum = ${number(weights.reduce((sum, weight) => sum + weight, 0), 3)}`, "small strong", "end"));
    y = paintRow(children, weights, x, y + 30, column, "c", (value) => number(value, column < 44 ? 2 : 3), 1);
    const best = weights.indexOf(Math.max(...weights));
    frame.report(`Scores from ${number(Math.min(...scores))} to ${number(Math.max(...scores))}. The largest weight, ${number(weights[best], 3)}, is on source token ${best + 1} (${shown(source[best])}).`);
    return { width, height: y + 10, label: `Attention with the score ${kind} for output token ${state.step}: ${source.map((token, at) => `${shown(token)} score ${number(scores[at])}, weight ${number(weights[at], 3)}`).join("; ")}.`, children };
  }

  // The output, each token as wide as its letters, in lines; returns where it ends.
  function paintOutput(children, output, width) {
    children.push(text(0, 16, "output", "small quiet"));
    let [left, y] = [65, 16];
    output.forEach((token, at) => {
      const room = Math.max(26, LETTER * [...shown(token)].length + 12);
      if (left + room > width) [left, y] = [65, y + 30];
      if (at === state.step - 1) children.push(svg("rect", { x: left + 1, y: y - 18, width: room - 2, height: 26, rx: 4, class: "frame" }));
      children.push(text(left + room / 2, y, shown(token), `mono title ${at < state.step ? "" : "quiet"}`, "middle"));
      left += room;
    });
    children.push(line(0, y + 24, width, y + 24));
    return y + 40;
  }

  // The source tokens above their columns, slanted if one is wider than a column.
  function paintTokens(children, source, x, y, column) {
    const longest = Math.max(...source.map((token) => [...shown(token)].length));
    if (longest * LETTER <= column) {
      source.forEach((token, at) => children.push(text(x(at + 0.5), y, shown(token), "mono title", "middle")));
      return y + 10;
    }
    const bottom = y + longest * LETTER * 0.75;
    source.forEach((token, at) => children.push(svg("text", { transform: `translate(${x(at + 0.5)} ${bottom}) rotate(-50)`, class: "mono title" }, shown(token))));
    return bottom + 8;
  }

  function heightOf(vector) {
    return vector.length > MOST_NUMBERS ? STRIP : CELL * vector.length;
  }

  // The numbers of a vector in coloured cells, or a strip if there are many.
  function paintVector(children, vector, x, y, width, kind, opacity = 1) {
    const limit = 1.2;
    const border = { x, y, width, class: `outline ${kind}`, "stroke-width": 1 + 2.5 * (opacity === 1 ? 0.4 : opacity) };
    if (vector.length > MOST_NUMBERS) {
      children.push(heatmap(place, [vector], x, y, width, STRIP, limit), svg("rect", { ...border, height: STRIP }));
      return;
    }
    vector.forEach((value, place) => {
      const top = y + CELL * place;
      const share = Math.min(1, Math.abs(value) / limit);
      children.push(svg("rect", { x, y: top, width, height: CELL - 1, class: value > 0 ? "bar plus" : "bar minus", opacity: 0.5 * share }));
      children.push(svg("text", { x: x + width / 2, y: top + 13, class: "cell mono", "text-anchor": "middle" }, number(value, width < 38 ? 1 : 2)));
    });
    children.push(svg("rect", { ...border, height: CELL * vector.length - 1 }));
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
