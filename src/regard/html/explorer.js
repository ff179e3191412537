// Draws attention maps: words connected by lines, and a table of weights for each layer and head. No dependencies.
"use strict";

const KINDS = { source: "target to source", encoder: "source to itself", decoder: "target to itself" };
const FAINT = 0.04; // weights below have no line
const MOST_CELLS = 4000; // a larger map is drawn on a canvas, without numbers
const CELL = 8; // of the canvas, in pixels
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
const LETTER = /\p{L}/u;
const UPRIGHT = /[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\u{20000}-\u{3ffff}]/u; // upright in vertical text

// Create an element. Style properties are set one by one: the Content-Security-Policy forbids the style attribute.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function mean(matrices) {
  return matrices[0].map((row, r) => row.map((_, c) => matrices.reduce((sum, matrix) => sum + matrix[r][c], 0) / matrices.length));
}

// The decoder input: BOS, and every target token but the last.
function shiftRight(side) {
  return {
    tokens: ["<s>", ...side.tokens.slice(0, -1)],
    words: ["<s>", ...side.words.slice(0, -1)],
    word_of_token: [0, ...side.word_of_token.slice(0, -1).map((word) => word + 1)],
  };
}

// Weights of words: the mean over the tokens that attend, the sum over the tokens that are attended to.
function foldToWords(weights, rows, columns) {
  const node = rows.words.map(() => columns.words.map(() => 0));
  const counts = rows.words.map(() => 0);
  rows.word_of_token.forEach((word) => { counts[word] += 1; });
  weights.forEach((row, r) => row.forEach((weight, c) => {
    const word = rows.word_of_token[r];
    node[word][columns.word_of_token[c]] += weight / counts[word];
  }));
  return node;
}

function percent(weight) {
  return `${Math.round(100 * weight)}%`;
}

// Writing direction, by the first letter of the text. `</s>` and `<s>` do not count.
function direction(words) {
  const first = words.filter((word) => !/^<\/?s>$/.test(word)).join(" ").match(LETTER);
  return first && RIGHT_TO_LEFT.test(first[0]) ? "rtl" : "ltr";
}

function visible(name) {
  return name.trim() === "" ? "␣" : name;
}

class Explorer {
  // maps: {source, target, gradient, mean, layers}, as `regard attend --json` writes them. With `words_unknown`, words are tokens.
  // view: the initial choices, from `view()` of another explorer. Layers and heads that do not exist are ignored.
  // changed: called after the reader has changed the view.
  constructor(place, maps, view = {}, changed = () => {}) {
    this.place = place;
    this.maps = maps;
    this.changed = changed;
    this.kind = maps.layers[view.kind] ? view.kind : "source";
    const layers = maps.layers[this.kind] || [];
    this.layer = layers.length > 1 ? Math.min(view.layer || 0, layers.length) : 0; // 0: the mean
    this.head = this.heads() > 1 ? Math.min(view.head || 0, this.heads()) : 0;
    this.byToken = Boolean(view.byToken);
    this.pinned = null;
    this.draw();
    this.resized = new ResizeObserver(() => this.arrange());
    this.resized.observe(this.place);
  }

  view() {
    return { kind: this.kind, layer: this.layer, head: this.head, byToken: this.byToken };
  }

  end() {
    this.resized.disconnect();
  }

  heads() {
    const layers = this.maps.layers[this.kind] || [];
    return layers.length ? Math.min(...layers.map((layer) => layer.length)) : 0;
  }

  rows() {
    return this.kind === "encoder" ? this.maps.source : this.maps.target;
  }

  columns() {
    return this.kind === "decoder" ? shiftRight(this.maps.target) : this.maps.source;
  }

  weights() {
    const layers = this.maps.layers[this.kind] || [];
    let weights;
    if (this.kind === "source" && !this.layer && !this.head) weights = this.maps.mean;
    else {
      const chosen = this.layer ? [layers[this.layer - 1]] : layers;
      weights = mean(chosen.map((heads) => (this.head ? heads[this.head - 1] : mean(heads))));
    }
    return this.byToken ? weights : foldToWords(weights, this.rows(), this.columns());
  }

  names(side) {
    return (this.byToken ? side.tokens : side.words).map(visible);
  }

