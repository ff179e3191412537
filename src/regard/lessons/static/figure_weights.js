// Lesson 4: weight that the reader moves from one source word to another, words that the reader forces, and what follows.
import { Frame, button, choice, fetchJson, html, number, onColours, percent, svg, text } from "./figure.js";
import { Model } from "./runtime.js";

const STEP = 0.1; // what an arrow key moves
const RUN = "run";
const NAMES = { "</s>": "⏎", "<s>": "▷" };
const shown = (piece) => NAMES[piece] ?? piece.replaceAll("▁", "␣");

export async function draw(place) {
  const { examples, weights: ways, moved, sentences } = await fetchJson("figures/what_if.json");
  const tasks = { phrases: { model: new Model("models/phrases/steered"), examples } };
  const note = await addRun(tasks);
  const state = { task: tasks[RUN] ? RUN : "phrases", example: 0, source: "", step: 0, weights: {}, forced: {}, picked: null, plain: null, result: null, turn: 0 };
  const frame = new Frame(place, {
    name: "weights",
    caption: "The weights of the chosen step, its own and those that are used; the most probable next words with both; and the output before and after your changes. ◂ marks the word that is written. A word that differs is underlined. ⏎ is the end token. At the bottom: what becomes of the outputs if the weights of every step are changed, and how often all weight of a single step can be put on another token without changing the word; “on noun”: all weight of an article's step goes to its noun.",
    note: `The model runs in this page; it decodes greedily. The shares are measured on ${sentences} test sentences.${note}`,
  }, paint);
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    restart();
  } });
  const outputs = html("div", { class: "chips", role: "group", "aria-label": "Output: choose a step" });
  const sources = html("div", { class: "chips", role: "group", "aria-label": "Weights of the source words in this step" });
  const nexts = html("div", { class: "chips", role: "group", "aria-label": "Force the word of this step" });
  const own = html("input", { type: "text", spellcheck: "false", autocomplete: "off", class: "short", onkeydown: ({ key }) => key === "Enter" && forceTyped() });
  frame.controls.append(
    ...(tasks[RUN] ? [choice("Model", [["phrases", "phrases"], [RUN, "your run"]], state.task, (task) => {
      Object.assign(state, { task, example: 0, result: null, plain: null });
      useExample();
    })] : []),
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    html("div", { class: "line" }, html("p", {}, "1. Choose a step:"), outputs),
    html("div", { class: "line" }, html("p", {}, "2. Drag weight from word to word (or press one, then another; the arrow keys carry 10 %):"), sources),
    html("div", { class: "line" }, html("p", {}, "or force the word that it writes:"), nexts, html("label", {}, html("span", {}, "another word"), own), button("Force", forceTyped)),
    html("div", { class: "line" }, button("Undo this step", undoStep), button("Undo all", () => restart())),
  );
  onColours(() => frame.refresh());
  useExample();

  function useExample() {
    const all = tasks[state.task].examples;
    state.source = all[state.example % all.length] ?? "";
    field.value = state.source;
    restart();
  }

  function restart() {
    Object.assign(state, { weights: {}, forced: {}, picked: null });
    run(true);
  }

  function undoStep() {
    delete state.weights[state.step];
    delete state.forced[state.step];
    state.picked = null;
    run();
  }

  async function run(isNew = false) {
    state.turn += 1;
    const { turn, source } = state;
    const { model } = tasks[state.task];
    if (!source.trim()) return;
    if (!state.result) {
      frame.report("Loading the models…");
      for (const group of [outputs, sources, nexts]) group.replaceChildren();
    }
    try {
      const { weights, forced } = state;
      const plain = isNew ? await model.steer(source) : state.plain;
      const result = isNew ? plain : await model.steer(source, { weights, forced });
      if (turn !== state.turn) return; // the reader has moved on
      Object.assign(state, { plain, result, step: Math.min(isNew ? 0 : state.step, result.steps.length - 1) });
      refresh();
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    }
  }

  function refresh() {
    if (!state.result) return; // the model is loading
    const { steps, pieces } = state.result;
    const step = steps[state.step];
    fill(outputs, steps.map(({ piece }, at) => chip(shown(piece), {
      "aria-pressed": String(at === state.step), class: `chip ${isChanged(at) ? "changed" : ""}`, onclick: () => select(at),
    })));
    fill(sources, pieces.map((piece, at) => sourceChip(shown(piece), step.used[at], at)));
    fill(nexts, step.candidates.map(({ id, piece, used }) => chip(shown(piece), {
      "aria-pressed": String(id === step.token), class: "chip", onclick: () => force([id]),
    }, percentOf(used))));
    report();
    frame.refresh();
  }

  // Replace the children of a group, and keep the focus at the same place.
  function fill(group, children) {
    const at = [...group.children].indexOf(document.activeElement);
    group.replaceChildren(...children);
    if (at >= 0) group.children[Math.min(at, children.length - 1)].focus();
  }

  function chip(label, attributes, value = null) {
    return html("button", { type: "button", ...attributes }, html("span", {}, label), value === null ? null : html("small", {}, ` ${value}`));
  }

  function sourceChip(label, weight, at) {
    const isPicked = state.picked === at;
    return html("button", {
      type: "button", class: "chip weight", "data-place": at, "aria-pressed": String(isPicked), style: `--weight: ${Math.max(0, Math.min(1, weight))}`,
      onpointerdown: (event) => drag(event, at), onkeydown: (event) => carry(event, at), onclick: () => pick(at),
    }, html("span", {}, label), html("small", {}, ` ${percentOf(weight)}`));
  }

  function select(step) {
    Object.assign(state, { step, picked: null });
    refresh();
  }

  // The pointer is released over another word: it gets all of the weight.
  function drag(event, from) {
    const { pointerId } = event;
    const under = ({ clientX, clientY }) => document.elementFromPoint(clientX, clientY)?.closest?.("[data-place]");
    const mark = (target) => sources.querySelectorAll("[data-place]").forEach((element) => element.classList.toggle("target", element === target && Number(target.dataset.place) !== from));
    const move = (moved) => moved.pointerId === pointerId && mark(under(moved));
    const end = (released) => {
      if (released.pointerId !== pointerId) return;
      for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) removeEventListener(name, listener);
      mark(null);
      const target = released.type === "pointerup" ? under(released) : null;
      if (target && sources.contains(target) && Number(target.dataset.place) !== from) moveWeight(from, Number(target.dataset.place), 1);
    };
    for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) addEventListener(name, listener);
  }

  function pick(at) {
    if (state.picked === null || state.picked === at) {
      state.picked = state.picked === at ? null : at;
      refresh();
    } else moveWeight(state.picked, at, 1);
  }

  function carry(event, at) {
    const to = at + { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!(to >= 0 && to < state.result.pieces.length)) return;
    event.preventDefault();
    sources.children[to].focus();
    moveWeight(at, to, STEP);
  }

  function moveWeight(from, to, most) {
    const weights = [...(state.weights[state.step] ?? state.result.steps[state.step].own)];
    const amount = Math.min(most, weights[from]);
    weights[from] -= amount;
    weights[to] += amount;
    state.weights[state.step] = weights;
    state.result.steps[state.step].used = weights; // until the model has run
    state.picked = null;
    run();
  }

  function force(ids) {
    ids.forEach((id, at) => { state.forced[state.step + at] = id; });
    run();
  }

  async function forceTyped() {
    if (!own.value.trim()) return;
    const ids = await tasks[state.task].model.targetIds(own.value);
    if (ids.includes(3)) frame.report(`“${own.value}” is not in the vocabulary of the model.`, true);
    else force(ids);
  }

  function isChanged(at) { return at in state.weights || at in state.forced; }

  function report() {
    const { plain, result, step: at } = state;
    const step = result.steps[at];
    const original = step.candidates.find(({ id }) => id === step.best);
    const parts = [`Step ${at + 1} writes ${shown(step.piece)}.`];
    if (at in state.weights) parts.push(`With its own weights it would write ${shown(original.piece)} (probability ${number(original.own)}); with yours that has ${number(original.used)}.`);
    if (step.isForced) parts.push("You forced it.");
    parts.push(result.output === plain.output ? `Output: ${result.output}.` : `Before: ${plain.output}. After: ${result.output}.`);
    if (result.unknown) parts.push("The model does not know all words of the source.");
    frame.report(parts.join(" "));
  }

  function paint(width) {
    if (!state.result) return { height: 200, label: "The figure is loading.", children: [text(0, 60, "loading the model…", "quiet")] };
    const children = [];
    const step = state.result.steps[state.step];
    const isWide = width >= 640;
    const half = isWide ? (width - 40) / 2 : width;
    const left = paintBars(children, { x: 0, y: 0, width: half, title: `Step ${state.step + 1}: weights of the source words` },
      state.result.pieces.map((piece, at) => [shown(piece), step.own[at], step.used[at]]));
    const right = paintBars(children, { x: isWide ? half + 40 : 0, y: isWide ? 0 : left + 20, width: half, title: `Step ${state.step + 1}: probability of the next word` },
      step.candidates.map(({ piece, own: before, used: after, id }) => [`${shown(piece)}${id === step.token ? " ◂" : ""}`, before, after]));
    let y = Math.max(left, right) + 22;
    for (const [title, steps, other] of [["Output before your changes", state.plain.steps, null], ["Output after your changes", state.result.steps, state.plain.steps]]) {
      children.push(text(0, y, title, "strong"));
      y = paintOutput(children, width, y + 24, steps, other) + 12;
    }
    if (state.task === "phrases") y = paintMeasured(children, width, y + 12);
    return { height: y, label: describe(), children };
  }

  function paintMeasured(children, width, top) {
    const kept = [...Object.entries(moved.kept).map(([kind, { share }]) => [`${kind}s`, share]), ["articles, on noun", moved.article.same]];
    const isWide = width >= 640;
    const half = isWide ? (width - 40) / 2 : width;
    const left = paintShares(children, { x: 0, y: top, width: half, title: "Right translations, if all steps use" }, Object.entries(ways));
    return Math.max(left, paintShares(children, { x: isWide ? half + 40 : 0, y: isWide ? top : left + 18, width: half, title: "Same word, all weight on another token" }, kept));
  }

  function describe() {
    const step = state.result.steps[state.step];
    const weights = state.result.pieces.map((piece, at) => `${piece} ${number(step.own[at])} to ${number(step.used[at])}`).join(", ");
    return `Weights of step ${state.step + 1}, its own and used: ${weights}. Output before: ${state.plain.output}. Output after: ${state.result.output}. Right translations: ${Object.entries(ways).map(([name, share]) => `${name} ${percent(share)}`).join(", ")}. Steps that keep their word with all weight on another token: ${Object.entries(moved.kept).map(([kind, { share }]) => `${kind}s ${percent(share)}`).join(", ")}.`;
  }
}

