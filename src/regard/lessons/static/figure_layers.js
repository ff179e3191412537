// Lesson 6: the same sentence after every layer: how tokens change, and what the output layer would write already.
import { Frame, choice, heatmap, line, number, onColours, slider, svg, text } from "./figure.js";
import { addSource, columnsOf, rowsOf, shown, statesOf } from "./trace.js";

const PARTS = [["decoder", "decoder: what would it write?"], ["encoder", "encoder: who is similar to whom?"]];
const MEASURES = [["own", "own input"], ["near", "same word"], ["far", "other words"]];
const MOST_STATES = 10; // of a deeper model, only the end of each layer is shown

export async function draw(place) {
  const state = { trace: null, part: "decoder", level: 0, token: 0 };
  const frame = new Frame(place, {
    name: "layers",
    caption: "Decoder: a row is a position, a column a place in the model, from the input to the last layer. A cell is the most probable token if the output layer read the vector there; the stronger the colour, the more probable. Bold, with ✓: the token that the whole model writes; below, how many. Encoder: cosine similarity of the vectors of all pairs of tokens after the chosen step, blue above zero, orange below, and means over all tokens.",
    note: "All numbers are computed in this page by onnxruntime-web.",
  }, paint);
  frame.drawing.before(frame.status);
  const level = slider("After", { min: 0, max: 1, value: 0, show: (value) => levels()[value]?.title ?? "" }, (value) => {
    state.level = value;
    refresh();
  });
  const token = slider("Token", { min: 1, max: 2, value: 1 }, (value) => {
    state.token = value - 1;
    refresh();
  });
  await addSource(frame, (trace) => {
    const isFirst = !state.trace;
    state.trace = trace;
    if (isFirst) state.token = Math.min(5, trace.inputs.length - 1); // the first digit of a month
    setLimits();
    refresh();
  });
  frame.controls.append(choice("Part", PARTS, state.part, (part) => {
    Object.assign(state, { part, level: 0, token: 0 });
    setLimits();
    refresh();
  }), level.element, token.element);
  onColours(() => frame.refresh());
  setLimits();

  // The places of the chosen part at which vectors are compared.
  function levels() {
    if (!state.trace) return [];
    const all = statesOf(state.part, state.trace.sizes);
    return all.length > MOST_STATES ? all.filter(({ isLast }) => isLast) : all;
  }

  function labels() {
    const { trace, part } = state;
    return part === "encoder" ? [...trace.pieces.slice(0, -1), "</s>"] : trace.outputPieces.slice(0, trace.inputs.length);
  }

  function setLimits() {
    level.element.style.display = state.part === "encoder" ? "" : "none";
    if (!state.trace) return;
    state.token = Math.min(state.token, labels().length - 1);
    state.level = Math.min(state.level, levels().length - 1);
    level.set(state.level, { max: levels().length - 1 });
    token.set(state.token + 1, { max: labels().length });
  }

  function refresh() {
    if (!state.trace) return;
    if (state.part === "encoder") {
      const { title, means } = similarities(state.trace, levels())[state.level];
      const parts = [["own", "its own input"], ["near", "its own word"], ["far", "other words"]].filter(([key]) => !Number.isNaN(means[key])); // there may be one word
      const list = new Intl.ListFormat("en").format(parts.map(([key, name]) => `${number(means[key])} to ${name}`));
      frame.report(`After “${title}”, the mean similarity of a token is ${list}.`);
    } else {
      const right = agreement(state.trace, levels());
      const { trace } = state;
      const chain = levels().map(({ name }) => shown(trace.lens[name][state.token].best[0].piece)).join(" ");
      frame.report(`Output: ${trace.output || "nothing"}. Token ${state.token + 1} would be, from the input to the last layer: ${chain}. Tokens that are already those of the output: ${right.join(", ")} of ${trace.inputs.length}.`);
    }
    frame.refresh();
  }

  function paint(width) {
    if (!state.trace) return { height: 480, label: "The model is loading.", children: [text(0, 40, "loading the model…", "quiet")] };
    const children = [];
    const height = state.part === "encoder" ? paintEncoder(children, width) : paintDecoder(children, width);
    return { height, label: `${frame.status.textContent} A table of ${labels().length} tokens and ${levels().length} places in the model.`, children };
  }

  // Titles of columns, slanted; returns where the rows begin.
  function paintTitles(children, left, column, top) {
    levels().forEach(({ title }, at) => children.push(svg("text", { transform: `translate(${left + column * (at + 0.5)} ${top + 108}) rotate(-50)`, class: "small" }, title)));
    return top + 116;
  }

  function paintDecoder(children, width) {
    const { trace } = state;
    const places = levels();
    const left = 62;
    const column = Math.min(86, (width - left - 62) / places.length);
    const row = 23;
    const top = paintTitles(children, left, column, 0);
    children.push(text(0, top - 8, "reads", "small quiet"));
    trace.inputs.forEach((_, at) => {
      const y = top + row * at;
      const isChosen = at === state.token;
      children.push(text(left - 8, y + 16, shown(at ? trace.inputPieces[at] : "<s>", 6), isChosen ? "mono strong b" : "mono", "end"));
      places.forEach(({ name }, index) => {
        const [{ token: id, piece, probability }] = trace.lens[name][at].best;
        const x = left + column * index;
        const isRight = id === trace.written[at];
        children.push(svg("rect", { x, y, width: column - 2, height: row - 2, class: "bar b", opacity: 0.55 * probability }));
        const content = column < 30 ? shown(piece, 2) : `${shown(piece, Math.max(1, Math.floor(column / 9) - 2))}${isRight ? " ✓" : ""}`;
        children.push(text(x + column / 2 - 1, y + 15, content, isRight ? "mono small strong" : "mono small", "middle"));
      });
      if (isChosen) children.push(svg("rect", { x: left - 2, y: y - 1.5, width: column * places.length + 2, height: row + 1, class: "outline b", "stroke-width": 2 }));
      children.push(svg("rect", { x: 0, y, width: left + column * places.length, height: row - 2, fill: "transparent", "data-pick": at, onclick: () => pick(at) }));
    });
    let y = top + row * trace.inputs.length + 16;
    children.push(text(left - 8, y, "✓", "small strong", "end"));
    agreement(trace, places).forEach((count, index) => children.push(text(left + column * (index + 0.5) - 1, y, column < 44 ? count : `${count}/${trace.inputs.length}`, "small strong", "middle")));
    y += 34;
    children.push(text(0, y, `Token ${state.token + 1}: probability of ${shown(trace.outputPieces[state.token])}, which the model writes`, "small strong"));
    const start = 132;
    const room = width - start - (width < 480 ? 48 : 190);
    places.forEach(({ name, title }, index) => {
      const middle = y + 12 + 24 * index;
      const { best: [first], ofOutput } = trace.lens[name][state.token];
      const rest = first.token === trace.written[state.token] || width < 480 ? "" : ` (most probable: ${shown(first.piece, 6)})`;
      children.push(text(start - 8, middle + 15, title, "small", "end"));
      children.push(svg("rect", { x: start, y: middle + 2, width: Math.max(1, room * ofOutput), height: 17, class: "bar b" }));
      children.push(text(start + Math.max(1, room * ofOutput) + 6, middle + 15, `${ofOutput < 0.005 ? "< 0.01" : number(ofOutput)}${rest}`, "small"));
    });
    return y + 16 + 24 * places.length;
  }

  function pick(index) {
    state.token = index;
    token.set(index + 1);
    refresh();
  }

  function paintEncoder(children, width) {
    const tokens = labels();
    const all = similarities(state.trace, levels());
    const { matrix, title } = all[state.level];
    const isWide = width >= 760;
    const left = 40;
    const cell = Math.min(24, ((isWide ? width * 0.5 : width) - left) / tokens.length);
    const kind = cell < 11 ? "mono cell" : "mono";
    children.push(text(0, 14, `cosine similarity after “${title}”`, "small strong"));
    const y = 42;
    tokens.forEach((piece, at) => {
      const isChosen = at === state.token;
      if (cell >= 7.5 || at % 2 === 0) {
        children.push(text(left + cell * (at + 0.5), y - 6, shown(piece, cell < 16 ? 1 : 2), isChosen ? `${kind} strong b` : kind, "middle"));
        children.push(text(left - 6, y + cell * (at + 0.5) + 5, shown(piece, 3), isChosen ? `${kind} strong b` : kind, "end"));
      }
      children.push(svg("rect", { x: 0, y: y + cell * at, width: left, height: cell, fill: "transparent", "data-pick": at, onclick: () => pick(at) }));
    });
    const side = cell * tokens.length;
    children.push(heatmap(place, columnsOf(matrix), left, y, side, side));
    children.push(svg("rect", { x: left, y, width: side, height: side, class: "frame" }));
    if (cell >= 9) for (let at = 1; at < tokens.length; at += 1) children.push(line(left + cell * at, y, left + cell * at, y + side), line(left, y + cell * at, left + side, y + cell * at));
    children.push(svg("rect", { x: left, y: y + cell * state.token, width: side, height: cell, class: "outline b", "stroke-width": 2.5 }));
    const [x, top] = isWide ? [left + side + 40, 0] : [0, y + side + 34];
    const table = [];
    const height = paintMeans(table, isWide ? width - x : width, all);
    children.push(svg("g", { transform: `translate(${x} ${top})` }, table));
    const list = [];
    const listHeight = paintNeighbours(list, all[state.level].matrix[state.token], tokens);
    children.push(svg("g", { transform: `translate(${x} ${top + height + 22})` }, list));
    return Math.max(y + side + 10, top + height + 22 + listHeight);
  }

  function paintMeans(children, width, all) {
    const first = 120;
    const column = (width - first) / MEASURES.length;
    children.push(text(0, 14, "mean similarity of a token to", "small strong"));
    MEASURES.forEach(([, name], at) => children.push(text(first + column * at, 38, name, "cell quiet")));
    all.forEach(({ title, means }, row) => {
      const y = 44 + 30 * row;
      const isChosen = row === state.level;
      children.push(text(0, y + 15, title, isChosen ? "small strong b" : "small"));
      MEASURES.forEach(([key], at) => {
        const x = first + column * at;
        children.push(svg("rect", { x, y: y + 18, width: Math.max(0.5, (column - 12) * Math.max(0, means[key] || 0)), height: 5, class: "bar b" }));
        children.push(text(x, y + 14, Number.isNaN(means[key]) ? "–" : number(means[key]), isChosen ? "small strong" : "small"));
      });
      children.push(svg("rect", { x: 0, y, width, height: 28, fill: "transparent", "data-pick": row, onclick: () => {
        state.level = row;
        level.set(row);
        refresh();
      } }));
    });
    return 44 + 30 * all.length;
  }

  // The tokens that are most similar to the chosen one.
  function paintNeighbours(children, similar, tokens) {
    const order = tokens.map((_, at) => at).filter((at) => at !== state.token).sort((a, b) => similar[b] - similar[a]).slice(0, 5);
    children.push(text(0, 14, `most similar to token ${state.token + 1}, ${shown(tokens[state.token])}, after this step`, "small strong"));
    order.forEach((at, row) => children.push(text(0, 36 + 20 * row, shown(tokens[at]), "mono"), text(60, 36 + 20 * row, `token ${at + 1}`, "small"), text(134, 36 + 20 * row, number(similar[at]), "small")));
    return 40 + 20 * order.length;
  }
}

