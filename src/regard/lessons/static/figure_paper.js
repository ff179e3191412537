// The page of a paper: its model translates the reader's text, and what it computes is drawn: attention where the model
// attends, otherwise what it has instead. What the figure draws and controls follows from the model's manifest.
import { Frame, button, choice, fetchJson, heatmap, html, line, number, onColours, percent, slider, svg, text, wrap } from "./figure.js";
import { layout, paintMap, paintThumbnails, pattern, shown } from "./maps.js";
import { Model } from "./runtime.js";

const PARTS = [["source", "decoder to source"], ["encoder", "encoder"], ["decoder", "decoder to itself"]];
const CAPTIONS = {
  attention: "Rows are output tokens, columns are source tokens. The stronger the colour, the larger the weight; each row sums to 1.",
  states: "Each column is the decoder's state, one number per row: blue above zero, orange below. The first column is what the encoder hands over; the next ones are the state from which each output token is chosen.",
  columns: "Each column is a vector of the encoder, one number per row: blue above zero, orange below. Column i is the input for output token i, which is below it. There are more columns than source tokens, so that the output may be longer than the source.",
};
const LONGEST = 120; // characters of a source
const [STRIP, TOKEN] = [18, 17]; // widths of a single vector and of an output token
const MOST = 5; // hypotheses in the list
const NARROW = 480;
const SMALLEST_SHOWN = 0.005; // of the weights in the text

