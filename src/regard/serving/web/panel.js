// The output of one model: the translation as words, the alternatives of a sentence as a tree, and its attention.
"use strict";

const ALTERNATIVES = 4; // in addition to the best translation
const BUSY_DELAY = 400; // milliseconds before a pending translation is marked as busy
const POINTER_DELAY = 350; // milliseconds after which the sentence under the pointer is shown
const READ_ALOUD = 300; // longer translations are announced by their number of sentences
const HINT = "Click a word to see alternatives.";

class Panel {
  constructor(number) {
    this.number = number;
    this.view = {};
    this.choices = new Map(); // the translation chosen for a sentence, by its number
    this.reset();
    this.build();
    new ResizeObserver(() => { if (this.beam.firstChild) fit(this.beam.firstChild); }).observe(this.beam);
  }

  build() {
    const number = this.number;
    this.heading = element("h2", { id: `name-${number}` }, "Translation");
    this.answer = element("div", { class: "answer", dir: "auto", role: "group", "aria-label": "Translation, word by word", onkeydown: (event) => this.onKey(event) });
    this.spoken = element("p", { class: "hidden spoken", role: "status", dir: "auto" });
    this.box = element("div", { class: "scroll", onscroll: () => wordMenu.close(false) }, this.answer);
    this.note = element("p", { class: "quiet note" });
    this.legend = element("p", { class: "quiet legend", hidden: true });
    this.undo = element("button", { type: "button", class: "plain", hidden: true, onclick: () => this.choose(null) }, icon("undo"), "Undo");
    this.copy = element("button", { type: "button", class: "plain", onclick: () => this.copyText() }, icon("copy"), element("span", {}, "Copy"));
    this.correct = element("button", { type: "button", class: "plain", onclick: () => editCorrection(this) }, icon("pencil"), "Correct");
    this.tools = element("div", { class: "foot", hidden: true }, element("div", { class: "notes" }, this.legend, this.note), this.undo, this.correct, this.copy);
    this.section = element("section", { class: `pane target target-${number}`, "aria-labelledby": `name-${number}` },
      this.heading, element("div", { class: "progress", "aria-hidden": "true" }), this.box, this.spoken, this.tools);

    this.position = element("span", {});
    this.buttons = [["\u2039", "Previous sentence", -1], ["\u203a", "Next sentence", 1]].map(([text, label, step]) =>
      element("button", { type: "button", "aria-label": label, onclick: () => this.go(this.shown + step) }, text));
    this.navigation = element("p", { class: "quiet turn", hidden: true }, this.buttons[0], this.position, this.buttons[1]);
    this.origin = element("p", { class: "quiet origin" });
    this.beam = element("div");
    this.beamNote = element("p", { class: "quiet", hidden: true }, "They do not follow the glossary.");
    this.place = element("div", { class: "explorer" });
    this.attentionNote = element("p", { class: "quiet" });
    this.attention = element("div", {}, element("h3", {}, "Attention"), this.attentionNote, this.place);
    this.details = element("section", { class: `pane details details-${number}`, hidden: true, "aria-label": number ? "Details of the sentence, second translation" : "Details of the sentence" },
      element("div", { class: "top" }, this.navigation, this.origin),
      element("div", { class: "more" },
        element("div", {}, element("h3", {}, "Alternatives"),
          element("p", { class: "quiet" }, "Scores are log-probabilities divided by a length penalty; higher is better. Choose an alternative to see its attention."),
          this.beamNote, this.beam),
        this.attention));

    this.box.addEventListener("click", (event) => { if (event.target.matches(".word")) this.openMenu(event.target); });
    this.box.addEventListener("pointerover", (event) => this.onPointer(event.target.closest(".sentence")));
    this.box.addEventListener("pointerleave", () => this.onPointer(null));
  }

  // Forget all sentences.
  reset() {
    this.requested = null; // the request that the sentences belong to
    this.sentences = []; // {start, end, source, best, target, words, looked, result}; see `split`
    this.gaps = []; // the text before, between and after the sentences of the translation
    this.shown = 0;
    this.drawn = null; // what `answer` shows
    this.marked = null; // the number of the sentence that is marked in it
  }