  draw() {
    const rows = this.names(this.rows()), columns = this.names(this.columns());
    this.shown = this.weights();
    this.picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.picture.setAttribute("aria-hidden", "true");
    this.above = columns.map((name, number) => this.word(name, number, false));
    this.below = rows.map((name, number) => this.word(name, number, true));
    const note = this.maps.gradient
      ? element("p", { class: "saliency" }, "This model has no attention. Instead, this is the influence of each source word on each target word: the norm of a gradient.")
      : null;
    this.status = element("p", { class: "status", role: "status" });
    const back = direction(rows) === "rtl" && direction(columns) === "rtl";
    this.pair = element("div", { class: "pair", dir: back ? "rtl" : "ltr" },
      this.group(this.kind === "decoder" ? "previous target words" : "source", this.above, direction(columns)),
      this.picture,
      this.group(this.kind === "encoder" ? "source" : "target", this.below, direction(rows)));
    this.place.replaceChildren(
      this.choices(),
      ...(note ? [note] : []),
      this.pair,
      this.status,
      element("p", { class: "hint" }, "Point at a word, or move to it with Tab and the arrow keys. Click a word to keep it selected."),
      this.map(rows, columns),
      element("p", { class: "caption" }, "Each row shows, in percent, how much the word on the left attends to each word at the top."),
    );
    this.show(null);
    this.arrange();
  }

  // A single tab stop; the arrow keys move inside the group.
  group(name, words, dir) {
    const go = (event) => {
      const forward = dir === "rtl" ? "ArrowLeft" : "ArrowRight", back = dir === "rtl" ? "ArrowRight" : "ArrowLeft";
      const at = words.indexOf(event.target);
      const to = { [forward]: at + 1, ArrowDown: at + 1, [back]: at - 1, ArrowUp: at - 1, Home: 0, End: words.length - 1 }[event.key];
      if (to === undefined || !words[to]) return;
      event.preventDefault();
      words[at].tabIndex = -1;
      words[to].tabIndex = 0;
      words[to].focus();
    };
    words.forEach((word, number) => { word.tabIndex = number ? -1 : 0; });
    return element("div", { class: "words", dir, role: "group", "aria-label": name, onkeydown: go }, ...words);
  }

  word(name, number, attends) {
    return element("button", {
      type: "button", class: "word", dir: "auto", "aria-pressed": "false",
      onmouseenter: () => this.show({ number, attends }), onmouseleave: () => this.show(this.pinned),
      onfocus: () => this.show({ number, attends }), onblur: () => this.show(this.pinned),
      onclick: () => this.pin({ number, attends }),
    }, name);
  }

  pin(which) {
    const same = this.pinned && this.pinned.number === which.number && this.pinned.attends === which.attends;
    this.pinned = same ? null : which;
    for (const [attends, words] of [[true, this.below], [false, this.above]]) {
      words.forEach((word, number) => {
        const on = this.pinned !== null && this.pinned.attends === attends && this.pinned.number === number;
        word.setAttribute("aria-pressed", String(on));
      });
    }
    this.show(which);
  }

  // Highlight one word and the words that it attends to, or that attend to it. null: no highlight, all lines.
  show(which) {
    this.lit = which;
    const weight = (r, c) => this.shown[r][c];
    this.below.forEach((word, r) => {
      const share = which === null ? 0 : which.attends ? (which.number === r ? 1 : 0) : weight(r, which.number);
      word.style.setProperty("--share", share);
    });
    this.above.forEach((word, c) => {
      const share = which === null ? 0 : which.attends ? weight(which.number, c) : which.number === c ? 1 : 0;
      word.style.setProperty("--share", share);
    });
    this.status.textContent = which === null ? "" : this.sentence(which);
    this.lines();
  }

  sentence(which) {
    const near = which.attends ? this.above : this.below;
    const shares = near.map((word, number) => [which.attends ? this.shown[which.number][number] : this.shown[number][which.number], word.textContent]);
    const most = shares.sort((a, b) => b[0] - a[0]).slice(0, 4).filter(([share]) => share >= FAINT);
    const listed = most.map(([share, word]) => `\u2068${word}\u2069 ${percent(share)}`).join(", ") || "no word in particular";
    const own = `\u2068${(which.attends ? this.below : this.above)[which.number].textContent}\u2069`;
    const verb = this.maps.gradient ? ["is influenced by", "influences"] : ["attends to", "is attended to by"];
    return `${own} ${which.attends ? verb[0] : verb[1]}: ${listed}`;
  }

  // Two rows if each fits on a line, otherwise two columns.
  arrange() {
    this.pair.classList.remove("columns");
    const broken = [this.above, this.below].some((words) => words[words.length - 1].offsetTop > words[0].offsetTop + 2);
    this.pair.classList.toggle("columns", broken);
    this.lines();
  }