export async function draw(place, { system }) {
  const measured = await fetchJson("figures/papers.json");
  const own = measured.systems[system];
  const manifest = await fetchJson(`models/${own.model}/manifest.json`);
  const models = Object.fromEntries(Object.entries(measured.systems).map(([name, { model }]) => [name, new Model(`models/${model}`)]));
  const parts = partsOf(manifest);
  const state = { source: "", expected: null, example: 0, beamSize: 1, other: "", part: "source", head: -1, step: 0, results: null, turn: 0 };

  const frame = new Frame(place, {
    name: system,
    caption: `${CAPTIONS[kindOf(manifest)]} The bars above the output are the probability of each token. ⏎ is the end token, ␣ a space${kindOf(manifest) === "states" || parts.includes("decoder") ? ", ▷ the start token" : ""}.`,
    note: noteOf(measured),
  }, paint);
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", maxlength: LONGEST, oninput: () => {
    Object.assign(state, { source: field.value, expected: null });
    run();
  } });
  const beam = slider("beam_size", { min: 1, max: 8, value: state.beamSize, show: (value) => (value === 1 ? "1 (greedy)" : String(value)) }, (value) => {
    state.beamSize = value;
    run();
  });
  const step = slider("Output token", { min: 1, max: 2, value: 1 }, (value) => select({ step: value - 1 }));
  const head = slider("Head", { min: 0, max: 1, value: 0, show: (value) => titleOf(manifest, state.part, value - 1) }, (value) => select({ head: value - 1 }));
  const other = html("select", { onchange: () => {
    state.other = other.value;
    run();
  } }, html("option", { value: "" }, "no other system"), Object.keys(models).filter((name) => name !== system).map((name) => html("option", { value: name }, name)));
  frame.controls.append(
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    beam.element, step.element,
  );
  if (parts.length > 1) frame.controls.append(choice("Attention", PARTS.filter(([part]) => parts.includes(part)), state.part, (part) => {
    showHeads(part);
    select({ part, head: -1 });
  }));
  frame.controls.append(head.element, html("label", {}, html("span", {}, "Compare with"), other));
  showHeads(state.part);
  onColours(() => frame.refresh());
  whenNear(place, useExample);

  function showHeads(part) {
    const count = headsOf(manifest, part).total;
    head.element.style.display = count > 1 ? "" : "none";
    state.part = part;
    head.set(0, { max: count });
  }

  function useExample() {
    const { examples } = measured;
    [state.source, state.expected] = examples[state.example % examples.length];
    field.value = state.source;
    run();
  }

  function select(change) {
    Object.assign(state, change);
    head.set(state.head + 1);
    step.set(state.step + 1);
    if (state.results) report();
    frame.refresh();
  }

  async function run() {
    state.turn += 1;
    const { turn, source, beamSize, other: second } = state;
    if (!source.trim()) {
      frame.report("Write a date in words, such as 22 November 2026.");
      return;
    }
    if (!state.results) frame.report("Loading the models…");
    try {
      const results = await Promise.all([system, ...(second ? [second] : [])].map(async (name) => ({
        name, manifest: await models[name].load(), ...(await models[name].heads(source, { beam_size: beamSize }, beamSize)),
      })));
      if (turn !== state.turn) return; // the reader has moved on
      const last = results[0].outputPieces.length;
      Object.assign(state, { results, step: Math.min(state.step, last - 1) });
      step.set(state.step + 1, { max: last });
      report();
      frame.refresh();
    } catch (error) {
      frame.report(`The models cannot be run: ${error.message}`, true);
    }
  }

  function report() {
    const [first] = state.results;
    const verdicts = state.results.map(({ name, output }) => `${name}: ${output || "nothing"}${state.expected === null ? "" : output === state.expected ? ", right" : `, wrong; right is ${state.expected}`}.`);
    const unknown = first.unknown ? [`The models do not know ${first.unknown === 1 ? "a character" : `${first.unknown} characters`} of the source (�).`] : [];
    frame.report([...verdicts, describeStep(first), ...unknown].join(" "));
  }

  function describeStep(result) {
    const { outputPieces, tokenLogProbabilities } = result;
    const token = `Token ${state.step + 1} (${shown(outputPieces[state.step])}): probability ${percent(Math.exp(tokenLogProbabilities[state.step]))}`;
    if (result.source) {
      const { columns, weights } = chosenPattern(result, "source", state.part === "source" ? state.head : -1);
      const row = weights[state.step];
      const order = row.map((_, at) => at).sort((one, two) => row[two] - row[one]).slice(0, 3).filter((at, place) => !place || row[at] >= SMALLEST_SHOWN);
      return `${token}; its largest weights: ${order.map((at) => `${number(row[at])} on source token ${at + 1} (${shown(columns[at])})`).join(", ")}.`;
    }
    const columns = columnsOf(result);
    if (columns) {
      const at = result.pieces[state.step];
      const where = state.step >= columns.length ? "there are no more columns for it" : at === undefined ? "its column is after the last source token" : `its column is that of source token ${state.step + 1} (${shown(at)})`;
      return `${token}; ${where}.`;
    }
    const change = Object.values(result.states).flatMap((vectors) => vectors[state.step + 1].map((value, at) => Math.abs(value - vectors[state.step][at])));
    return `${token}; the numbers of the state have changed by ${number(change.reduce((sum, value) => sum + value, 0) / change.length)} on average since the one before.`;
  }

  function paint(width) {
    const children = [];
    let y = 0;
    if (!state.results) {
      children.push(text(0, 40, "The model is loaded when the figure is in view.", "quiet"));
      y = 300;
    } else {
      state.results.forEach((result, index) => {
        if (index) {
          children.push(line(0, y + 12, width, y + 12));
          y += 30;
        }
        y = paintSystem(children, result, y, width, index === 0);
      });
    }
    y = paintTable(children, measured, y + 30, width, state.results?.map(({ name }) => name) ?? [system]);
    return { height: y, label: describe(), children };
  }

  function describe() {
    const exact = Object.entries(measured.systems).map(([name, { exact: shares }]) => `${name} ${shares.map(percent).join(" and ")}`);
    return `The output of ${system} for the source ${state.source}, and what it was made from. Share of right outputs for ${measured.sizes.join(" and ")} dates: ${exact.join(", ")}.`;
  }

  function paintSystem(children, result, top, width, isOwn) {
    const chosen = isOwn ? state.step : -1;
    children.push(text(0, top + 16, result.name, "title b"));
    let y = paintHypotheses(children, result, top + 40, width);
    y = paintTokens(children, result, y, width, chosen);
    if (result.source) return paintAttention(children, result, y, width, isOwn);
    return columnsOf(result) ? paintColumns(children, result, y, width, chosen) : paintStates(children, result, y, width, chosen);
  }

  // The outputs of the beam, best first, with their scores.
  function paintHypotheses(children, { hypotheses }, top, width) {
    const room = Math.max(8, Math.floor((width - 120) / 8.7));
    let y = top;
    hypotheses.slice(0, MOST).forEach(({ output, score, isFinished }, place) => {
      const value = `${number(score, 4)}${isFinished ? "" : " …"}`;
      children.push(text(width, y, place ? value : `score ${value}`, "small quiet", "end"));
      const letters = [...(output || "(nothing)")];
      for (let at = 0; at < letters.length; at += room) {
        children.push(text(0, y, letters.slice(at, at + room).join(""), `mono ${place ? "quiet" : "strong"}`));
        y += 20;
      }
    });
    return y;
  }

  // The output token by token, with the probability of each.
  function paintTokens(children, { outputPieces, tokenLogProbabilities, output }, top, width, chosen) {
    const perRow = Math.max(8, Math.floor(width / TOKEN));
    const right = state.expected === null || output === state.expected ? null : [...state.expected.replaceAll(" ", "▁")];
    const rows = Math.ceil(outputPieces.length / perRow);
    children.push(text(0, top + 4, "probability of each token", "small quiet"));
    outputPieces.forEach((piece, place) => {
      const [x, base] = [TOKEN * (place % perRow), top + 40 + 56 * Math.floor(place / perRow)];
      const height = 26 * Math.exp(tokenLogProbabilities[place]);
      const isWrong = right !== null && (piece === "</s>" ? place < right.length : piece !== right[place]);
      children.push(svg("rect", { x: x + 3, y: base - height, width: TOKEN - 6, height, class: "bar b" }), line(x, base, x + TOKEN, base));
      if (place === chosen) children.push(svg("rect", { x: x + 0.5, y: base + 2, width: TOKEN - 1, height: 22, rx: 3, class: "outline b", "stroke-width": 2 }));
      children.push(text(x + TOKEN / 2, base + 17, shown(piece), `mono ${isWrong ? "wrong strong" : ""}`, "middle"));
      if (isWrong) children.push(svg("rect", { x: x + 3, y: base + 20, width: TOKEN - 6, height: 2, class: "bar wrong" }));
      if (chosen >= 0) children.push(svg("rect", { x, y: base - 26, width: TOKEN, height: 50, fill: "transparent", "data-pick": place, onclick: () => select({ step: place }) }));
    });
    return top + 40 + 56 * rows;
  }

  function paintAttention(children, result, top, width, isOwn) {
    const part = isOwn ? state.part : "source";
    const { count, total } = headsOf(result.manifest, part);
    let y = top;
    if (isOwn && total > 1) {
      children.push(text(0, y, "all heads, as layer.head", "small quiet"));
      y = paintThumbnails(children, place, pattern(result, part), { width, top: y, count, chosen: state.head, pick: (index) => select({ head: index === state.head ? -1 : index }) });
    }
    const which = isOwn ? state.head : -1;
    const map = chosenPattern(result, part, which);
    children.push(text(0, y + 4, `${titleOf(result.manifest, part, which)}; ${part === "source" ? "source" : "looked at"} →`, "small quiet"));
    return paintMap(children, place, { ...map, row: isOwn && part === "source" ? state.step : -1 }, { width, top: y + 8 });
  }

  // The vectors of a decoder's state: what the encoder hands over, and then one for each output token.
  function paintStates(children, result, top, width, chosen) {
    const { summary } = result.memory;
    const blocks = Object.entries(result.states);
    const height = blocks.length > 1 ? 64 : 96;
    let y = top;
    if (summary) {
      y = remark(children, `the source vector c: ${summary.data.length} numbers, the same at every output token`, y + 6, width) + 10;
      children.push(heatmap(place, [summary.data], 0, y, STRIP, height), svg("rect", { x: 0, y, width: STRIP, height, class: "frame" }));
      y += height + 18;
    }
    const tokens = ["▷", ...result.outputPieces.map(shown)];
    const size = blocks.reduce((sum, [, [vector]]) => sum + vector.length, 0);
    y = remark(children, `the decoder's state: ${size} numbers${summary ? "" : ", all that it knows of the source"}`, y + 6, width) + 6;
    const { cell, kind, bands } = layout(tokens.length, width);
    for (const [first, end] of bands) {
      y += 20;
      tokens.slice(first, end).forEach((token, at) => children.push(text(cell * (at + 0.5), y, token, `${kind} ${chosen >= 0 && first + at - 1 === chosen ? "strong b" : ""}`, "middle")));
      y += 8;
      for (const [name, vectors] of blocks) {
        if (blocks.length > 1) {
          children.push(text(0, y + 12, titleOfState(name), "small quiet"));
          y += 18;
        }
        const most = Math.max(...vectors.flat().map(Math.abs));
        children.push(heatmap(place, vectors.slice(first, end), 0, y, cell * (end - first), height, most > 1 ? most / 2 : 1));
        children.push(svg("rect", { x: 0, y, width: cell * (end - first), height: height, class: "frame" }));
        if (chosen >= 0 && chosen + 1 >= first && chosen + 1 < end) children.push(svg("rect", { x: cell * (chosen + 1 - first), y: y - 1, width: cell, height: height + 2, class: "outline b", "stroke-width": 2.5 }));
        y += height + 4;
      }
    }
    return y;
  }

  // The encoder's columns with the source tokens above and the output tokens below, position by position.
  function paintColumns(children, result, top, width, chosen) {
    const columns = columnsOf(result);
    const { pieces, outputPieces } = result;
    const count = Math.max(columns.length, outputPieces.length);
    const height = 96;
    const most = Math.max(...columns.flat().map(Math.abs));
    const { cell, kind, bands } = layout(count, width);
    let y = remark(children, `${pieces.length} source tokens become ${columns.length} columns of ${columns[0].length} numbers`, top + 4, width) + 8;
    for (const [first, end] of bands) {
      y += 20;
      for (let at = first; at < end; at += 1) {
        const x = cell * (at - first + 0.5);
        if (pieces[at] !== undefined) children.push(text(x, y - 5, shown(pieces[at]), kind, "middle"));
        if (outputPieces[at] !== undefined) children.push(text(x, y + height + 16, shown(outputPieces[at]), `${kind} ${at === chosen ? "strong b" : ""}`, "middle"));
      }
      const drawn = columns.slice(first, Math.min(end, columns.length));
      if (drawn.length) {
        children.push(heatmap(place, drawn, 0, y, cell * drawn.length, height, most / 2));
        children.push(svg("rect", { x: 0, y, width: cell * drawn.length, height, class: "frame" }));
      }
      if (chosen >= first && chosen < end) children.push(svg("rect", { x: cell * (chosen - first), y: y - 18, width: cell, height: height + 40, rx: 3, class: "outline b", "stroke-width": 2.5 }));
      y += height + 30;
    }
    return y;
  }
}

