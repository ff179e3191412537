// Draws what a model looks at: words joined by lines, and a map by layer and head. Needs nothing but a browser.
"use strict";

const KINDS = { source: "target to source", encoder: "source to itself", decoder: "target to itself" };
const FAINT = 0.04; // a weight below it has no line

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function mean(matrices) {
  return matrices[0].map((row, r) => row.map((_, c) => matrices.reduce((sum, one) => sum + one[r][c], 0) / matrices.length));
}

// What stands before each target token: the beginning, and every one but the last.
function before(side) {
  return {
    tokens: ["<s>", ...side.tokens.slice(0, -1)],
    words: ["<s>", ...side.words.slice(0, -1)],
    word_of_token: [0, ...side.word_of_token.slice(0, -1).map((word) => word + 1)],
  };
}

// A word looks as its tokens do in the mean, and gets what its tokens get together.
function folded(weights, rows, columns) {
  const made = rows.words.map(() => columns.words.map(() => 0));
  const counts = rows.words.map(() => 0);
  rows.word_of_token.forEach((word) => { counts[word] += 1; });
  weights.forEach((row, r) => row.forEach((weight, c) => {
    const word = rows.word_of_token[r];
    made[word][columns.word_of_token[c]] += weight / counts[word];
  }));
  return made;
}

function percent(weight) {
  return `${Math.round(100 * weight)} %`;
}

class Explorer {
  // looks: {source, target, gradient, mean, layers} as `regard attend --json` gives them.
  constructor(place, looks) {
    this.place = place;
    this.looks = looks;
    this.kind = "source";
    this.layer = this.head = 0; // 0: the mean
    this.byToken = false;
    this.pinned = null;
    this.draw();
    this.resized = new ResizeObserver(() => this.lines());
    this.resized.observe(this.place);
  }

  end() {
    this.resized.disconnect();
  }

  rows() {
    return this.kind === "encoder" ? this.looks.source : this.looks.target;
  }

  columns() {
    return this.kind === "decoder" ? before(this.looks.target) : this.looks.source;
  }

  weights() {
    const layers = this.looks.layers[this.kind] || [];
    let weights;
    if (this.kind === "source" && !this.layer && !this.head) weights = this.looks.mean;
    else {
      const chosen = this.layer ? [layers[this.layer - 1]] : layers;
      weights = mean(chosen.map((heads) => (this.head ? heads[this.head - 1] : mean(heads))));
    }
    return this.byToken ? weights : folded(weights, this.rows(), this.columns());
  }

  names(side) {
    return this.byToken ? side.tokens : side.words;
  }

  draw() {
    const rows = this.names(this.rows()), columns = this.names(this.columns());
    this.shown = this.weights();
    this.picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.picture.setAttribute("aria-hidden", "true");
    this.above = columns.map((name, number) => this.word(name, number, false));
    this.below = rows.map((name, number) => this.word(name, number, true));
    const told = this.looks.gradient
      ? element("p", { class: "told" }, "This model does not attend. Shown is how strongly each source word moves each target word: the length of a gradient.")
      : null;
    this.said = element("p", { class: "said", role: "status" });
    this.place.replaceChildren(
      this.choices(),
      ...(told ? [told] : []),
      element("div", { class: "pair" },
        element("div", { class: "words", dir: "auto", role: "group", "aria-label": this.kind === "decoder" ? "the target before" : "source" }, ...this.above),
        this.picture,
        element("div", { class: "words", dir: "auto", role: "group", "aria-label": this.kind === "encoder" ? "source" : "target" }, ...this.below)),
      this.said,
      this.map(rows, columns),
    );
    this.show(null);
  }

  word(name, number, looks) {
    const shown = name.trim() === "" ? "␣" : name;
    return element("button", {
      type: "button", class: "word", dir: "auto", "aria-pressed": "false",
      onmouseenter: () => this.show({ number, looks }), onmouseleave: () => this.show(this.pinned),
      onfocus: () => this.show({ number, looks }), onblur: () => this.show(this.pinned),
      onclick: () => this.pin({ number, looks }),
    }, shown);
  }

  pin(which) {
    const same = this.pinned && this.pinned.number === which.number && this.pinned.looks === which.looks;
    this.pinned = same ? null : which;
    for (const [looks, words] of [[true, this.below], [false, this.above]]) {
      words.forEach((word, number) => {
        const on = this.pinned !== null && this.pinned.looks === looks && this.pinned.number === number;
        word.setAttribute("aria-pressed", String(on));
      });
    }
    this.show(which);
  }

  // One word lit, and what it looks at or what looks at it; null: nothing, and every line.
  show(which) {
    this.lit = which;
    const weight = (r, c) => this.shown[r][c];
    this.below.forEach((word, r) => {
      const share = which === null ? 0 : which.looks ? (which.number === r ? 1 : 0) : weight(r, which.number);
      word.style.setProperty("--share", share);
    });
    this.above.forEach((word, c) => {
      const share = which === null ? 0 : which.looks ? weight(which.number, c) : which.number === c ? 1 : 0;
      word.style.setProperty("--share", share);
    });
    this.said.textContent = which === null ? "Hover a word, or reach it by the Tab key." : this.sentence(which);
    this.lines();
  }

