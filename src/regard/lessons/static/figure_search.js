// Lesson 7: greedy, beam and lookahead search of one sentence, a step at a time, as a tree; what each search finds.
import { Frame, button, checkbox, choice, fetchJson, group, html, line, number, onColours, slider, svg, text, wrap } from "./figure.js";
import { Model } from "./runtime.js";
import { divisor } from "./search.js";

const [GAP, ROW] = [18, 44]; // space between columns, height of a row
const [NARROWEST, LETTER] = [90, 9]; // width of a box at least, and of a letter in it
const RUN = "run"; // the reader's own run, which `regard lesson RUN` serves
const NORMS = { none: { length_norm: "gnmt", length_penalty: 0 }, gnmt: { length_norm: "gnmt", length_penalty: 0.6 }, average: { length_norm: "average", length_penalty: 1 } };
const SEARCHES = { greedy: "greedy", beam: "beam", lookahead: "lookahead" };
const EXACT_STEPS = 10000;
const FATES = { kept: "kept", ended: "finished", pruned: "pruned", late: "pruned: an end must be among the best candidates", forbidden: "forbidden: empty" };
const STOPS = { enough: "enough hypotheses have finished", bound: "no prefix can become better", limit: "the length limit is reached" };

export async function draw(place) {
  const { examples } = await fetchJson("figures/search.json");
  const hasRun = document.documentElement.dataset.run === RUN;
  const models = { phrases: new Model("models/phrases"), ...(hasRun ? { [RUN]: new Model("../run") } : {}) };
  const ofRun = hasRun ? await fetchJson("../run/examples.json") : [];
  const state = { model: "phrases", search: "beam", beamSize: 2, topBeams: 1, depth: 2, norm: "none", allowEmpty: false, clauses: 1, example: 0, source: "", step: 2, result: null, others: [], exact: null, turn: 0 };
  const frame = new Frame(place, {
    name: "search",
    caption: "Each box is a candidate: its last token, and the log-probability of all tokens up to it. A solid box is kept, a dotted one is pruned, a green one has finished with ⏎, the end token. The thick path is the best finished hypothesis.",
    note: "The model runs in this page, and searches as regard translate does.",
  }, paint);
  const clauses = slider("Clauses", { min: 1, max: 4, value: 1 }, (value) => {
    Object.assign(state, { clauses: value, example: 0 });
    useExample();
  });
  const field = html("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => {
    state.source = field.value;
    search();
  } });
  const size = slider("beam_size", { min: 1, max: 5, value: state.beamSize }, (value) => {
    state.beamSize = value;
    state.topBeams = Math.min(state.topBeams, value);
    top.set(state.topBeams, { max: value });
    search();
  });
  const top = slider("top_beams", { min: 1, max: state.beamSize, value: 1 }, (value) => {
    state.topBeams = value;
    search();
  });
  const depth = slider("lookahead_depth", { min: 1, max: 4, value: state.depth }, (value) => {
    state.depth = value;
    search();
  });
  const step = slider("Step", { min: 1, max: 2, value: state.step }, show);
  const exact = button("Search exactly", searchExactly);
  if (hasRun) frame.controls.append(choice("Model", [["phrases", "phrases"], [RUN, "your run"]], state.model, (name) => {
    Object.assign(state, { model: name, example: 0, result: null });
    clauses.element.style.display = name === RUN ? "none" : "";
    useExample();
  }));
  frame.controls.append(
    html("div", { class: "row" }, html("label", { class: "grow" }, html("span", {}, "Source"), field), button("Another", () => {
      state.example += 1;
      useExample();
    })),
    clauses.element,
    choice("Search", Object.entries(SEARCHES), state.search, (value) => {
      state.search = value;
      search();
    }),
    size.element, top.element, depth.element,
    choice("Length normalization", [["none", "none"], ["gnmt", "gnmt 0.6"], ["average", "average 1"]], state.norm, (value) => {
      state.norm = value;
      search();
    }),
    checkbox("allow_empty", state.allowEmpty, (isChecked) => {
      state.allowEmpty = isChecked;
      search();
    }),
    step.element,
    button("Back", () => show(Math.max(1, state.step - 1))),
    button("Step", () => show(Math.min(steps(), state.step + 1))),
    button("To the end", () => show(steps())),
    exact,
  );
  onColours(() => frame.refresh());
  useExample();

  function steps() { return state.result?.trace.length ?? 1; }

  function show(value) {
    if (!state.result) return; // the model is loading
    state.step = value;
    step.set(value, { max: steps() });
    report();
    frame.refresh();
  }

  function useExample() {
    const all = state.model === RUN ? ofRun : examples[state.clauses];
    state.source = all[state.example % all.length] ?? "";
    field.value = state.source;
    search();
  }

  function settings(strategy) {
    return {
      ...NORMS[state.norm], allow_empty: state.allowEmpty, patience: 1, exact_steps: EXACT_STEPS, lookahead_width: 3, lookahead_depth: state.depth,
      strategy: strategy === "lookahead" || strategy === "exact" ? strategy : "beam",
      beam_size: strategy === "greedy" ? 1 : state.beamSize,
    };
  }

  async function search() {
    state.turn += 1;
    const { turn, source, model } = state;
    for (const [control, name] of [[size, "beam"], [top, "beam"], [depth, "lookahead"]]) control.element.style.display = state.search === name ? "" : "none";
    if (!source.trim()) return;
    if (!state.result) frame.report("Loading the models…");
    try {
      const found = await Promise.all(Object.keys(SEARCHES).map((name) => models[model].search(source, settings(name), name === "beam" ? state.topBeams : 1)));
      if (turn !== state.turn) return; // the reader has moved on
      const others = Object.keys(SEARCHES).map((name, at) => ({ name: name === "beam" ? `beam ${state.beamSize}` : name, ...found[at].hypotheses[0] }));
      Object.assign(state, { result: found[Object.keys(SEARCHES).indexOf(state.search)], others, exact: null });
      show(Math.min(state.step, steps()));
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    }
  }

  async function searchExactly() {
    const { turn, source, model } = state;
    if (!state.result) return;
    exact.disabled = true;
    frame.report("Searching…");
    try {
      const result = await models[model].search(source, settings("exact"));
      if (turn === state.turn) state.exact = result;
      report();
      frame.refresh();
    } catch (error) {
      frame.report(`The model cannot be run: ${error.message}`, true);
    } finally {
      exact.disabled = false;
    }
  }

  function report() {
    const { candidates, stop } = state.result.trace[state.step - 1];
    const count = (...fates) => candidates.filter(({ fate }) => fates.includes(fate)).length;
    const parts = [`Step ${state.step} of ${steps()}: ${candidates.length} candidates, ${count("kept")} kept, ${count("ended")} finished, ${count("pruned", "late", "forbidden")} pruned.`];
    if (stop) parts.push(`The search stops: ${STOPS[stop]}. Result: ${state.result.hypotheses[0].output || "nothing"}.`);
    if (state.exact) parts.push(`Exact search tried ${state.exact.fed} prefixes: ${state.exact.hypotheses[0].output || "the empty output"}${state.exact.hypotheses[0].proved ? "" : ", not proved"}.`);
    if (state.result.unknown) parts.push("The model does not know all words of the source.");
    frame.report(parts.join(" "));
  }

  function paint(width) {
    if (!state.result) return { height: 200, label: "The figure is loading.", children: [text(0, 60, "loading the model…", "quiet")] };
    const children = [];
    let height = 0;
    for (const part of [paintTree(width), paintFinished(width), paintSearches(width)]) {
      children.push(group(0, height, ...part.children));
      height += part.height + 18;
    }
    return { height, label: describe(), children };
  }

  function describe() {
    return `The search tree for the source ${state.source} after step ${state.step}. ${finished().map((end) => `Finished: ${textOf(end)}, score ${number(end.score)}.`).join(" ")}`;
  }

  // The candidates of a step with the place of each one's parent among the candidates of the step before.
  function columns() {
    let parents = [0];
    return state.result.trace.map(({ candidates }) => {
      const column = candidates.map((candidate) => ({ ...candidate, at: parents[candidate.row] }));
      parents = candidates.flatMap(({ fate }, place) => (fate === "kept" ? [place] : []));
      return column;
    });
  }

  function pathOf({ column, place: at }) {
    const all = columns();
    const path = [];
    for (let [step, place] = [column, at]; step >= 0; step -= 1) {
      path[step] = place;
      place = all[step][place].at;
    }
    return path;
  }

  const textOf = (end) => end.text || "(empty)";

  // Hypotheses that have finished so far, best first.
  function finished() {
    const ends = columns().slice(0, state.step).flatMap((column, at) => column.flatMap((candidate, place) => (candidate.fate === "ended" ? [{ ...candidate, column: at, place }] : [])));
    return ends.sort((one, other) => other.score - one.score).slice(0, state.search === "beam" ? state.beamSize : 1);
  }

  function paintTree(width) {
    const all = columns();
    const box = Math.max(NARROWEST, ...all.flat().map(({ piece }) => LETTER * [...piece].length + 10));
    const room = Math.max(2, Math.floor((width + GAP) / (box + GAP)));
    const first = Math.max(0, state.step + 1 - room); // column 0 is the start
    const x = (column) => (column - first) * (box + GAP);
    const y = (place) => 26 + place * ROW;
    const [best] = finished();
    const path = best && state.result.trace[state.step - 1].stop ? pathOf(best) : [];
    const [edges, boxes] = [[], []];
    const rows = Math.max(...all.slice(Math.max(0, first - 1), state.step).map((column) => column.length));
    if (first === 0) boxes.push(svg("rect", { x: 0.5, y: y(0), width: box - 1, height: 34, rx: 5, class: "frame" }), text(box / 2, y(0) + 21, "start", "quiet", "middle"));
    for (let column = Math.max(1, first); column <= state.step; column += 1) {
      boxes.push(text(x(column), 14, column === first ? `… step ${column}` : `step ${column}`, "small quiet"));
      all[column - 1].forEach((candidate, place) => {
        const isBest = path[column - 1] === place;
        if (column > first) {
          const [from, to, mid] = [y(candidate.at) + 17, y(place) + 17, x(column) - GAP / 2];
          const kind = isBest ? "line b" : isPruned(candidate) ? "rule" : "frame";
          edges.push(svg("path", { d: `M${x(column) - GAP},${from} C${mid},${from} ${mid},${to} ${x(column)},${to}`, class: kind, style: "fill: none" }));
        }
        boxes.push(...paintBox(x(column), y(place), box, candidate, isBest));
      });
    }
    return { height: y(rows) + 4, children: [...edges, ...boxes] };
  }

  function isPruned({ fate }) { return fate !== "kept" && fate !== "ended"; }

  function paintBox(x, y, width, candidate, isBest) {
    const { fate, piece, total, ahead } = candidate;
    const isQuiet = isPruned(candidate);
    const kind = isQuiet ? "quiet" : fate === "ended" ? "c" : "b";
    const value = ahead === undefined ? number(total) : `${number(total)} → ${number(ahead)}`;
    const box = svg("rect", { x: x + 0.5, y, width: width - 1, height: 36, rx: 5, class: `outline ${kind}`, "stroke-width": isBest ? 2.6 : 1.4, "stroke-dasharray": isQuiet ? "2 3" : undefined });
    box.append(svg("title", {}, FATES[fate]));
    return [svg("rect", { x: x + 0.5, y, width: width - 1, height: 36, rx: 5, style: "fill: var(--f-paper)" }), box, text(x + width / 2, y + 15, piece === "</s>" ? "⏎" : piece, isQuiet ? "quiet" : "strong", "middle"), text(x + width / 2, y + 30, value, `cell ${isQuiet ? "quiet" : ""}`, "middle")];
  }

  function paintFinished(width) {
    const ends = finished();
    const children = [text(0, 16, "Finished hypotheses, best first", "strong")];
    if (!ends.length) return { height: 44, children: [...children, text(0, 38, "none yet", "small quiet")] };
    const isDone = Boolean(state.result.trace[state.step - 1].stop);
    let y = 38;
    ends.forEach((end, place) => {
      const isResult = isDone && place < (state.search === "beam" ? state.topBeams : 1);
      for (const part of wrap(textOf(end), width - 16)) {
        children.push(text(0, y, part, isResult ? "strong c" : ""));
        y += 20;
      }
      const length = end.column + 1;
      const norm = divisor(NORMS[state.norm], length);
      const sum = state.norm === "none" ? "" : ` / ${number(norm)} = score ${number(end.score)}`;
      children.push(text(0, y, `log-probability ${number(end.total)}${sum}; length ${length}${isResult ? "; returned" : ""}`, "small quiet"));
      y += 25;
    });
    return { height: y - 14, children };
  }

  function paintSearches(width) {
    const children = [line(0, 2, width, 2), text(0, 26, "What each search finds", "strong")];
    const { empty } = state.result;
    const rows = [...state.others.map((best) => ({ name: best.name, output: best.output, total: best.logProbability, score: best.score }))];
    if (state.exact) {
      const [best] = state.exact.hypotheses;
      rows.push({ name: best.proved ? "exact" : "exact, not proved", output: best.output, total: best.logProbability, score: best.score });
    }
    rows.push({ name: "the empty output", output: null, total: empty, score: empty / divisor(NORMS[state.norm], 1) });
    let y = 50;
    const best = Math.max(...rows.map(({ score }) => score));
    for (const { name, output, total, score } of rows) {
      const value = state.norm === "none" ? number(total) : `${number(total)}; score ${number(score)}`;
      const isBest = score > best - 1e-4;
      children.push(text(0, y, `${name}: ${value}`, `strong ${isBest ? "c" : ""}`));
      if (isBest) children.push(text(width, y, width < 480 ? "best" : "the best score", "small c", "end"));
      y += 19;
      if (output !== null) for (const part of wrap(output || "(empty)", width)) {
        children.push(text(0, y, part, "quiet"));
        y += 19;
      }
      y += 7;
    }
    return { height: y - 14, children };
  }
}