// Add a sentence in small letters. Return the y of its last line.
function remark(children, content, top, width) {
  const lines = wrap(content, width);
  lines.forEach((part, at) => children.push(text(0, top + 17 * at, part, "small quiet")));
  return top + 17 * (lines.length - 1);
}

// Call `start` when the element comes near the view, so that a page whose figure is never seen loads no model.
function whenNear(place, start) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    start();
  }, { rootMargin: "200px" });
  observer.observe(place);
}

const output = (graph, name) => graph.outputs.find((tensor) => tensor.name === name);

// The parts of a model that have attention weights.
function partsOf({ encoder, step }) {
  const has = { source: output(step, "attention"), encoder: output(encoder, "self_attention"), decoder: output(step, "self_attention") };
  return Object.keys(has).filter((part) => has[part]);
}

// The number of heads of a layer, and of all layers.
function headsOf({ encoder, step }, part) {
  const tensor = part === "encoder" ? output(encoder, "self_attention") : output(step, part === "source" ? "attention" : "self_attention");
  if (!tensor) return { count: 0, total: 0 };
  const [, layers, count] = tensor.shape;
  return { count, total: layers * count };
}

function titleOf(manifest, part, head) {
  const { count, total } = headsOf(manifest, part);
  if (total === 1) return "the weights";
  return head < 0 ? "mean of all heads" : count === 1 ? `layer ${head + 1}` : `layer ${Math.floor(head / count) + 1}, head ${(head % count) + 1}`;
}

