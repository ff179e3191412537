// Lesson 6: what a step costs in all nine architectures, counted and measured, by length.
import { Frame, choice, fetchJson, line, number, onColours, slider, svg, text } from "./figure.js";

const COUNTS = [["operations", "operations"], ["chain", "operations in sequence"], ["source_paths", "path between source words"], ["target_paths", "path from source to target"]];
const FORMULAS = { operations: "operations", chain: "sequential", source_paths: "source_path", target_paths: "target_path" };
const REFERENCE = "transformer2017";
const CHART = 210; // height

export async function draw(place) {
  const { systems, lengths, batch, cpu, kernels, torch, rounds, preset } = await fetchJson("figures/cost.json");
  const names = Object.keys(systems);
  const state = { step: "training", count: "operations", at: lengths.length - 2, system: names.indexOf("bahdanau2014") };
  const frame = new Frame(place, {
    name: "cost",
    caption: `Upper bar: the count, with its formula (n and m: source and target length, d: units, k: width of a convolution, per layer). Lower bar, striped: the measured time. × is the ratio to ${REFERENCE}. Chart: the time by length, both axes logarithmic, for the chosen architecture and ${REFERENCE}; thin lines are the others.`,
    note: `Preset “${preset}”: about 2 million parameters each. CPU time of one thread of ${cpu} (kernels: ${kernels}, PyTorch ${torch}), the median of ${rounds} rounds, with the architectures in turn. Source and target have the same length.`,
  }, paint);
  const length = slider("Length", { min: 0, max: lengths.length - 1, value: state.at, show: (value) => `${lengths[value]} tokens` }, (at) => change({ at }));
  const system = slider("Architecture", { min: 0, max: names.length - 1, value: state.system, show: (value) => names[value] }, (value) => change({ system: value }));
  frame.controls.append(
    choice("Step", [["training", `training step, ${batch} sentences`], ["decoding", "one decoded token"]], state.step, (step) => change({ step })),
    choice("Count", COUNTS, state.count, (count) => change({ count })),
    length.element, system.element,
  );
  frame.drawing.before(frame.status);
  onColours(() => frame.refresh());
  change({});

  function change(values) {
    Object.assign(state, values);
    system.set(state.system);
    const name = names[state.system];
    const [count, time] = [countOf(name), timeOf(name)];
    const [counts, times] = [count / countOf(REFERENCE), time / timeOf(REFERENCE)];
    const { wall } = systems[name][state.step];
    frame.report(`${name} at ${lengths[state.at]} tokens: ${show(name)}, ${number(counts)} × ${REFERENCE}'s; ${milliseconds(time)} of CPU time, ${number(times)} × (wall time ${milliseconds(wall[state.at])}).`);
    frame.refresh();
  }

  function countOf(name, at = state.at) {
    const paths = systems[name][state.count];
    return paths ? paths[at].hops : systems[name][state.step][state.count][at];
  }

  function timeOf(name, at = state.at) {
    return systems[name][state.step].cpu[at];
  }

  // The count in words.
  function show(name) {
    const value = countOf(name);
    if (state.count === "operations") return `${short(value)} operations`;
    if (state.count === "chain") return `${value.toLocaleString("en")} in sequence`;
    const { reached } = systems[name][state.count][state.at];
    return `${value} ${value === 1 ? "hop" : "hops"}${reached < 1 ? `, ${Math.round(100 * (1 - reached))} % of pairs not connected` : ""}`;
  }

  function formulaOf(name) {
    if (state.step === "decoding" && state.count === "chain") return "layers";
    if (state.step === "decoding" && state.count === "operations") return systems[name].formulas.operations.includes("n² d") ? "d² + (n + m) d" : systems[name].formulas.operations.includes("n m d") ? "d² + n d" : "d²";
    return systems[name].formulas[FORMULAS[state.count]];
  }

  function paint(width) {
    const children = [stripes()];
    const isNarrow = width < 560;
    const left = isNarrow ? 0 : 224;
    const room = width - left - (isNarrow ? 176 : 210);
    const most = [Math.max(...names.map((name) => countOf(name))), Math.max(...names.map((name) => timeOf(name)))];
    const row = isNarrow ? 66 : 48;
    names.forEach((name, at) => {
      const y = row * at;
      const isChosen = at === state.system;
      const top = y + (isNarrow ? 22 : 2);
      children.push(text(0, y + 15, name, isChosen ? "strong b" : "strong"));
      children.push(text(isNarrow ? 150 : 0, y + (isNarrow ? 15 : 33), formulaOf(name), "small quiet"));
      [[countOf(name), show(name), countOf(REFERENCE)], [timeOf(name), milliseconds(timeOf(name)), timeOf(REFERENCE)]].forEach(([value, label, reference], bar) => {
        const long = Math.max(1.5, (room * value) / most[bar]);
        const top2 = top + 19 * bar;
        children.push(svg("rect", { x: left, y: top2, width: long, height: 15, ...(bar ? { fill: "url(#cost-stripes)", class: "outline a", style: "fill: url(#cost-stripes)" } : { class: "bar b" }) }));
        children.push(text(left + long + 6, top2 + 12, `${label} (${ratio(value / reference)})`, isNarrow && label.length > 18 ? "cell" : "small"));
      });
      children.push(svg("rect", { x: 0, y, width, height: row - 4, fill: "transparent", "data-pick": at, onclick: () => change({ system: at }) }));
      if (isChosen) children.push(svg("rect", { x: -5, y: y - 3, width: width + 6, height: row - 3, rx: 4, class: "outline b", "stroke-width": 1.5 }));
    });
    const top = row * names.length + 30;
    paintChart(children, width, top);
    return { height: top + CHART + 44, label: `${frame.status.textContent} ${names.map((name) => `${name}: ${show(name)}, ${milliseconds(timeOf(name))}`).join(". ")}.`, children };
  }

  function stripes() {
    return svg("defs", {}, svg("pattern", { id: "cost-stripes", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)", class: "a" }, svg("rect", { width: 3, height: 6, class: "bar" })));
  }

  function paintChart(children, width, top) {
    const [left, right, bottom] = [58, 132, top + CHART];
    const all = names.flatMap((name) => systems[name][state.step].cpu);
    const [low, high] = [Math.floor(Math.log10(Math.min(...all)) * 2) / 2, Math.ceil(Math.log10(Math.max(...all)) * 2) / 2];
    const x = (at) => left + ((width - left - right) * at) / (lengths.length - 1);
    const y = (value) => bottom - ((Math.log10(value) - low) / (high - low)) * (CHART - 30);
    children.push(text(0, top + 4, `CPU time of a ${state.step === "training" ? "training step" : "decoded token"} by length`, "small strong"));
    for (const value of [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000]) {
      if (Math.log10(value) < low - 0.02 || Math.log10(value) > high) continue;
      children.push(line(left, y(value), width - right, y(value)), text(left - 6, y(value) + 4, `${value.toLocaleString("en")} ms`, "cell quiet", "end"));
    }
    lengths.forEach((value, at) => children.push(text(x(at), bottom + 18, value, at === state.at ? "small strong" : "cell quiet", "middle")));
    children.push(text((left + width - right) / 2, bottom + 36, "tokens", "cell quiet", "middle"));
    children.push(line(x(state.at), bottom, x(state.at), top + 20, "dash quiet"));
    const path = (name) => names.length && systems[name][state.step].cpu.map((value, at) => `${at ? "L" : "M"} ${x(at)} ${y(value)}`).join(" ");
    const chosen = names[state.system];
    for (const name of names) if (name !== chosen && name !== REFERENCE) children.push(svg("path", { d: path(name), class: "frame", opacity: 0.55 }));
    const drawn = [...new Set([REFERENCE, chosen])];
    const ends = drawn.map((name) => y(systems[name][state.step].cpu.at(-1)) + 5);
    if (ends.length > 1 && Math.abs(ends[0] - ends[1]) < 16) ends[ends[0] < ends[1] ? 1 : 0] += 16 - Math.abs(ends[0] - ends[1]);
    drawn.forEach((name, index) => {
      const kind = name === chosen ? "b" : "d";
      children.push(svg("path", { d: path(name), class: name === chosen ? `line ${kind}` : `dash ${kind}`, "stroke-width": 2.2 }));
      systems[name][state.step].cpu.forEach((value, at) => children.push(svg("circle", { cx: x(at), cy: y(value), r: 3.2, class: `dot ${kind}` })));
      children.push(text(width - right + 8, ends[index], name, `small strong ${kind}`));
    });
  }
}

const ratio = (value) => `${value < 10 ? number(value, value < 0.095 ? 2 : 1) : Math.round(value)} ×`;
const milliseconds = (value) => `${value < 10 ? number(value, 2) : value < 100 ? number(value, 1) : Math.round(value)} ms`;

// A large number with three digits: 3.62 M, 28.1 G.
function short(value) {
  const [divisor, unit] = value >= 1e9 ? [1e9, " G"] : [1e6, " M"];
  const scaled = value / divisor;
  return `${number(scaled, scaled < 10 ? 2 : scaled < 100 ? 1 : 0)}${unit}`;
}
