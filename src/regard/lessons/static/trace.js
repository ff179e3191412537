// What the figures of lesson 6 share: the model and the source that the reader chooses, and the trace of its steps.
import { button, choice, fetchJson, html } from "./figure.js";
import { Model } from "./runtime.js";

const DATES = "dates", RUN = "run";
const EXAMPLES = ["Nov 22, 2026", "3 mai 1998", "Mo., 1. Aug. 1909", "22 de fev. de 2054", "12 March 2031"];
const NAMES = { "<s>": "▷", "</s>": "⏎", "▁": "␣", " ": "␣" };

// A token as figures show it; a long one is cut to its beginning.
export function shown(piece, longest = 9) {
  const characters = [...(NAMES[piece] ?? piece)];
  return characters.length > longest ? `${characters.slice(0, longest - 1).join("")}…` : characters.join("");
}

// A matrix { dims: [rows, columns], data } as rows.
export const rowsOf = ({ dims: [count, size], data }) => Array.from({ length: count }, (_, row) => data.slice(row * size, (row + 1) * size));

// The weights { dims: [heads, rows, columns], data } as a matrix per head.
export const headsOf = ({ dims: [heads, ...dims], data }) => Array.from({ length: heads }, (_, head) => rowsOf({ dims, data: data.slice(head * dims[0] * dims[1], (head + 1) * dims[0] * dims[1]) }));

// heatmap() draws columns.
export const columnsOf = (rows) => Array.from(rows[0], (_, at) => rows.map((row) => row[at]));

// The states of a stack from the bottom up: { name, title }, the names of trace.py.
export function statesOf(side, sizes) {
  const steps = side === "encoder" ? [["attended", "self-attention"], ["output", "feed-forward"]] : [["attended", "self-attention"], ["read", "source attention"], ["output", "feed-forward"]];
  const layers = Array.from({ length: sizes[`${side}_layers`] }, (_, layer) => steps.map(([name, title]) => ({ name: `${side}.${layer}.${name}`, title: `${layer + 1} ${title}`, isLast: name === "output" })));
  return [{ name: `${side}.input`, title: "input", isLast: true }, ...layers.flat()];
}

// Controls for the model and the source; calls `use(trace)` with each new trace.
export async function addSource(frame, use) {
  const models = { [DATES]: new Model("models/dates-transformer2017") };
  const examples = { [DATES]: EXAMPLES };
  const state = { model: DATES, example: 0, turn: 0, isReady: false };
  if (document.documentElement.dataset.run === RUN) {
    const { trace, architecture } = await fetchJson("../run/manifest.json");
    if (trace) {
      models[RUN] = new Model("../run");
      examples[RUN] = await fetchJson("../run/examples.json");
      state.model = RUN;
    } else frame.drawing.closest(".figure").querySelector(".foot p").append(` Your run is not shown: ${architecture} is not the Transformer of 2017.`);
  }
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => run() });
  const row = html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
    state.example += 1;
    useExample();
  }));
  if (models[RUN]) frame.controls.append(choice("Model", [[DATES, "dates"], [RUN, "your run"]], state.model, (model) => {
    Object.assign(state, { model, example: 0 });
    useExample();
  }));
  frame.controls.append(row);
  useExample();

  function useExample() {
    const sources = examples[state.model];
    field.value = sources[state.example % Math.max(1, sources.length)] ?? "";
    run();
  }

  async function run() {
    state.turn += 1;
    const { turn } = state;
    if (!field.value.trim()) return;
    if (!state.isReady) frame.report("Loading the models…");
    try {
      const trace = await models[state.model].trace(field.value);
      if (turn !== state.turn) return; // the reader has moved on
      state.isReady = true;
      use(trace);
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    }
  }
}
