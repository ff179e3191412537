// Lesson 5: the causal mask: what each row may look at, with the mask and without, and what a model learns from it.
import { Frame, checkbox, choice, fetchJson, number, onColours, slider, svg, text } from "./figure.js";

const shown = (token) => ({ "<s>": "▷", "</s>": "⏎" })[token] ?? token;

export async function draw(place) {
  const { mask } = await fetchJson("figures/heads.json");
  const { source, target, systems } = mask;
  const inputs = ["<s>", ...target.slice(0, -1)];
  const state = { isMasked: true, row: 4, view: "allowed" };
  const frame = new Frame(place, {
    name: "mask",
    caption: `The decoder reads the tokens on top and writes those on the right, for the source “${source}”. Blue cells: what the row may look at, or where the weight of a head goes. The framed cell in each row is the token that the row has to write.`,
    note: "Weights, losses and outputs are stored: measured once on two trained models. No model runs here.",
  }, paint);
  frame.controls.append(
    checkbox("causal mask", true, (isMasked) => select({ isMasked })),
    slider("Row", { min: 1, max: target.length, value: state.row, show: (row) => `${row}: writes ${shown(target[row - 1])}` }, (row) => select({ row })).element,
    choice("Cells show", [["allowed", "what is allowed"], ["weights", "weights of a trained head (stored)"]], state.view, (view) => select({ view })),
  );
  onColours(() => frame.refresh());
  select({});

  function select(change) {
    Object.assign(state, change);
    const seen = inputs.filter((_, at) => isAllowed(state.row - 1, at)).map(shown).join(" ");
    const answer = state.row < target.length && !state.isMasked ? " The token to write is among them: it only has to be copied." : state.isMasked ? " The token to write is not among them." : " This is the last token; it is not among them.";
    frame.report(`Row ${state.row} has to write ${shown(target[state.row - 1])}. It may look at ${seen}.${answer}`);
    frame.refresh();
  }

  function isAllowed(row, column) {
    return !state.isMasked || column <= row;
  }

  function paint(width) {
    const isWide = width >= 640;
    const left = 30;
    const cell = Math.min(34, (width - left - 34) / inputs.length);
    const top = 46;
    const size = cell * inputs.length;
    const system = systems[state.isMasked ? "with" : "without"];
    const head = copyingHead(system.weights);
    const children = [text(left, 16, "looked at →", "small quiet"), text(left + size + 17, 16, "writes", "small quiet", "middle")];
    inputs.forEach((token, at) => children.push(text(left + cell * (at + 0.5), top - 8, shown(token), "mono", "middle"), text(left - 8, top + cell * (at + 0.5) + 5, shown(token), "mono", "end")));
    inputs.forEach((_token, row) => {
      const isChosen = row === state.row - 1;
      children.push(text(left + size + 17, top + cell * (row + 0.5) + 5, shown(target[row]), `mono ${isChosen ? "strong b" : ""}`, "middle"));
      inputs.forEach((_key, column) => {
        const box = { x: left + cell * column, y: top + cell * row, width: cell - 1, height: cell - 1 };
        const opacity = state.view === "weights" ? 0.9 * head[row][column] : isChosen ? 0.75 : 0.35;
        children.push(svg("rect", { ...box, class: "band" }));
        if (isAllowed(row, column)) children.push(svg("rect", { ...box, class: "bar b", opacity }));
        else children.push(svg("line", { x1: box.x + 5, y1: box.y + cell - 6, x2: box.x + cell - 6, y2: box.y + 5, class: "rule" }));
        if (column === row + 1) children.push(svg("rect", { x: box.x + 1.5, y: box.y + 1.5, width: cell - 4, height: cell - 4, class: state.isMasked ? "outline quiet" : "outline wrong", "stroke-width": state.isMasked ? 1 : 2.5 }));
      });
    });
    children.push(svg("rect", { x: left - 1, y: top + cell * (state.row - 1) - 1, width: size + 1, height: cell + 1, class: "outline b", "stroke-width": 2 }));
    const [x, y] = isWide && width - size > 300 ? [left + size + 60, top] : [0, top + size + 34];
    const bottom = paintResults(children, x, y, system);
    return { height: Math.max(top + size + 12, bottom), label: describe(system), children };
  }

  function paintResults(children, x, y, { loss, exact, output }) {
    children.push(text(x, y, state.isMasked ? "trained with the mask, 800 steps" : "trained without, 200 steps", `title ${state.isMasked ? "b" : "wrong"}`));
    const lines = [["loss per token, reading the right target", number(loss, loss < 0.001 ? 5 : 4)], ["right outputs when it has to decode", `${number(100 * exact, 1)} %`], [`output for “${source}”`, output || "nothing"], ["right would be", target.slice(0, -1).join("")]];
    lines.forEach(([label, value], at) => children.push(text(x, y + 34 + 52 * at, label, "small quiet"), text(x, y + 56 + 52 * at, value.slice(0, 34) + (value.length > 34 ? "…" : ""), "mono title")));
    return y + 56 + 52 * lines.length - 30;
  }

  function describe({ loss, exact, output }) {
    return `${state.isMasked ? "With" : "Without"} the causal mask, row ${state.row} may look at ${inputs.filter((_, at) => isAllowed(state.row - 1, at)).length} of ${inputs.length} tokens. Loss ${number(loss, 4)}, right outputs ${number(100 * exact, 1)} %, output ${output}.`;
  }
}

// Of all heads, the one that gives the most weight to the token that each row has to write.
export function copyingHead(layers) {
  const next = (head) => head.slice(0, -1).reduce((sum, row, at) => sum + row[at + 1], 0);
  const heads = layers.flat();
  const best = heads.reduce((most, head) => (next(head) > next(most) ? head : most));
  return next(best) > 0 ? best : heads[0];
}
