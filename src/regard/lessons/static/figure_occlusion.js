// Lesson 4: attention and occlusion of the same words, live, and how often they agree, measured.
import { Frame, button, choice, fetchJson, html, number, onColours, percent, slider, svg, text, wrap } from "./figure.js";
import { Model } from "./runtime.js";

const RUN = "run";
const HIDDEN = [["replaced", "replaced by <unk>"], ["removed", "removed"]];
const KINDS = [["all", "all words"], ["article", "articles"], ["noun", "nouns"], ["adjective", "adjectives"], ["verb", "verbs"], ["conjunction", "conjunctions"]];
const TINY = 0.005; // a fall that is shown as 0
const shown = (piece) => (piece === "</s>" ? "⏎" : piece.replaceAll("▁", "␣"));

export async function draw(place) {
  const { occlusion, sentences, examples, heads } = await fetchJson("figures/what_if.json");
  const tasks = {
    phrases: { name: "phrases", model: new Model("models/phrases"), examples },
    dates: { name: "dates", model: new Model("models/dates-bahdanau2014"), examples: heads.examples },
  };
  if (document.documentElement.dataset.run === RUN) tasks[RUN] = { name: "your run", model: new Model("../run"), examples: await fetchJson("../run/examples.json") };
  const state = { task: "phrases", hidden: "replaced", example: 0, source: "", step: 0, result: null, turn: 0 };
  const frame = new Frame(place, {
    name: "occlusion",
    caption: "Above: the attention weights of one output word, and by how much its log-probability falls when a source word is hidden. The bars of each column are drawn relative to its largest. A negative fall means that the word became more probable. Below: how often the word with the largest weight is the one whose absence matters most, with 95 % intervals (thin lines).",
    note: `The models run in this page. Measured on ${sentences} test sentences with the model of phrases, each output decoded greedily; intervals by resampling sentences.`,
  }, paint);
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    run();
  } });
  const step = slider("Output word", { min: 1, max: 2, value: 1, show: (value) => (state.result ? `${value}: ${shown(state.result.outputPieces[value - 1] ?? "")}` : value) }, (value) => {
    state.step = value - 1;
    report();
    frame.refresh();
  });
  frame.controls.append(
    choice("Model", Object.entries(tasks).map(([value, { name }]) => [value, name]), state.task, (task) => {
      Object.assign(state, { task, example: 0, result: null });
      useExample();
    }),
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    step.element,
    choice("Hidden words are", HIDDEN, state.hidden, (hidden) => {
      state.hidden = hidden;
      if (state.result) report();
      frame.refresh();
    }),
  );
  onColours(() => frame.refresh());
  useExample();

  function useExample() {
    const all = tasks[state.task].examples;
    Object.assign(state, { source: all[state.example % all.length] ?? "", step: 0 });
    field.value = state.source;
    run();
  }

  async function run() {
    state.turn += 1;
    const { turn, source } = state;
    if (!source.trim()) return;
    if (!state.result) frame.report("Loading the models…");
    try {
      const result = await tasks[state.task].model.occlude(source);
      if (turn !== state.turn) return; // the reader has moved on
      if (!result.attention[0]) throw new Error("it has no attention");
      state.result = result;
      state.step = Math.min(state.step, result.outputPieces.length - 1);
      step.set(state.step + 1, { max: result.outputPieces.length });
      report();
      frame.refresh();
    } catch (error) {
      frame.report(`The model cannot be used: ${error.message}`, true);
    }
  }

  // The source words without the end token, with the weight and the fall of each.
  function rows() {
    const { pieces, attention } = state.result;
    const falls = state.result[state.hidden][state.step];
    return falls.map((fall, at) => ({ at, word: shown(pieces[at]), weight: attention[state.step][at], fall }));
  }

  function report() {
    if (!state.result) return; // the model is loading
    const all = rows();
    const repeated = (word) => all.filter((row) => row.word === word).length > 1;
    const named = ({ word, at }) => (repeated(word) ? `${word} (place ${at + 1})` : word);
    const most = (name) => all.reduce((best, row) => (row[name] > best[name] ? row : best));
    const [weight, fall] = [most("weight"), most("fall")];
    const tau = kendall(all.map((row) => row.weight), all.map((row) => row.fall));
    const word = shown(state.result.outputPieces[state.step]);
    const occluded = fall.fall < TINY ? "hiding any single word changes next to nothing" : `the largest fall is without ${named(fall)} (${number(fall.fall)})${weight === fall ? ", the same word" : ", another word"}`;
    frame.report(`${word} (probability ${number(state.result.probabilities[state.step])}): the largest weight is on ${named(weight)} (${number(weight.weight)}), ${occluded}. Rank correlation ${signed(tau)}.${state.result.unknown ? " The model does not know all words of the source." : ""}`);
  }

  function paint(width) {
    const children = [];
    const y = state.result ? paintRows(children, width) : 200;
    if (!state.result) children.push(text(0, 60, "loading the model…", "quiet"));
    return { height: paintAgreement(children, y + 34, width), label: describe(), children };
  }

  function describe() {
    const measured = KINDS.map(([kind, name]) => `${name} ${occlusion[state.hidden][kind].agree.map(percent).join(" (").replace(/ \((?=[^(]*$)/, " to ")})`).join(", ");
    const live = state.result ? rows().map(({ word, weight, fall }) => `${word}: weight ${number(weight)}, fall ${signed(fall)}`).join("; ") : "";
    return `Attention and occlusion. ${live}. Same word first, over the test set: ${measured}.`;
  }

  function paintRows(children, width) {
    const all = rows();
    const longest = Math.max(...all.map(({ word }) => [...word].length));
    const perLine = Math.max(4, Math.floor((width * 0.3) / 9));
    const left = Math.min(longest, perLine) * 9 + 12;
    const half = (width - left - 16) / 2;
    const room = half - 44;
    const largest = { weight: Math.max(...all.map(({ weight }) => weight)), fall: Math.max(10 * TINY, ...all.map(({ fall }) => fall)) };
    children.push(text(0, 14, `Output: ${shown(state.result.outputPieces[state.step])}`, "strong"));
    children.push(text(left, 38, width < 480 ? "weight" : "attention weight", "small a"), text(left + half + 16, 38, width < 480 ? "fall if hidden" : "fall of the log-probability if hidden", "small b"));
    let y = 46;
    for (const { word, weight, fall } of all) {
      const parts = Array.from({ length: Math.ceil([...word].length / perLine) }, (_, at) => [...word].slice(at * perLine, (at + 1) * perLine).join(""));
      parts.forEach((part, at) => children.push(text(0, y + 13 + 16 * at, part, "mono")));
      [[left, weight, "weight", "a"], [left + half + 16, fall, "fall", "b"]].forEach(([x, value, name, kind]) => {
        const isLargest = value === largest[name];
        children.push(svg("rect", { x, y: y + 1, width: room, height: 15, class: "band" }));
        children.push(svg("rect", { x, y: y + 1, width: Math.max(0, (room * value) / largest[name]), height: 15, class: `bar ${kind}` }));
        children.push(text(x + room + 5, y + 13, signed(value), isLargest ? `small strong ${kind}` : "small"));
      });
      y += Math.max(21, 5 + 16 * parts.length);
    }
    return y;
  }

  function paintAgreement(children, top, width) {
    const measured = occlusion[state.hidden];
    children.push(text(0, top, width < 480 ? "Same word first, measured" : "Share of output words for which both name the same source word", "strong"));
    const left = 104;
    const isWide = width >= 640;
    const room = width - left - (isWide ? 160 : 62);
    let y = top + 14;
    for (const [kind, name] of KINDS) {
      const { agree: [share, low, high], steps } = measured[kind];
      children.push(text(0, y + 14, name, "small"));
      children.push(svg("rect", { x: left, y: y + 2, width: room, height: 15, class: "band" }), svg("rect", { x: left, y: y + 2, width: room * share, height: 15, class: "bar c" }));
      children.push(svg("rect", { x: left + room * low, y: y + 8, width: Math.max(1, room * (high - low)), height: 2, style: "fill: var(--f-ink)" }));
      const bar = svg("rect", { x: left, y: y + 2, width: room, height: 15, fill: "transparent" });
      bar.append(svg("title", {}, `${steps} words`));
      children.push(bar, text(left + room + 6, y + 14, percent(share), "small strong"));
      if (isWide) children.push(text(left + room + 56, y + 14, `(${percent(low)} to ${percent(high)})`, "small quiet"));
      y += 22;
    }
    const correlation = (kind) => measured[kind].tau.map((value) => number(value)).join(" (").replace(/ \((?=[^(]*$)/, " to ");
    const { noun, weight } = measured.article;
    const share = (values) => `${percent(values[0])} (${percent(values[1])} to ${percent(values[2])})`;
    const lines = [`mean rank correlation, all ${measured.all.steps} words: ${correlation("all")}); verbs: ${correlation("verb")})`, `articles whose largest fall is without their noun: ${share(noun)}; mean weight on the word with the largest fall: ${number(weight[0])}`].flatMap((part) => wrap(part, width, 6.9));
    lines.forEach((part, at) => children.push(text(0, y + 18 + 18 * at, part, "small quiet")));
    return y + 12 + 18 * lines.length;
  }
}

// A number with two digits, without a sign if it is 0.
function signed(value) { return number(Math.abs(value) < TINY ? 0 : value); }

// The share of pairs in the same order in both lists, minus that in the opposite order.
export function kendall(first, second) {
  let [sum, count] = [0, 0];
  for (let one = 0; one < first.length; one += 1) {
    for (let other = one + 1; other < first.length; other += 1) {
      sum += Math.sign(first[one] - first[other]) * Math.sign(second[one] - second[other]);
      count += 1;
    }
  }
  return count ? sum / count : 0;
}