  showName({ name, architecture, parameters }) {
    if (name === null) {
      this.heading.textContent = "Translation through a third language";
      return;
    }
    const size = new Intl.NumberFormat("en", { notation: "compact", compactDisplay: "long" }).format(parameters);
    this.heading.replaceChildren(element("span", { class: "hidden" }, "Translation by "), name, " ", element("small", {}, `${architecture}, ${size} parameters`));
    this.origin.textContent = `${name}: ${architecture}, ${size} parameters`;
  }

  clear() {
    if (this.pending) this.pending.abort();
    if (this.explorer) this.explorer.end();
    this.explorer = null;
    for (const node of [this.answer, this.note, this.spoken]) node.textContent = "";
    for (const node of [this.details, this.tools]) node.hidden = true;
    endCorrection(this);
    this.reset();
    this.setBusy(false);
  }

  setBusy(isBusy) {
    clearTimeout(this.busyTimer);
    if (!isBusy) this.section.removeAttribute("aria-busy");
    else this.busyTimer = setTimeout(() => this.section.setAttribute("aria-busy", "true"), BUSY_DELAY);
  }

  // Request a translation and show it, then the attention of the current sentence. Abort the previous request.
  async translate(model, text, options) {
    if (this.pending) this.pending.abort();
    const pending = this.pending = new AbortController();
    this.model = model;
    this.body = { source: model.source, target: model.target, ...(model.name === null ? {} : { model: model.name }), ...(model.confidence ? { confidence: true } : {}), ...options };
    const key = JSON.stringify([this.body, text]);
    this.setBusy(true);
    try {
      this.showName(model);
      if (this.requested !== key) {
        this.split(await request("translate", { ...this.body, q: text, sentences: true }, pending.signal), text);
        this.requested = key;
      }
      for (const [number, sentence] of this.sentences.entries()) {
        const chosen = this.choices.get(number) ?? { text: sentence.best, words: sentence.bestWords };
        if (sentence.target !== chosen.text) Object.assign(sentence, { target: chosen.text, words: chosen.words });
      }
      this.show(this.sentenceAt(caret.at));
      await this.look(pending.signal);
    } finally {
      if (this.pending === pending) this.setBusy(false);
    }
  }

  // Split a translation into sentences. best: the model's translation; target: the one that is shown; words: the
  // confidence of its words, if the server knows it; looked: the target whose attention is in `result`.
  split(result, text) {
    const from = [...text], to = [...result.translatedText];
    this.gaps = [];
    let at = 0;
    this.sentences = (result.sentences || []).map(({ start, end, target_start, target_end }) => {
      this.gaps.push(to.slice(at, target_start).join(""));
      at = target_end;
      const best = to.slice(target_start, target_end).join("");
      const words = result.words ? confidencesWithin(result.words, target_start, target_end) : null;
      return { start, end, source: from.slice(start, end).join(""), best, bestWords: words, target: best, words };
    });
    this.gaps.push(to.slice(at).join(""));
    this.confidence = result.confidence ?? null;
    this.untranslated = result.untranslated || [];
    this.differences = result.numbers || [];
    this.pivot = result.pivot || "";
  }

  // Request the attention and the alternatives of the sentence that is shown, unless they are known.
  async look(signal) {
    const sentence = this.sentences[this.shown];
    if (!sentence || this.model.name === null) {
      this.details.hidden = true;
      return;
    }
    const { source, target } = sentence;
    if (sentence.looked !== target) {
      const { source: from, target: to, model } = this.body;
      const result = await request("attention", { source: from, target: to, model, q: source, split_sentences: false, target_text: target, alternatives: ALTERNATIVES }, signal);
      Object.assign(sentence, { result, looked: target });
    }
    if (this.sentences[this.shown] === sentence) this.showDetails(sentence);
  }

  // Return the number of the sentence that contains or precedes an offset in the text.
  sentenceAt(offset) {
    return Math.max(0, this.sentences.findLastIndex((sentence) => sentence.start <= offset));
  }

  go(number) {
    caret.at = this.sentences[number].start;
    translate();
  }

  // The pointer is on a sentence, or on none (null): mark it on both sides, and show its attention if it stays.
  onPointer(node) {
    clearTimeout(this.pointerTimer);
    const number = node ? Number(node.dataset.number) : -1;
    for (const sentence of this.answer.children) sentence.classList.toggle("near", sentence === node && this.sentences.length > 1);
    markSource(this.sentences.length > 1 ? this.sentences[number] || this.sentences[this.shown] : null, Boolean(node));
    if (node && number !== this.shown && !wordMenu.box) this.pointerTimer = setTimeout(() => this.go(number), POINTER_DELAY);
  }