  lines() {
    const box = this.picture.getBoundingClientRect();
    const across = this.pair.classList.contains("columns");
    const ends = (words, near) => words.map((word) => {
      const place = word.getBoundingClientRect();
      return across
        ? [(near ? place.right : place.left) - box.left, place.top + place.height / 2 - box.top]
        : [place.left + place.width / 2 - box.left, (near ? place.bottom : place.top) - box.top];
    });
    const from = ends(this.above, true), to = ends(this.below, false);
    const paths = [];
    this.shown.forEach((row, r) => row.forEach((share, c) => {
      const lit = this.lit === null || (this.lit.attends ? this.lit.number === r : this.lit.number === c);
      if (share < FAINT || !lit) return;
      const [x1, y1] = from[c], [x2, y2] = to[r];
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const x = (x1 + x2) / 2, y = (y1 + y2) / 2;
      path.setAttribute("d", `M${x1} ${y1}C${across ? `${x} ${y1} ${x} ${y2}` : `${x1} ${y} ${x2} ${y}`} ${x2} ${y2}`);
      path.setAttribute("stroke-width", String(0.5 + 5 * share));
      path.setAttribute("opacity", String(Math.min(1, 0.12 + share)));
      paths.push(path);
    }));
    this.picture.replaceChildren(...paths);
  }

  choices() {
    const layers = this.maps.layers[this.kind] || [];
    const select = (name, chosen, options, change) => element("label", {}, `${name} `,
      element("select", { onchange: (event) => { change(event.target.value); this.redraw(name); }, "data-name": name },
        ...options.map(([value, text]) => element("option", { value, selected: String(value) === String(chosen) }, text))));
    const numbered = (count, unit) => [[0, count > 1 ? `mean of ${count}` : `the only ${unit}`],
      ...(count > 1 ? Array.from({ length: count }, (_, number) => [number + 1, `${unit} ${number + 1}`]) : [])];
    const kinds = Object.keys(KINDS).filter((kind) => kind === "source" || this.maps.layers[kind]);
    return element("div", { class: "choices" },
      kinds.length > 1 ? select("attention", this.kind, kinds.map((kind) => [kind, KINDS[kind]]), (value) => {
        this.kind = value; this.layer = this.head = 0;
      }) : null,
      layers.length ? select("layer", this.layer, numbered(layers.length, "layer"), (value) => { this.layer = Number(value); }) : null,
      layers.length ? select("head", this.head, numbered(this.heads(), "head"), (value) => { this.head = Number(value); }) : null,
      this.maps.words_unknown ? null : element("label", {}, element("input", {
        type: "checkbox", checked: this.byToken, "data-name": "tokens",
        onchange: (event) => { this.byToken = event.target.checked; this.redraw("tokens"); },
      }), " tokens"));
  }

  // Draw again and keep the focus.
  redraw(name) {
    this.pinned = null;
    this.draw();
    const chosen = this.place.querySelector(`[data-name="${name}"]`);
    if (chosen) chosen.focus();
    this.changed();
  }

  map(rows, columns) {
    const around = (inner) => element("div", { class: "map", role: "region", tabindex: "0", "aria-label": "map of weights" }, inner);
    if (rows.length * columns.length > MOST_CELLS) return around(this.large(rows, columns));
    const head = element("tr", {}, element("td"), ...columns.map((name) => element("th", { scope: "col" },
      element("span", { dir: "auto", class: UPRIGHT.test(name) ? "upright" : null }, name))));
    const body = rows.map((name, r) => element("tr", {},
      element("th", { scope: "row", dir: "auto" }, name),
      ...columns.map((column, c) => {
        const share = this.shown[r][c];
        return element("td", { "--share": share.toFixed(3), title: `${name} – ${column}: ${percent(share)}`,
          onmouseenter: () => this.show({ number: r, attends: true }), onmouseleave: () => this.show(this.pinned) },
        element("span", {}, String(Math.round(100 * share))));
      })));
    return around(element("table", { dir: direction(columns) }, element("thead", {}, head), element("tbody", {}, ...body)));
  }

  // A large map on a canvas. The cell under the pointer is shown as a tooltip.
  large(rows, columns) {
    const back = direction(columns) === "rtl";
    const at = (c) => (back ? columns.length - 1 - c : c);
    const canvas = element("canvas", { width: CELL * columns.length, height: CELL * rows.length, role: "img",
      "aria-label": `${rows.length} rows and ${columns.length} columns`,
      onmousemove: (event) => {
        const r = Math.floor(event.offsetY / CELL), c = at(Math.floor(event.offsetX / CELL));
        if (!this.shown[r] || this.shown[r][c] === undefined) return;
        canvas.title = `${rows[r]} – ${columns[c]}: ${percent(this.shown[r][c])}`;
        this.show({ number: r, attends: true });
      },
      onmouseleave: () => this.show(this.pinned) });
    const brush = canvas.getContext("2d");
    brush.fillStyle = getComputedStyle(this.place).getPropertyValue("--weight");
    this.shown.forEach((row, r) => row.forEach((share, c) => {
      brush.globalAlpha = share;
      brush.fillRect(CELL * at(c), CELL * r, CELL - 1, CELL - 1);
    }));
    return canvas;
  }
}