// What the encoder hands over, if that is a vector for each position: the name of this part of the memory.
function columnTensor({ memory, encoder }) {
  return memory.find((name) => output(encoder, name).shape.length === 3);
}

function kindOf(manifest) {
  if (partsOf(manifest).includes("source")) return "attention";
  return columnTensor(manifest) ? "columns" : "states";
}

function columnsOf({ manifest, memory }) {
  const name = columnTensor(manifest);
  if (!name || !memory) return null;
  const { dims, data } = memory[name];
  const size = dims.at(-1);
  return Array.from({ length: data.length / size }, (_, at) => data.slice(at * size, (at + 1) * size));
}

function chosenPattern(result, part, head) {
  const { rows, columns, weights } = pattern(result, part);
  const mean = () => weights[0].map((row, down) => row.map((_, across) => weights.reduce((sum, matrix) => sum + matrix[down][across], 0) / weights.length));
  return { rows, columns, weights: head < 0 ? mean() : weights[head] };
}

// `layers.0.1` is the second part of the state of the first layer: an LSTM's cell.
function titleOfState(name) {
  const [, layer, part] = /^layers\.(\d+)\.(\d+)$/.exec(name) ?? [];
  return layer === undefined ? name : `layer ${Number(layer) + 1}, ${["output h", "cell c"][part] ?? part}`;
}