// How many tokens of the output the output layer would already write at each place.
export function agreement({ lens, written }, places) {
  return places.map(({ name }) => lens[name].filter(({ best: [first] }, at) => first.token === written[at]).length);
}

const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b) || 1);

// The cosine similarity of all pairs of tokens at each place of the encoder, and means: to the token's own vector at the
// input, to the other tokens of its word, and to those of other words. A word is a run of letters and digits.
export function similarities({ values, pieces }, places) {
  const words = [];
  pieces.slice(0, -1).forEach((piece, at) => {
    const isInside = /^[\p{L}\p{N}]+$/u.test(piece);
    words.push(isInside ? (at && words[at - 1] >= 0 ? words[at - 1] : at) : -1);
  });
  words.push(-1); // the end token
  const inputs = rowsOf(values[places[0].name]);
  return places.map(({ name, title }) => {
    const rows = rowsOf(values[name]);
    const matrix = rows.map((a) => rows.map((b) => cosine(a, b)));
    const pairs = { near: [], far: [] };
    matrix.forEach((row, a) => row.forEach((value, b) => {
      if (a !== b && words[a] >= 0 && words[b] >= 0) pairs[words[a] === words[b] ? "near" : "far"].push(value);
    }));
    const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    return { title, matrix, means: { own: mean(rows.map((row, at) => cosine(row, inputs[at]))), near: mean(pairs.near), far: mean(pairs.far) } };
  });
}
