// What all live figures share: elements, controls, a frame that draws again when its width changes, and saving as SVG.
const SVG = "http://www.w3.org/2000/svg";
const STYLES = ["color", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "font-family", "font-size", "font-weight", "text-anchor", "opacity", "image-rendering"];
let numbers = 0;

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const html = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
export const text = (x, y, content, kind = "", anchor = "start") => svg("text", { x, y, class: kind, "text-anchor": anchor }, content);
export const line = (x1, y1, x2, y2, kind = "rule") => svg("line", { x1, y1, x2, y2, class: kind });
export const group = (x, y, ...children) => svg("g", { transform: `translate(${x} ${y})` }, ...children);

export async function fetchJson(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be loaded (status ${response.status})`);
  return response.json();
}

// A range input with its label and value; `show` turns the value into text.
export function slider(label, { min, max, value, step = 1, show = String }, onchange) {
  const output = html("output", {}, show(value));
  const input = html("input", { type: "range", min, max, step, value, oninput: () => {
    api.refresh();
    onchange(Number(input.value));
  } });
  const api = {
    element: html("label", { class: "grow" }, html("span", {}, label), input, output),
    input,
    get value() { return Number(input.value); },
    set(value, limits = {}) {
      Object.assign(input, limits);
      input.value = value;
      api.refresh();
    },
    refresh() {
      output.textContent = show(Number(input.value));
      input.ariaValueText = output.textContent;
    },
  };
  api.refresh();
  return api;
}

// Radio buttons; options are pairs of value and text.
export function choice(legend, options, value, onchange) {
  numbers += 1;
  const name = `choice-${numbers}`;
  return html("fieldset", {}, html("legend", {}, legend), options.map(([option, content]) =>
    html("label", {}, html("input", { type: "radio", name, value: option, checked: option === value, onchange: () => onchange(option) }), content)));
}

export function checkbox(label, checked, onchange) {
  const input = html("input", { type: "checkbox", checked, onchange: () => onchange(input.checked) });
  return html("label", {}, input, html("span", {}, label));
}

export const button = (label, onclick) => html("button", { type: "button", onclick }, label);

// The frame of a figure. `paint(width)` returns { height, label, children } of the drawing, whose units are pixels, and a
// `width` if it needs more than there is: then it scrolls.
export class Frame {
  constructor(place, { name, caption, note = "" }, paint) {
    this.name = name;
    this.paint = paint;
    this.controls = html("div", { class: "controls" });
    this.drawing = html("div", { class: "drawing" });
    this.status = html("p", { class: "status", role: "status" });
    place.append(
      this.controls, this.drawing, this.status, html("p", { class: "caption" }, caption),
      html("div", { class: "foot" }, html("p", {}, note), button("Save as SVG", () => this.save())),
    );
    new ResizeObserver(() => this.refresh()).observe(this.drawing);
  }
  // Draw at most once per frame of the screen.
  refresh() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }
  draw() {
    const width = Math.round(this.drawing.clientWidth);
    if (!width) return;
    const { height, label, children, width: needed = width } = this.paint(width);
    const isWide = needed > width;
    const root = svg("svg", { viewBox: `0 0 ${needed} ${Math.ceil(height)}`, width: needed, height: Math.ceil(height), role: "img", "aria-label": label, style: isWide ? `width: ${needed}px` : undefined }, children);
    this.drawing.classList.toggle("wide", isWide);
    if (isWide) this.drawing.tabIndex = 0;
    else this.drawing.removeAttribute("tabindex");
    this.drawing.replaceChildren(root);
  }
  report(message, isTrouble = false) {
    this.status.textContent = message;
    this.status.classList.toggle("trouble", isTrouble);
  }
  save() {
    const link = html("a", { href: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(this.export())}`, download: `${this.name}.svg` });
    link.click();
  }
  // The drawing as a file that looks the same without the style sheet.
  export() {
    const root = this.drawing.querySelector("svg");
    const copy = root.cloneNode(true);
    copy.setAttribute("xmlns", SVG);
    const originals = [root, ...root.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((element, place) => {
      const computed = getComputedStyle(originals[place]);
      element.setAttribute("style", STYLES.map((name) => `${name}:${computed.getPropertyValue(name)}`).join(";"));
      element.removeAttribute("class");
    });
    const ground = svg("rect", { width: "100%", height: "100%", fill: getComputedStyle(this.drawing.closest(".figure")).backgroundColor });
    copy.prepend(ground);
    return new XMLSerializer().serializeToString(copy);
  }
}

const colour = (element, name) => {
  const [, r, g, b] = /#(..)(..)(..)/.exec(getComputedStyle(element).getPropertyValue(name).trim());
  return [r, g, b].map((part) => parseInt(part, 16));
};

// Numbers between -limit and limit as one pixel each: blue above zero, orange below, nothing at zero.
// `columns` are arrays of equal length; each becomes a column of the picture.
export function heatmap(place, columns, x, y, width, height, limit = 1) {
  const [plus, minus] = ["--f-plus", "--f-minus"].map((name) => colour(place.closest(".figure"), name));
  const canvas = html("canvas", { width: columns.length, height: columns[0].length });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  columns.forEach((column, left) => column.forEach((value, top) => {
    const share = Math.min(1, Math.abs(value) / limit);
    pixels.data.set([...(value > 0 ? plus : minus), Math.round(255 * share)], 4 * (top * columns.length + left));
  }));
  context.putImageData(pixels, 0, 0);
  return svg("image", { href: canvas.toDataURL(), x, y, width, height, preserveAspectRatio: "none", style: "image-rendering: pixelated" });
}

export const percent = (share) => `${Math.round(100 * share)} %`;
export const number = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

// Let figures draw again when the reader switches between light and dark.
export function onColours(refresh) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new MutationObserver(refresh).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
}

// Lines of at most the given width, for letters of a width; none of an empty text. A word that is wider than a line is broken.
export function wrap(content, width, letter = 7.6) {
  const room = Math.max(1, Math.floor(width / letter)); // letters of a line
  const lines = [""];
  for (const word of content.split(" ")) {
    for (let rest = [...word]; rest.length; rest = rest.slice(room)) {
      const part = rest.slice(0, room).join("");
      if (lines.at(-1) && lines.at(-1).length + part.length > room) lines.push("");
      lines.push(`${lines.pop()}${part}`);
    }
    lines.push(`${lines.pop()} `);
  }
  return lines.map((part) => part.trim()).filter(Boolean);
}
