// The words of a translation: which are unsure, and the menu of what else the model would have written at each.
"use strict";

const WORD_CHOICES = 8;
const UNSURE = 0.6; // confidence below which a word is underlined
const DOUBTFUL = 0.3; // below which the line is wavy

// Split a text into words and what is between them: {text, start, isWord}, with offsets in UTF-16 units.
function splitWords(text, language) {
  let segmenter;
  try { segmenter = new Intl.Segmenter(language, { granularity: "word" }); } catch { segmenter = new Intl.Segmenter("en", { granularity: "word" }); }
  return [...segmenter.segment(text)].map(({ segment, index, isWordLike }) => ({ text: segment, start: index, isWord: isWordLike }));
}

// Return the nodes of a sentence: words as elements, everything else as text.
// confidences: {start, end, confidence} with offsets in code points of the sentence, or null.
function wordNodes(text, language, confidences) {
  let at = 0; // in code points
  return splitWords(text, language).map((part) => {
    const start = at, end = at += [...part.text].length;
    if (!part.isWord) return part.text;
    const node = element("span", { class: "word", "data-at": part.start }, part.text);
    const values = (confidences || []).filter((word) => word.start < end && word.end > start).map((word) => word.confidence);
    const lowest = Math.min(...values);
    if (lowest < UNSURE) {
      node.classList.add(lowest < DOUBTFUL ? "doubtful" : "unsure");
      node.title = `${certainty(lowest)} confident`;
    }
    return node;
  });
}

// A confidence in percent. Nothing is certain.
function certainty(confidence) {
  return confidence < 0.01 ? "below 1%" : confidence > 0.99 ? "above 99%" : percent(confidence);
}

function share(probability) {
  return probability < 0.001 ? "<0.1%" : probability < 0.0995 ? `${(100 * probability).toFixed(1)}%` : percent(probability);
}

// The menu at a word. Only one is open at a time.
const wordMenu = {
  box: null,

  // Show the words that the model would write instead of a word. find: returns a promise of them.
  // choose: called with the chosen {text, prefix}.
  async open(word, current, find, choose) {
    this.close();
    const status = element("p", { class: "quiet", role: "status" }, "Looking for alternatives\u2026");
    const box = this.box = element("div", { class: "menu", role: "menu", "aria-label": `Alternatives to ${word.textContent}`, tabindex: "-1" }, status);
    this.word = word;
    word.classList.add("open");
    word.setAttribute("aria-expanded", "true");
    document.querySelector("main").append(box);
    this.place();
    box.addEventListener("keydown", (event) => this.onKey(event));
    box.focus();
    let words;
    try {
      words = await find();
    } catch (error) {
      if (this.box === box) { status.textContent = explain(error); this.place(); }
      return;
    }
    if (this.box !== box) return;
    const items = words.map((entry) => element("button", {
      type: "button", role: "menuitemradio", tabindex: "-1", "aria-checked": String(entry.prefix === current), "--share": entry.probability.toFixed(4),
      onclick: () => { this.close(); choose(entry); },
    }, element("span", { dir: "auto", lang: entry.text ? word.closest("[lang]").lang : null, class: entry.text ? null : "end" }, entry.text || "(end here)"), element("span", { class: "share", dir: "ltr" }, share(entry.probability))));
    const group = element("div", { role: "group", "aria-label": "Words by their probability" }, ...items);
    if (items.length) status.replaceWith(group);
    else status.textContent = "The model has no other word here.";
    this.place();
    const checked = items.find((item) => item.getAttribute("aria-checked") === "true") || items[0];
    if (checked) checked.focus();
  },

  // Put the menu below the word, within the window.
  place() {
    const around = document.querySelector("main").getBoundingClientRect(), word = this.word.getBoundingClientRect(), box = this.box.getBoundingClientRect();
    const left = Math.max(4, Math.min(word.left, document.documentElement.clientWidth - box.width - 4)) - around.left;
    this.box.style.setProperty("left", `${left}px`);
    this.box.style.setProperty("top", `${word.bottom - around.top + 4}px`);
  },

  close(returnFocus = true) {
    if (!this.box) return;
    const hadFocus = this.box.contains(document.activeElement);
    this.box.remove();
    this.box = null;
    this.word.classList.remove("open");
    this.word.setAttribute("aria-expanded", "false");
    if (returnFocus && hadFocus) this.word.focus();
  },

  onKey(event) {
    const items = [...this.box.querySelectorAll("[role=menuitemradio]")], at = items.indexOf(document.activeElement);
    const to = { ArrowDown: (at + 1) % items.length, ArrowUp: (at - 1 + items.length) % items.length, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") this.close();
    else if (to === undefined || !items[to]) return;
    else items[to].focus();
    event.preventDefault();
  },
};

addEventListener("pointerdown", (event) => {
  if (wordMenu.box && !wordMenu.box.contains(event.target) && event.target !== wordMenu.word) wordMenu.close(false);
});
addEventListener("resize", () => wordMenu.box && wordMenu.place());
