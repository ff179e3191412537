// Lesson 5: a Transformer with positions and one without, on a source and on the same characters in another order.
import { Frame, button, fetchJson, html, onColours, percent, svg, text } from "./figure.js";
import { Model } from "./runtime.js";
import { mulberry } from "./scores.js";

const SYSTEMS = [["with positions", "models/dates-transformer2017", "b"], ["without positions", "models/dates-no-positions", "a"]];
const COLUMNS = [["1 date right", (system) => system.exact[0]], ["2 dates right", (system) => system.exact[1]], ["right characters, any order (1 date)", (system) => system.characters[0]], ["same output for shuffled source", (system) => system.unmoved]];

export async function draw(place) {
  const { positions, examples, pairs } = await fetchJson("figures/heads.json");
  const measured = positions.systems;
  const models = SYSTEMS.map(([, folder]) => new Model(folder));
  const sources = examples.filter((source) => !source.includes(";"));
  const state = { source: "", example: 1, seed: 1, shuffled: "", outputs: null, turn: 0 };
  const frame = new Frame(place, {
    name: "positions",
    caption: "Two models of the same size, trained on the same pairs for as many steps. One adds positions to its embeddings. The other does not: for its encoder, a source is a bag of characters, so that it writes the same output for each order of them. “Positions set to zero” is the first model, from which the positions are taken away after training.",
    note: `Both models run in this page. The shares are measured on ${pairs} test sources of each size.`,
  }, paint);
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    run();
  } });
  frame.controls.append(html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
    state.example += 1;
    useExample();
  })), button("Shuffle again", () => {
    state.seed += 1;
    run();
  }));
  onColours(() => frame.refresh());
  useExample();

  function useExample() {
    state.source = sources[state.example % sources.length];
    field.value = state.source;
    run();
  }

  async function run() {
    state.turn += 1;
    const { turn, source, seed } = state;
    if (!source.trim()) return;
    if (!state.outputs) frame.report("Loading the models…");
    try {
      const mixed = shuffle(source, seed);
      const outputs = await Promise.all(models.map((model) => Promise.all([source, mixed].map(async (line) => (await model.translate(line, { beam_size: 1 }))[0].output))));
      if (turn !== state.turn) return; // the reader has moved on
      Object.assign(state, { outputs, shuffled: mixed });
      const [[first, second], [third, fourth]] = outputs;
      frame.report(`With positions: ${first}; shuffled: ${second}. Without: ${third}; shuffled: ${fourth}${third === fourth ? ", the same" : ""}.`);
      frame.refresh();
    } catch (error) {
      frame.report(`The models cannot be run: ${error.message}`, true);
    }
  }

  function paint(width) {
    const children = [];
    let y = 16;
    const isWide = width >= 640;
    [["source", state.source], ["shuffled", state.shuffled]].forEach(([name, line], at) => {
      children.push(text(0, y, name, "small quiet"), text(0, y + 24, line.replaceAll(" ", "␣"), "mono title"));
      SYSTEMS.forEach(([system, , kind], index) => {
        const [x, top] = isWide ? [width * (0.42 + 0.3 * index), y] : [0, y + 50 + 46 * index];
        children.push(text(x, top, system, "small quiet"), text(x, top + 24, state.outputs ? state.outputs[index][at] || "nothing" : "…", `mono title ${kind}`));
      });
      y += isWide ? 64 : 158;
    });
    return { height: paintShares(children, y + 14, width), label: describe(), children };
  }

  function paintShares(children, top, width) {
    const names = Object.keys(measured);
    const kinds = ["b", "d", "a"];
    let y = top;
    for (const [title, read] of COLUMNS) {
      children.push(text(0, y + 12, title, "strong"));
      y += 22;
      names.forEach((name, index) => {
        const left = 158;
        const room = width - left - 54;
        const share = read(measured[name]);
        children.push(text(0, y + 13, name, "small"));
        children.push(svg("rect", { x: left, y: y + 1, width: room, height: 15, class: "band" }));
        children.push(svg("rect", { x: left, y: y + 1, width: Math.max(1, room * share), height: 15, class: `bar ${kinds[index]}` }));
        children.push(text(left + room + 8, y + 13, percent(share), "small strong"));
        y += 21;
      });
      y += 12;
    }
    return y;
  }

  function describe() {
    return Object.entries(measured).map(([name, system]) => `${name}: ${COLUMNS.map(([title, read]) => `${title} ${percent(read(system))}`).join(", ")}`).join("; ");
  }
}

// The characters of a text in another order, the same for each seed (Fisher and Yates). Spaces stay where they are.
export function shuffle(line, seed) {
  const random = mulberry(seed);
  const characters = [...line].filter((character) => character !== " ");
  for (let place = characters.length - 1; place > 0; place -= 1) {
    const other = Math.floor(random() * (place + 1));
    [characters[place], characters[other]] = [characters[other], characters[place]];
  }
  return [...line].map((character) => (character === " " ? " " : characters.pop())).join("");
}
