// Lesson 3: dot products grow with the number of dimensions; without 1 / sqrt(d) the softmax saturates.
import { Frame, button, checkbox, group, line, number, onColours, slider, svg, text } from "./figure.js";
import { mulberry, softmax } from "./scores.js";

const KEYS = 8;
const LARGEST = 10; // dimensions up to 2 ** LARGEST
const DRAWS = 100; // of a query and keys, for the curves

export async function draw(place) {
  const state = { power: 2, isScaled: false, seed: 1 };
  const frame = new Frame(place, {
    name: "saturation",
    caption: `Above: one random query and ${KEYS} random keys; all components have mean 0 and variance 1. Below: the mean over ${DRAWS} such draws. The gradient is the sum of the derivatives of each weight by its own score, Σ a(1 − a): when one weight is 1, it is 0, and nothing is learned through the scores.`,
    note: "Computed in this page, with a fixed seed.",
  }, paint);
  frame.controls.append(
    slider("Dimensions d", { min: 0, max: LARGEST, value: state.power, show: (power) => String(2 ** power) }, (power) => {
      state.power = power;
      frame.refresh();
    }).element,
    checkbox("divide by √d", state.isScaled, (isChecked) => {
      state.isScaled = isChecked;
      frame.refresh();
    }),
    button("Another draw", () => {
      state.seed += 1;
      frame.refresh();
    }),
  );
  const curves = [false, true].map((isScaled) => Array.from({ length: LARGEST + 1 }, (_, power) => meanOfDraws(2 ** power, isScaled)));
  onColours(() => frame.refresh());

  function paint(width) {
    const { scores, weights } = drawOnce(2 ** state.power, state.isScaled, mulberry(1000 * state.seed + state.power));
    const isWide = width >= 640;
    const panel = isWide ? (width - 40) / 2 : width;
    const largest = Math.max(...scores.map(Math.abs));
    const parts = [
      paintBars(panel, "Scores", scores, Math.max(4, largest), (value) => number(value, 1), "c"),
      paintBars(panel, "Weights after softmax", weights, 1, (value) => number(value), "b"),
      paintCurve(panel, "Mean largest weight", "largest", 1),
      paintCurve(panel, "Mean gradient", "gradient", 0.9),
    ];
    const children = [];
    let height = 0;
    parts.forEach((part, place) => {
      const x = isWide && place % 2 ? panel + 40 : 0;
      children.push(group(x, height, ...part.children));
      if (!isWide || place % 2) height += part.height + 14;
    });
    frame.report(`d = ${2 ** state.power}, ${state.isScaled ? "divided by √d" : "not divided"}: largest score ${number(largest, 1)}, largest weight ${number(Math.max(...weights))}.`);
    return { height, label: `Scores of ${KEYS} random keys in ${2 ** state.power} dimensions: ${scores.map((score) => number(score, 1)).join(", ")}. Weights: ${weights.map((weight) => number(weight)).join(", ")}.`, children };
  }

  function paintBars(width, title, values, limit, show, kind) {
    const isSigned = values.some((value) => value < 0);
    const [top, bottom] = [50, 160];
    const zero = isSigned ? (top + bottom) / 2 : bottom;
    const scale = (isSigned ? (bottom - top) / 2 : bottom - top) / limit;
    const column = width / values.length;
    const children = [text(0, 16, title, "strong"), line(0, zero, width, zero, "frame")];
    values.forEach((value, place) => {
      const height = Math.abs(value) * scale;
      const x = place * column + column * 0.2;
      children.push(svg("rect", { x, y: value < 0 ? zero : zero - height, width: column * 0.6, height, class: `bar ${kind}` }));
      children.push(text((place + 0.5) * column, value < 0 ? zero + height + 14 : zero - height - 5, show(value), "small", "middle"));
    });
    return { height: 180, children };
  }

  function paintCurve(width, title, key, limit) {
    const [left, right, top, bottom] = [36, width - 10, 34, 150];
    const x = (power) => left + (power / LARGEST) * (right - left);
    const y = (value) => bottom - (value / limit) * (bottom - top);
    const children = [text(0, 16, title, "strong")];
    for (const tick of limit === 1 ? [0, 0.5, 1] : [0, 0.3, 0.6, 0.9]) children.push(line(left, y(tick), right, y(tick)), text(left - 6, y(tick) + 4, number(tick, 1), "small quiet", "end"));
    for (let power = 0; power <= LARGEST; power += 2) children.push(text(x(power), bottom + 18, String(2 ** power), "small quiet", "middle"));
    children.push(svg("line", { x1: x(state.power), x2: x(state.power), y1: top, y2: bottom, class: "dash quiet" }));
    curves.forEach((curve, number) => {
      const kind = number ? "b" : "a";
      children.push(svg("polyline", { points: curve.map((means, power) => `${x(power)},${y(means[key])}`).join(" "), class: `line ${kind}` }));
      curve.forEach((means, power) => {
        const [cx, cy] = [x(power), y(means[key])];
        children.push(number ? svg("circle", { cx, cy, r: 4, class: `dot ${kind}` }) : svg("rect", { x: cx - 3.5, y: cy - 3.5, width: 7, height: 7, class: `dot ${kind}` }));
      });
    });
    const [high, low] = key === "largest" ? [curves[0], curves[1]] : [curves[1], curves[0]];
    const name = (curve) => (curve === curves[0] ? ["q · k", "a"] : ["q · k / √d", "b"]);
    for (const [curve, dy] of [[high, -10], [low, key === "largest" ? 20 : -10]]) {
      const [label, kind] = name(curve);
      children.push(text(x(LARGEST - 0.5), y(curve[LARGEST - 1][key]) + dy, label, `small strong ${kind}`, "end"));
    }
    return { height: 176, children };
  }
}

// Normally distributed numbers (Box and Muller 1958).
export function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export function drawOnce(size, isScaled, random) {
  const vector = () => Float64Array.from({ length: size }, () => normal(random));
  const query = vector();
  const scores = Array.from({ length: KEYS }, () => {
    const product = vector().reduce((sum, value, place) => sum + value * query[place], 0);
    return isScaled ? product / Math.sqrt(size) : product;
  });
  return { scores, weights: softmax(scores) };
}

export function meanOfDraws(size, isScaled) {
  const random = mulberry(size);
  let [largest, gradient] = [0, 0];
  for (let count = 0; count < DRAWS; count += 1) {
    const { weights } = drawOnce(size, isScaled, random);
    largest += Math.max(...weights) / DRAWS;
    gradient += weights.reduce((sum, weight) => sum + weight * (1 - weight), 0) / DRAWS;
  }
  return { largest, gradient };
}
