// Lesson 5: the weights of every head of a small Transformer on the reader's text, and what each head does on a test set.
import { Frame, button, choice, fetchJson, html, number, onColours, slider, svg, text } from "./figure.js";
import { paintMap, paintThumbnails, pattern } from "./maps.js";
import { Model } from "./runtime.js";

const PARTS = [["encoder", "encoder"], ["decoder", "decoder to itself"], ["source", "decoder to source"]];
const RUN = "run"; // the reader's own run, which `regard lesson RUN` serves
const CLEAR = 0.15; // a relation counts as a head's work if its share is this much above that of equal weights

export async function draw(place) {
  const { shares, examples, pairs } = await fetchJson("figures/heads.json");
  const models = { dates: new Model("models/dates-transformer2017") };
  const run = document.documentElement.dataset.run === RUN ? await fetchJson("../run/manifest.json") : null;
  const hasHeads = run?.encoder.outputs.some(({ name }) => name === "self_attention");
  if (hasHeads) models[RUN] = new Model("../run");
  const sources = { dates: examples, [RUN]: hasHeads ? await fetchJson("../run/examples.json") : [] };
  const state = { model: "dates", part: "encoder", head: 0, example: 0, source: examples[0], result: null, turn: 0 };
  const [layers, count] = [() => dims().at(0), () => dims().at(1)]; // heads of a layer
  const frame = new Frame(place, {
    name: "heads",
    caption: "Small squares: all heads of the chosen part. Large square: the chosen head. Each row is a token that looks, each column a token that is looked at; the stronger the colour, the larger the weight; each row sums to 1. ▷ is the start token, ⏎ the end token, ␣ a space. Table: the mean share of a head's weight that goes to such tokens; the further above equal weights, the stronger the colour.",
    note: `The patterns are computed in this page. The table is measured on ${2 * pairs} test sources, half of them with two dates.${run && !hasHeads ? ` Your run is not shown: ${run.architecture} has no self-attention.` : ""}`,
  }, paint);
  const head = slider("Head", { min: 1, max: layers() * count(), value: 1, show: (value) => title(value - 1) }, (value) => select({ head: value - 1 }));
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    compute();
  } });
  if (hasHeads) frame.controls.append(choice("Model", [["dates", "dates"], [RUN, "your run"]], state.model, (name) => {
    Object.assign(state, { model: name, head: 0, example: 0, result: null });
    useExample();
  }));
  frame.controls.append(
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    choice("Part", PARTS, state.part, (part) => select({ part })),
    head.element,
  );
  onColours(() => frame.refresh());
  useExample();

  // Layers and heads of the chosen part.
  function dims() {
    if (state.model !== RUN) return [shares.encoder.heads.length, shares.encoder.heads[0].length];
    const { result, part } = state;
    return result ? (part === "encoder" ? result.encoder : result[part][0]).dims : [1, 1];
  }

  function title(index) {
    return `layer ${Math.floor(index / count()) + 1}, head ${(index % count()) + 1}`;
  }

  function useExample() {
    const all = sources[state.model];
    state.source = all[state.example % all.length] ?? "";
    field.value = state.source;
    compute();
  }

  function select(change) {
    Object.assign(state, change);
    state.head = Math.min(state.head, layers() * count() - 1);
    head.set(state.head + 1, { max: layers() * count() });
    if (state.result) report();
    frame.refresh();
  }

  async function compute() {
    state.turn += 1;
    const { turn, source, model } = state;
    if (!source.trim()) return;
    if (!state.result) frame.report("Loading the models…");
    try {
      const result = await models[model].heads(source);
      if (turn !== state.turn) return; // the reader has moved on
      select({ result });
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    }
  }

  function report() {
    if (state.model === RUN) {
      frame.report(`Output: ${state.result.output || "nothing"}. ${title(state.head)[0].toUpperCase()}${title(state.head).slice(1)}.`);
      return;
    }
    const { name, share, equal, isClear } = work(shares[state.part], state.head);
    const summary = isClear ? `over the test set, ${number(share)} of its weight goes to “${name}” (equal weights: ${number(equal)})` : "no relation in the table has much more of its weight than equal weights would give it";
    frame.report(`Output: ${state.result.output || "nothing"}. ${title(state.head)[0].toUpperCase()}${title(state.head).slice(1)}: ${summary}.`);
  }

  function paint(width) {
    const children = [];
    let y = 0;
    if (state.result) y = paintPatterns(children, width);
    else {
      children.push(text(0, 40, "loading the model…", "quiet"));
      y = 300;
    }
    const height = state.model === RUN ? y : paintTable(children, y + 24, width);
    return { height, label: describe(), children };
  }

  function describe() {
    const { relations } = shares[state.part];
    const name = `Attention of ${title(state.head)} of the part “${PARTS.find(([part]) => part === state.part)[1]}”.`;
    if (state.model === RUN) return `${name} Source: ${state.source}.`;
    return `${name} Shares of its weight: ${relations.map((name, at) => `${name} ${number(flat()[state.head][at])}`).join(", ")}.`;
  }

  function flat() {
    return shares[state.part].heads.flat();
  }

  function paintPatterns(children, width) {
    const { rows, columns, weights } = pattern(state.result, state.part);
    const top = paintThumbnails(children, place, { rows, columns, weights }, { width, top: 0, count: count(), chosen: state.head, pick: (head) => select({ head }) });
    children.push(text(0, top + 8, `${state.part === "source" ? "Source" : "Looked at"} →`, "small quiet"));
    const y = paintMap(children, place, { rows, columns, weights: weights[state.head] }, { width, top: top + 12 });
    const strongest = Math.max(...weights[state.head].flat());
    children.push(text(0, y + 10, `${title(state.head)}: the largest weight is ${number(strongest)}`, "small quiet"));
    return y + 18;
  }

  function paintTable(children, top, width) {
    const { relations, equal } = shares[state.part];
    const left = width < 480 ? 40 : 128;
    const column = Math.min(84, (width - left - 70) / relations.length);
    const [first, row] = [top + 112, 26];
    children.push(text(0, top, "Share of the weight, over the test set", "strong"));
    relations.forEach((name, at) => children.push(svg("text", { transform: `translate(${left + column * (at + 0.5)} ${first - 8}) rotate(-45)`, class: "small" }, name)));
    [...flat(), equal].forEach((values, index) => {
      const isEqual = index === flat().length;
      const y = first + row * index + (isEqual ? 8 : 0);
      const isChosen = index === state.head;
      const label = isEqual ? (width < 480 ? "equal" : "equal weights") : width < 480 ? `${Math.floor(index / count()) + 1}.${(index % count()) + 1}` : title(index);
      children.push(text(0, y + 18, label, isEqual ? "small quiet" : isChosen ? "small strong b" : "small"));
      values.forEach((value, at) => {
        const x = left + column * at;
        children.push(svg("rect", { x, y, width: column - 2, height: row - 2, class: "bar b", opacity: isEqual ? 0 : Math.max(0, (0.7 * (value - equal[at])) / (1 - equal[at])) }));
        children.push(text(x + column / 2 - 1, y + 17, number(value), column < 34 ? "cell" : "small", "middle"));
      });
      if (!isEqual) children.push(svg("rect", { x: 0, y, width: left + column * relations.length, height: row - 2, fill: "transparent", "data-pick": index, onclick: () => select({ head: index }) }));
      if (isChosen) children.push(svg("rect", { x: left - 3, y: y - 2, width: column * relations.length + 4, height: row + 2, class: "outline b", "stroke-width": 2 }));
    });
    return first + row * (flat().length + 1) + 14;
  }
}

// What a head does most: the relation whose share is furthest above that of equal weights.
export function work({ relations, equal, heads }, index) {
  const values = heads.flat()[index];
  const gains = values.map((value, at) => value - equal[at]);
  const best = gains.indexOf(Math.max(...gains));
  return { name: relations[best], share: values[best], equal: equal[best], isClear: gains[best] >= CLEAR };
}
