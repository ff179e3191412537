// Drawings of attention weights that several figures share.
import { heatmap, line, svg, text } from "./figure.js";

const NAMES = { "<s>": "▷", "</s>": "⏎", "<unk>": "�", "▁": "␣", " ": "␣" };
const LETTER = 8.5; // width of a letter of a token
const [SMALLEST, LARGEST] = [11.5, 25]; // a cell, in pixels

export const shown = (token) => NAMES[token] ?? token;

// What `Model.heads` returns of a part (`encoder`, `decoder` or `source`): the tokens of rows and columns, and for each
// head a matrix of weights; rows of a causal part are filled up with zeros.
export function pattern(result, part) {
  const { pieces, outputPieces } = result;
  const sources = [...pieces.slice(0, -1), "</s>"];
  if (part === "encoder") {
    const { dims: [layers, heads, size], data } = result.encoder;
    const weights = Array.from({ length: layers * heads }, (_, head) => Array.from({ length: size }, (_row, row) => data.slice((head * size + row) * size, (head * size + row + 1) * size)));
    return { rows: sources, columns: sources, weights };
  }
  const steps = result[part];
  const inputs = ["<s>", ...outputPieces].slice(0, steps.length);
  const columns = part === "source" ? sources : inputs;
  const [layers, heads] = steps[0].dims;
  const weights = Array.from({ length: layers * heads }, (_, head) => steps.map(({ data }) => {
    const size = data.length / (layers * heads);
    return columns.map((_column, at) => (at < size ? data[head * size + at] : 0));
  }));
  return { rows: part === "source" ? outputPieces : inputs, columns, weights };
}

export const transpose = (matrix, columns) => Array.from({ length: columns }, (_, at) => matrix.map((row) => row[at]));

// Add a small picture of every matrix to `children`, `count` heads in a layer; `pick` is called with the number of the
// one that the reader chooses. Return the y of the end.
export function paintThumbnails(children, place, { rows, columns, weights }, { width, top, count, chosen, pick }) {
  const across = width >= 640 ? 8 : 4;
  const gap = 10;
  const thumb = (width - gap * (across - 1)) / across;
  const scale = thumb / Math.max(rows.length, columns.length);
  const [thumbWidth, thumbHeight] = [columns.length * scale, rows.length * scale];
  weights.forEach((matrix, index) => {
    const x = (index % across) * (thumb + gap);
    const y = top + 22 + Math.floor(index / across) * (thumbHeight + 34);
    const isChosen = index === chosen;
    children.push(text(x, y - 6, `${Math.floor(index / count) + 1}.${(index % count) + 1}`, isChosen ? "strong b" : "small quiet"));
    children.push(heatmap(place, transpose(matrix, columns.length), x, y, thumbWidth, thumbHeight));
    children.push(svg("rect", { x, y, width: thumbWidth, height: thumbHeight, class: isChosen ? "outline b" : "outline quiet", "stroke-width": isChosen ? 3 : 1 }));
    children.push(svg("rect", { x, y: y - 20, width: thumb, height: thumbHeight + 20, fill: "transparent", "data-pick": index, onclick: () => pick(index) }));
  });
  return top + 22 + Math.ceil(weights.length / across) * (thumbHeight + 34) + 6;
}

// Add the matrix `weights` with the tokens of its rows and columns. Columns that do not fit into the width go on below.
// `row` is outlined, if it is given. Return the y of the end.
export function paintMap(children, place, { rows, columns, weights, row = -1 }, { width, top }) {
  const longest = (tokens) => Math.max(...tokens.map((token) => LETTER * [...shown(token)].length));
  const left = Math.max(26, longest(rows) + 12);
  const { cell, kind, bands } = layout(columns.length, width - left);
  const isSlanted = longest(columns) > LETTER; // words
  let y = top;
  for (const [first, end] of bands) {
    const [across, down] = [cell * (end - first), cell * rows.length];
    y += 20 + (isSlanted ? 0.77 * longest(columns) : 0);
    columns.slice(first, end).forEach((token, at) => children.push(svg("text", { transform: `translate(${left + cell * (at + 0.5)} ${y - 6})${isSlanted ? " rotate(-50)" : ""}`, class: kind, "text-anchor": isSlanted ? "start" : "middle" }, shown(token))));
    rows.forEach((token, at) => children.push(text(left - 7, y + cell * (at + 0.5) + 5, shown(token), kind, "end")));
    children.push(heatmap(place, transpose(weights.map((values) => values.slice(first, end)), end - first), left, y, across, down));
    children.push(svg("rect", { x: left, y, width: across, height: down, class: "frame" }));
    for (let at = 1; at < end - first; at += 1) children.push(line(left + cell * at, y, left + cell * at, y + down));
    for (let at = 1; at < rows.length; at += 1) children.push(line(left, y + cell * at, left + across, y + cell * at));
    if (row >= 0) children.push(svg("rect", { x: left - 1, y: y + cell * row - 1, width: across + 2, height: cell + 2, class: "outline b", "stroke-width": 2.5 }));
    y += down + 8;
  }
  return y;
}

// How a picture with this many columns is drawn in a width: the size of a cell, the class of its text, and `bands`, the
// parts [first, end] of the columns that are drawn one below the other.
export function layout(columns, width) {
  const count = Math.ceil(columns / Math.floor(width / SMALLEST));
  const size = Math.ceil(columns / count);
  const cell = Math.min(LARGEST, width / Math.max(size, 12));
  const bands = Array.from({ length: count }, (_, at) => [at * size, Math.min(columns, (at + 1) * size)]);
  return { cell, kind: cell < 14 ? "mono cell" : "mono", bands: bands.filter(([first, end]) => end > first) };
}