  text() {
    return this.sentences.map((sentence, number) => this.gaps[number] + sentence.target).join("") + this.gaps.at(-1);
  }

  // Show the whole translation, with the sentence of this number as the current one.
  show(number) {
    this.shown = number;
    const text = this.text(), content = JSON.stringify([this.model.target, this.sentences.map(({ target, words }) => [target, words]), this.gaps]);
    if (this.drawn !== content) {
      const focus = this.answer.contains(document.activeElement) ? this.focusPlace() : null;
      this.drawn = content;
      this.answer.lang = this.spoken.lang = this.model.target;
      this.answer.replaceChildren(...this.sentences.flatMap((sentence, place) => [this.gaps[place],
        element("span", { class: "sentence", "data-number": place }, ...wordNodes(sentence.target, this.model.target, sentence.words))]), this.gaps.at(-1));
      this.spoken.textContent = text.length <= READ_ALOUD ? text : `The translation has ${this.sentences.length} sentences.`;
      this.setCurrent(focus ? this.words()[focus] || this.words()[0] : this.words()[0], Boolean(focus));
    }
    const several = this.sentences.length > 1, isNew = several && this.marked !== number;
    this.marked = number;
    [...this.answer.children].forEach((sentence, place) => sentence.classList.toggle("shown", several && place === number));
    markSource(several ? this.sentences[number] : null, isNew);
    if (isNew) reveal(this.answer.children[number]);
    this.tools.hidden = Boolean(this.editor);
    this.navigation.hidden = !several;
    this.position.textContent = `Sentence ${number + 1} of ${this.sentences.length}`;
    const ends = [number === 0, number === this.sentences.length - 1], isEnd = this.buttons.some((button, side) => ends[side] && button === document.activeElement);
    this.buttons.forEach((button, side) => { button.disabled = ends[side]; });
    if (isEnd) this.buttons[Number(ends[0])].focus();
    this.showNotes();
  }

  showNotes() {
    const isChosen = this.choices.has(this.shown), several = this.sentences.length > 1, left = this.untranslated.length;
    const notes = [
      this.pivot ? `Translated through ${language(this.pivot)}.` : "",
      left ? `${left === 1 ? "One part was" : `${left} parts were`} left untranslated.` : "",
      this.differences.length && !this.choices.size ? `Check the numbers and addresses: ${this.differences.slice(0, 3).map(({ source, target }) =>
        source && target ? `\u2068${source}\u2069 became \u2068${target}\u2069` : source ? `\u2068${source}\u2069 is missing` : `\u2068${target}\u2069 is new`).join(", ")}.` : "",
      isChosen ? `You changed this ${several ? "sentence" : "translation"}.` : "",
    ].filter(Boolean);
    this.note.textContent = notes.join(" ") || (this.confidence === null && this.model.name !== null && this.answer.querySelector(".word") ? HINT : "");
    if (!isChosen && this.undo === document.activeElement) this.copy.focus();
    this.undo.hidden = !isChosen;
    this.correct.hidden = !served.settings.suggestions || !this.sentences.length || this.model.name === null;
    const weak = this.answer.querySelector(".unsure, .doubtful");
    const overall = this.confidence === null || this.choices.size ? [] : [`Confidence ${certainty(this.confidence)}.`]; // of the model's own translation
    this.legend.hidden = !overall.length && !weak;
    this.legend.replaceChildren(...overall, ...(weak ? [" Underlined words: ", element("span", { class: "unsure" }, `below ${percent(UNSURE)}`),
      ", ", element("span", { class: "doubtful" }, `below ${percent(DOUBTFUL)}`)] : []));
  }