  sentence(which) {
    const near = which.looks ? this.above : this.below;
    const shares = near.map((word, number) => [which.looks ? this.shown[which.number][number] : this.shown[number][which.number], word.textContent]);
    const most = shares.sort((a, b) => b[0] - a[0]).slice(0, 4).filter(([share]) => share >= FAINT);
    const told = most.map(([share, word]) => `⁨${word}⁩ ${percent(share)}`).join(", ") || "nothing much";
    const own = `⁨${(which.looks ? this.below : this.above)[which.number].textContent}⁩`;
    const verb = this.looks.gradient ? ["is moved by", "moves"] : ["looks at", "is looked at by"];
    return `${own} ${which.looks ? verb[0] : verb[1]}: ${told}`;
  }

  lines() {
    const box = this.picture.getBoundingClientRect();
    const centre = (word) => {
      const place = word.getBoundingClientRect();
      return [place.left + place.width / 2 - box.left, place];
    };
    this.picture.setAttribute("viewBox", `0 0 ${Math.max(1, box.width)} ${Math.max(1, box.height)}`);
    const paths = [];
    this.shown.forEach((row, r) => row.forEach((share, c) => {
      const lit = this.lit === null || (this.lit.looks ? this.lit.number === r : this.lit.number === c);
      if (share < FAINT || !lit) return;
      const [x1, first] = centre(this.above[c]), [x2, second] = centre(this.below[r]);
      const y1 = Math.min(0, first.bottom - box.top), y2 = Math.max(box.height, second.top - box.top);
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const half = (y1 + y2) / 2;
      path.setAttribute("d", `M${x1} ${y1}C${x1} ${half} ${x2} ${half} ${x2} ${y2}`);
      path.setAttribute("stroke-width", String(0.5 + 5 * share));
      path.setAttribute("opacity", String(Math.min(1, 0.12 + share)));
      paths.push(path);
    }));
    this.picture.replaceChildren(...paths);
  }

  choices() {
    const layers = this.looks.layers[this.kind] || [];
    const heads = layers.length ? Math.min(...layers.map((layer) => layer.length)) : 0;
    const select = (name, chosen, options, change) => element("label", {}, `${name} `,
      element("select", { onchange: (event) => { change(event.target.value); this.again(name); }, "data-name": name },
        ...options.map(([value, text]) => element("option", { value, selected: String(value) === String(chosen) }, text))));
    const several = (count, one) => [[0, count > 1 ? `mean of ${count}` : "the only one"],
      ...(count > 1 ? Array.from({ length: count }, (_, number) => [number + 1, `${one} ${number + 1}`]) : [])];
    const kinds = Object.keys(KINDS).filter((kind) => kind === "source" || this.looks.layers[kind]);
    return element("div", { class: "choices" },
      kinds.length > 1 ? select("attention", this.kind, kinds.map((kind) => [kind, KINDS[kind]]), (value) => {
        this.kind = value; this.layer = this.head = 0; this.pinned = null;
      }) : null,
      layers.length ? select("layer", this.layer, several(layers.length, "layer"), (value) => { this.layer = Number(value); }) : null,
      layers.length ? select("head", this.head, several(heads, "head"), (value) => { this.head = Number(value); }) : null,
      element("label", {}, element("input", {
        type: "checkbox", checked: this.byToken, "data-name": "tokens",
        onchange: (event) => { this.byToken = event.target.checked; this.pinned = null; this.again("tokens"); },
      }), " tokens"));
  }

  // Draw anew, and leave the focus where it was.
  again(name) {
    this.draw();
    const chosen = this.place.querySelector(`[data-name="${name}"]`);
    if (chosen) chosen.focus();
  }

  map(rows, columns) {
    const head = element("tr", {}, element("td"), ...columns.map((name) => element("th", { scope: "col" }, element("span", { dir: "auto" }, name))));
    const body = rows.map((name, r) => element("tr", {},
      element("th", { scope: "row", dir: "auto" }, name),
      ...columns.map((column, c) => {
        const share = this.shown[r][c];
        return element("td", { style: `--share: ${share.toFixed(3)}`, title: `${name} – ${column}: ${percent(share)}`,
          onmouseenter: () => this.show({ number: r, looks: true }), onmouseleave: () => this.show(this.pinned) },
        element("span", {}, String(Math.round(100 * share))));
      })));
    const caption = element("caption", {}, "Percent of each row's weight; a row is a word that looks, a column one that is looked at.");
    return element("div", { class: "map", role: "region", tabindex: "0", "aria-label": "map of weights" },
      element("table", {}, caption, element("thead", {}, head), element("tbody", {}, ...body)));
  }
}