// Rows with two bars, before and after, and their numbers. Returns the height.
function paintBars(children, { x, y, width, title }, rows) {
  children.push(text(x, y + 14, title, "strong"));
  const labels = rows.map(([label]) => pieces(label, Math.floor((width * 0.36) / 9)));
  const room = Math.min(width * 0.36, Math.max(...labels.flat().map((label) => [...label].length)) * 9) + 10;
  const [left, right] = [x + room, x + width - 46];
  children.push(text(left, y + 34, "own", "small a"), text(left + 34, y + 34, "used", "small b"));
  let top = y + 42;
  rows.forEach(([, own, used], at) => {
    labels[at].forEach((part, line) => children.push(text(x, top + 17 + 16 * line, part, "mono")));
    [[own, "a", 2], [used, "b", 14]].forEach(([value, kind, offset]) => {
      children.push(svg("rect", { x: left, y: top + offset, width: right - left, height: 9, class: "band" }));
      children.push(svg("rect", { x: left, y: top + offset, width: Math.max(0, (right - left) * Math.min(1, value)), height: 9, class: `bar ${kind}` }));
      children.push(text(right + 6, top + offset + 9, number(value), `cell ${kind}`));
    });
    top += Math.max(30, 12 + 16 * labels[at].length);
  });
  return top;
}