  showDetails({ result, target }) {
    const hypotheses = result.alternatives;
    const beam = JSON.stringify(hypotheses);
    if (this.drawnBeam !== beam) {
      this.drawnBeam = beam;
      this.beam.replaceChildren(tree(hypotheses, target, ({ text }) => this.choose({ text, words: null })));
    }
    for (const button of this.beam.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.text === target));
    this.beamNote.hidden = !this.body.glossary_id;
    this.details.hidden = false;
    fit(this.beam.firstChild);
    if (this.explorer) this.explorer.end();
    this.place.hidden = !result.looks;
    this.attentionNote.textContent = result.looks ? "" : `${result.note[0].toUpperCase()}${result.note.slice(1)}.`;
    this.explorer = result.looks && new Explorer(this.place, result.looks, this.view, () => { this.view = this.explorer.view(); saveState(); });
  }

  // Show {text, words} as the translation of the current sentence; null, or the model's own: undo.
  choose(chosen) {
    const sentence = this.sentences[this.shown];
    if (chosen === null || chosen.text === sentence.best) this.choices.delete(this.shown);
    else this.choices.set(this.shown, chosen);
    caret.at = sentence.start;
    translate();
  }

  words() {
    return [...this.answer.querySelectorAll(".word")];
  }

  focusPlace() {
    return this.words().indexOf(document.activeElement);
  }

  // Make a word the one that Tab reaches. The other words are plain text for screen readers.
  setCurrent(word, focus) {
    const before = this.answer.querySelector("[role=button]");
    if (before) for (const name of ["role", "tabindex", "aria-haspopup", "aria-expanded"]) before.removeAttribute(name);
    if (!word) return;
    for (const [name, value] of [["role", "button"], ["tabindex", "0"], ["aria-haspopup", "menu"], ["aria-expanded", "false"]]) word.setAttribute(name, value);
    if (focus) word.focus();
  }

  onKey(event) {
    const words = this.words(), at = words.indexOf(event.target);
    if (at < 0) return;
    const isBack = getComputedStyle(this.answer).direction === "rtl", step = isBack ? -1 : 1;
    const sentence = Number(event.target.closest(".sentence").dataset.number);
    const first = (number) => words.indexOf(this.answer.querySelector(`[data-number="${number}"] .word`));
    const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: words.length - 1, ArrowDown: first(sentence + 1), ArrowUp: first(sentence - 1) }[event.key];
    if (event.key === "Enter" || event.key === " ") this.openMenu(event.target);
    else if (to === undefined) return;
    else if (words[to]) this.setCurrent(words[to], true);
    event.preventDefault();
  }

  // Show what else the model would have written at a word.
  openMenu(word) {
    clearTimeout(this.pointerTimer);
    if (this.model.name === null) return;
    const number = Number(word.closest(".sentence").dataset.number), sentence = this.sentences[number];
    const start = Number(word.dataset.at), prefix = sentence.target.slice(0, start), current = sentence.target.slice(0, start + word.textContent.length);
    const { source, target, model } = this.body;
    this.setCurrent(word, false);
    wordMenu.open(word, current, async () => (await request("alternatives", { source, target, model, q: sentence.source, prefix, alternatives: WORD_CHOICES })).alternatives,
      (entry) => { if (entry.prefix !== current) this.continueAfter(number, entry); });
    if (number !== this.shown) this.go(number);
  }

  // Translate the rest of a sentence after a chosen word; the empty word ends it.
  async continueAfter(number, entry) {
    const sentence = this.sentences[number];
    this.shown = number;
    this.setBusy(true);
    try {
      const result = entry.text ? await request("translate", { ...this.body, q: sentence.source, prefix: `${entry.prefix} ` }) : { translatedText: entry.prefix };
      if (this.sentences[number] !== sentence) return;
      this.choose({ text: result.translatedText, words: result.words ? confidencesWithin(result.words, 0, Infinity) : null });
    } catch (error) {
      handleError(error);
    } finally {
      this.setBusy(false);
    }
  }

  async copyText() {
    await copyToClipboard(this.text());
    const label = this.copy.querySelector("span");
    label.textContent = "Copied";
    announce("The translation is copied.");
    clearTimeout(this.copyTimer);
    this.copyTimer = setTimeout(() => { label.textContent = "Copy"; }, 2000);
  }
}

// The confidences of words within a span of the translation, with offsets from its start. All are in code points.
function confidencesWithin(words, start, end) {
  return words.filter((word) => word.start < end && word.end > start)
    .map((word) => ({ start: word.start - start, end: word.end - start, confidence: word.confidence }));
}

// Copy a text. The clipboard of browsers needs a secure context; elsewhere, an older command does it.
async function copyToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { class: "hidden", "aria-hidden": "true" }), focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    if (focused) focused.focus();
  }
}
