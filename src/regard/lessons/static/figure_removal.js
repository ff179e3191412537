// Lesson 4: a Transformer whose heads the reader switches off, and what each head is needed for, measured.
import { Frame, button, choice, fetchJson, html, number, onColours, percent, svg, text } from "./figure.js";
import { Model } from "./runtime.js";

const PARTS = [["encoder", "encoder"], ["decoder", "decoder to itself"], ["source", "decoder to source"]];
const COUNTS = [["exact", "whole output"], ["first", "first date"]];
const WAYS = [["without_head", "without this head"], ["only_head", "with no other head in its layer"]];

export async function draw(place) {
  const [{ heads: measured }, { shares }] = await Promise.all(["figures/what_if.json", "figures/heads.json"].map(fetchJson));
  const model = new Model("models/dates-transformer2017/steered");
  const layers = measured.encoder.without_head.length;
  const count = measured.encoder.without_head[0].length; // heads of a layer
  const state = { source: "", example: 0, off: new Set(), dates: 0, way: "without_head", counted: "exact", plain: null, result: null, turn: 0 };
  const frame = new Frame(place, {
    name: "removal",
    caption: "Above: the output with all heads, and without those that you switched off; a character that differs is underlined. Below: the share of right outputs over the test set when one head is taken away, and, for the heads that look at the source, the share of their weight on the field that is about to be written (lesson 5).",
    note: `The model runs in this page. The shares are measured on ${measured.sources} test sources of each size.`,
  }, paint);
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    run();
  } });
  const toggles = new Map();
  const rows = PARTS.map(([part, name]) => html("div", { class: "line", role: "group", "aria-label": `Heads of the part ${name}` }, html("p", {}, `${name}:`),
    ...Array.from({ length: layers }, (_, layer) => html("div", { class: "chips" }, ...Array.from({ length: count }, (_head, head) => toggle(part, name, layer, head))))));
  frame.controls.append(
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    html("div", { class: "line" }, html("p", {}, "Switch heads off (layer.head):"), button("All on", () => {
      state.off.clear();
      run();
    })),
    ...rows,
    choice("Sources with", [["0", "one date"], ["1", "two dates"]], "0", (value) => {
      state.dates = Number(value);
      frame.refresh();
    }),
    choice("Counted as right", COUNTS, state.counted, (counted) => {
      state.counted = counted;
      frame.refresh();
    }),
    choice("Measured", WAYS, state.way, (way) => {
      state.way = way;
      frame.refresh();
    }),
  );
  onColours(() => frame.refresh());
  useExample();

  function toggle(part, name, layer, head) {
    const element = html("button", { type: "button", class: "chip head", "aria-pressed": "true", "aria-label": `${name}, layer ${layer + 1}, head ${head + 1}`, onclick: () => {
      const key = `${part}.${layer}.${head}`;
      if (!state.off.delete(key)) state.off.add(key);
      run();
    } }, `${layer + 1}.${head + 1}`);
    toggles.set(`${part}.${layer}.${head}`, element);
    return element;
  }

  function useExample() {
    state.source = measured.examples[state.example % measured.examples.length];
    field.value = state.source;
    run();
  }

  async function run() {
    state.turn += 1;
    const { turn, source } = state;
    for (const [key, element] of toggles) element.ariaPressed = String(!state.off.has(key));
    if (!source.trim()) return;
    if (!state.result) frame.report("Loading the models…");
    try {
      const scales = Object.fromEntries(PARTS.map(([part]) => [part, Array.from({ length: layers * count }, (_, at) => (state.off.has(`${part}.${Math.floor(at / count)}.${at % count}`) ? 0 : 1))]));
      const plain = await model.steer(source);
      const result = state.off.size ? await model.steer(source, { scales }) : plain;
      if (turn !== state.turn) return; // the reader has moved on
      Object.assign(state, { plain, result });
      report();
      frame.refresh();
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    }
  }

  function removed() {
    return PARTS.flatMap(([part, name]) => [...state.off].filter((key) => key.startsWith(`${part}.`)).sort().map((key) => {
      const [, layer, head] = key.split(".").map(Number);
      return `${name} ${layer + 1}.${head + 1}`;
    }));
  }

  function report() {
    const { plain, result } = state;
    const names = removed();
    frame.report(names.length ? `Without ${names.join(", ")}: ${result.output || "nothing"}${result.output === plain.output ? ", the same" : `; with all heads: ${plain.output}`}.` : `All heads are on. Output: ${plain.output || "nothing"}.`);
  }

  function paint(width) {
    const children = [];
    let y = 14;
    if (!state.result) {
      children.push(text(0, 40, "loading the model…", "quiet"));
      y = 120;
    } else {
      for (const [title, steps, other] of [["with all heads", state.plain.steps, null], [state.off.size ? `without ${state.off.size} of ${PARTS.length * layers * count} heads` : "with your changes", state.result.steps, state.plain.steps]]) {
        children.push(text(0, y, title, "small quiet"));
        y = paintOutput(children, width, y + 24, steps, other) + 8;
      }
    }
    y = paintTable(children, y + 16, width);
    return { height: paintShares(children, y + 24, width), label: describe(), children };
  }

  function describe() {
    const cells = PARTS.map(([part, name]) => `${name}: ${measured[part][state.way].map((heads, layer) => heads.map((share, head) => `${layer + 1}.${head + 1} ${percent(read(share))}`).join(", ")).join(", ")}`);
    return `Right outputs ${WAYS.find(([way]) => way === state.way)[1]}, ${state.dates + 1} ${state.dates ? "dates" : "date"}. All heads: ${percent(read(measured.complete))}. ${cells.join("; ")}.`;
  }

  function read(shares) { return shares[state.counted][state.dates]; }

  function paintTable(children, top, width) {
    children.push(text(0, top, `Right outputs ${WAYS.find(([way]) => way === state.way)[1]}`, "strong"));
    children.push(text(0, top + 20, `all heads: ${percent(read(measured.complete))}`, "small quiet"));
    const left = width < 480 ? 52 : 168;
    const column = Math.min(92, (width - left) / (count + 1));
    let y = top + 46;
    Array.from({ length: count }, (_, head) => children.push(text(left + column * (head + 0.5), y, width < 480 ? `${head + 1}` : `head ${head + 1}`, "small quiet", "middle")));
    children.push(text(left + column * (count + 0.5), y, width < 480 ? "0 on" : "none on", "small quiet", "middle"));
    y += 10;
    for (const [part, name] of PARTS) {
      if (width < 480) {
        children.push(text(0, y + 14, name, "small"));
        y += 20;
      }
      for (let layer = 0; layer < layers; layer += 1) {
        children.push(text(0, y + 17, width < 480 ? `layer ${layer + 1}` : `${name}, layer ${layer + 1}`, "small"));
        [...measured[part][state.way][layer], measured[part].without_layer[layer]].forEach((share, head) => {
          const x = left + column * head;
          const value = read(share);
          const isOff = state.off.has(`${part}.${layer}.${head}`);
          children.push(svg("rect", { x, y, width: column - 3, height: 23, class: "bar a", opacity: 0.55 * Math.max(0, read(measured.complete) - value) }));
          children.push(svg("rect", { x: x + 0.5, y: y + 0.5, width: column - 4, height: 22, class: isOff ? "outline b" : "rule", "stroke-width": isOff ? 3 : 1 }));
          children.push(text(x + column / 2 - 1, y + 16, percent(value), "small", "middle"));
        });
        y += 26;
      }
      y += 6;
    }
    return y;
  }

  // The heads that look at the source: the share of their weight on the aligned field, and what is lost without them.
  function paintShares(children, top, width) {
    children.push(text(0, top, "Decoder to source: weight, and need", "strong"));
    const at = shares.source.relations.indexOf("aligned field");
    const left = 44;
    const half = (width - left - 20) / 2;
    const isNarrow = width < 480;
    children.push(text(left, top + 22, isNarrow ? "on the field" : "weight on the field", "small a"), text(left + half + 20, top + 22, isNarrow ? "right without it" : "right outputs without the head", "small b"));
    let y = top + 32;
    shares.source.heads.forEach((heads, layer) => heads.forEach((values, head) => {
      const need = read(measured.source.without_head[layer][head]);
      children.push(text(0, y + 12, `${layer + 1}.${head + 1}`, "small"));
      [[left, values[at], "a", number(values[at])], [left + half + 20, need, "b", percent(need)]].forEach(([x, value, kind, label]) => {
        const room = half - 50;
        children.push(svg("rect", { x, y, width: room, height: 14, class: "band" }), svg("rect", { x, y, width: room * value, height: 14, class: `bar ${kind}` }), text(x + room + 6, y + 12, label, "small"));
      });
      y += 20;
    }));
    return y + 4;
  }
}

// Characters in rows; those that differ from the other output are underlined and bold.
function paintOutput(children, width, y, steps, other) {
  const cell = 14;
  const perRow = Math.max(8, Math.floor(width / cell));
  steps.forEach(({ piece, token }, at) => {
    const [x, row] = [cell * (at % perRow), y + 25 * Math.floor(at / perRow)];
    const isDifferent = other !== null && other[at]?.token !== token;
    children.push(text(x + cell / 2, row, piece === "</s>" ? "⏎" : piece.replace("▁", "␣"), `mono ${isDifferent ? "strong b" : ""}`, "middle"));
    if (isDifferent) children.push(svg("rect", { x: x + 2, y: row + 4, width: cell - 4, height: 2, class: "bar b" }));
  });
  return y + 25 * Math.ceil(steps.length / perRow);
}