// Rows with a share each. Returns the height.
function paintShares(children, { x, y, width, title }, rows) {
  children.push(text(x, y + 14, title, "strong"));
  const [left, room] = [x + 138, width - 138 - 46];
  rows.forEach(([name, share], at) => {
    const top = y + 26 + 22 * at;
    children.push(text(x, top + 13, name, "small"), svg("rect", { x: left, y: top, width: room, height: 15, class: "band" }));
    children.push(svg("rect", { x: left, y: top, width: room * share, height: 15, class: "bar c" }), text(left + room + 6, top + 13, percent(share), "small strong"));
  });
  return y + 32 + 22 * rows.length;
}

// Words in rows; those that differ from the other output are underlined and bold.
function paintOutput(children, width, y, steps, other) {
  let [left, row] = [0, y];
  steps.forEach(({ piece, token }, at) => {
    for (const part of pieces(shown(piece), Math.floor(width / 9))) {
      const room = [...part].length * 8.6 + 9;
      if (left + room > width && left) [left, row] = [0, row + 26];
      const isDifferent = other !== null && other[at]?.token !== token;
      children.push(text(left, row, part, `mono ${isDifferent ? "strong b" : ""}`));
      if (isDifferent) children.push(svg("rect", { x: left, y: row + 4, width: room - 9, height: 2, class: "bar b" }));
      left += room;
    }
  });
  return row + 14;
}

// A label in parts of at most `size` characters.
function pieces(label, size) {
  const letters = [...label];
  return Array.from({ length: Math.max(1, Math.ceil(letters.length / size)) }, (_, at) => letters.slice(at * size, (at + 1) * size).join(""));
}

function percentOf(share) { return share < 0.005 ? "<1 %" : percent(share); }

// Add the reader's own run if its attention can be changed and a step has one; return what to say if not.
async function addRun(tasks) {
  if (document.documentElement.dataset.run !== RUN) return "";
  const model = new Model("../run/steered");
  try {
    const manifest = await model.load();
    const { shape: [, layers, heads] } = manifest.step.inputs.find(({ name }) => name === "source_scale");
    tasks[RUN] = { model, examples: await fetchJson("../run/examples.json") };
    return layers * heads > 1 ? " Your run has several heads: all of them use your weights." : "";
  } catch {
    return " Your run has no attention that can be changed here.";
  }
}