function noteOf({ systems, pairs }) {
  const longest = Math.max(...Object.values(systems).map((system) => system.longest));
  const names = Object.keys(systems).filter((name) => systems[name].longest === longest);
  const rest = Math.min(...Object.values(systems).map((system) => system.longest));
  return `The model runs in this page. All nine were trained on dates in words of eight locales: lists of up to ${longest} dates (${names.join(", ")}) or of up to ${rest}. Right outputs: ${pairs} dev lines of each size, greedy search. Training: CPU time on one core.`;
}

// What was measured of all systems; those in the figure are in bold type.
function paintTable(children, { systems, sizes }, top, width, names) {
  const isNarrow = width < NARROW;
  const titles = [isNarrow ? "params" : "parameters", isNarrow ? "min" : "training, minutes", ...sizes.map((size) => `${size} date${size > 1 ? "s" : ""}`)];
  const left = isNarrow ? 112 : 160;
  const column = (Math.min(width, 640) - left) / titles.length;
  children.push(text(0, top, "Right outputs of all nine systems", "strong"));
  titles.forEach((title, at) => children.push(text(left + column * (at + 1), top + 24, title, isNarrow ? "cell quiet" : "small quiet", "end")));
  Object.entries(systems).forEach(([name, { parameters, cpu_seconds: seconds, exact }], place) => {
    const y = top + 48 + 22 * place;
    const kind = names.includes(name) ? "small strong b" : "small";
    children.push(text(0, y, name, kind));
    const values = [parameters.toLocaleString("en"), seconds === null ? "not measured" : number(seconds / 60, 1), ...exact.map((share) => `${number(100 * share, 1)} %`)];
    values.forEach((value, at) => children.push(text(left + column * (at + 1), y, value, kind, "end")));
  });
  return top + 48 + 22 * Object.keys(systems).length;
}
