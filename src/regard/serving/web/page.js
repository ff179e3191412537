// The page of `regard serve`: send the text to /attention and show the response.
"use strict";

const ALTERNATIVES = 4; // in addition to the best translation
const NO_KEY = "This server requires an API key. Enter yours above.";
const RETRY_AFTER = 5; // seconds before a retry, unless the server sends Retry-After
const BUSY_DELAY = 400; // milliseconds before a pending translation is marked as busy

const byId = (id) => document.getElementById(id);
const wait = { timer: 0, again: 0 };
const served = { models: [], settings: {} };
const caret = { at: 0 }; // the offset, in code points, whose sentence is shown
const panels = [];

class RequestError extends Error {
  constructor(status, message, after) {
    super(message);
    this.status = status;
    this.after = after;
  }
}

// Return the JSON response of the server. Throw RequestError for an error status, or status 0 if there is no connection.
async function request(path, content, signal) {
  const options = content ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), signal } : { signal };
  let response, body;
  try {
    response = await fetch(path, options);
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!response) throw new RequestError(0, "The server cannot be reached.", RETRY_AFTER);
    throw new RequestError(response.status, "The response does not come from a regard server.", null);
  }
  if (response.ok) return body;
  const after = Number(response.headers.get("Retry-After")) || (response.status >= 500 ? RETRY_AFTER : null);
  throw new RequestError(response.status, body.error || `status ${response.status}`, after);
}

// Show why there is no translation, and schedule a retry if the error may be temporary. The text is preserved.
function handleError(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof RequestError)) throw error;
  const { status, message, after } = error;
  let text = message;
  if (status === 0) text = `${message} Is it still running? Your text is preserved.`;
  else if (status === 429 || status === 503) text = `The server is busy: ${message}.`;
  else if (status === 401 || status === 403) {
    text = byId("key").value ? `The server rejected this API key: ${message}.` : NO_KEY;
  }
  if (after) text += ` Trying again in ${after} s.`;
  showError(text);
  clearTimeout(wait.again);
  if (after) wait.again = setTimeout(retry, 1000 * after);
}

function showError(text) {
  const box = byId("trouble"), line = box.querySelector("p");
  box.hidden = !text;
  if (line.textContent !== text) line.textContent = text;
}

function retry() {
  clearTimeout(wait.again);
  if (served.models.length) translate(); else loadModels();
}

// The output of one model: its name, the translation, and the alternatives and the attention of one sentence.
class Panel {
  constructor(number) {
    this.number = number;
    this.view = {};
    this.choices = new Map(); // the alternative chosen for a sentence, by its number
    this.reset();
    this.heading = element("h2", { id: `name-${number}` });
    this.answer = element("p", { class: "answer", role: "status", dir: "auto" });
    this.note = element("p", { class: "quiet note" });
    this.position = element("span", {});
    this.buttons = [["\u2039", "Previous sentence", -1], ["\u203a", "Next sentence", 1]].map(([text, label, step]) =>
      element("button", { type: "button", "aria-label": label, onclick: () => this.go(this.shown + step) }, text));
    this.navigation = element("p", { class: "quiet turn", hidden: true }, this.buttons[0], this.position, this.buttons[1]);
    this.beam = element("div");
    this.place = element("div", { class: "explorer" });
    this.details = element("div", { class: "more", hidden: true },
      element("div", {}, element("h3", {}, "Alternatives"),
        element("p", { class: "quiet" }, "Scores are log-probabilities divided by a length penalty; higher is better. Choose an alternative to see its attention."),
        this.beam),
      this.attention = element("div", {}, element("h3", {}, "Attention"), this.place));
    new ResizeObserver(() => { if (this.beam.firstChild) fit(this.beam.firstChild); }).observe(this.beam);
    this.section = element("section", { "aria-labelledby": `name-${number}` }, this.heading, this.answer, this.navigation, this.note, this.details);
  }

  // Forget all sentences.
  reset() {
    this.requested = null; // the request that the sentences belong to
    this.sentences = []; // {start, end, source, target, result, forced}; result: the response for it, forced: the chosen target
    this.gaps = []; // the text before, between and after the sentences of the translation
    this.shown = 0;
  }

  showName(model) {
    const { name, architecture, parameters } = model;
    const size = new Intl.NumberFormat("en", { notation: "compact", compactDisplay: "long" }).format(parameters);
    this.heading.replaceChildren(name, " ", element("small", {}, `${architecture}, ${size} parameters`));
  }

  clear() {
    if (this.pending) this.pending.abort();
    if (this.explorer) this.explorer.end();
    this.explorer = null;
    this.answer.textContent = this.note.textContent = "";
    this.details.hidden = this.navigation.hidden = true;
    this.reset();
    this.setBusy(false);
  }

  setBusy(isBusy) {
    clearTimeout(this.busyTimer);
    if (isBusy) this.busyTimer = setTimeout(() => this.section.setAttribute("aria-busy", "true"), BUSY_DELAY);
    else this.section.removeAttribute("aria-busy");
  }

  // Request a translation and show it. Abort the previous request.
  async translate(model, text) {
    if (this.pending) this.pending.abort();
    const pending = this.pending = new AbortController();
    const body = { source: model.source, target: model.target, model: model.name, alternatives: ALTERNATIVES };
    if (byId("key").value) body.api_key = byId("key").value;
    const key = JSON.stringify([body, text]);
    this.setBusy(true);
    try {
      this.showName(model);
      if (this.requested !== key) {
        const forced = this.choices.get(0) ?? null;
        this.split(await request("attention", { ...body, q: text, target_text: forced }, pending.signal), text, forced);
        this.requested = key;
      }
      const current = this.sentenceAt(caret.at);
      for (const number of new Set([...this.choices.keys(), current])) {
        const sentence = this.sentences[number], forced = this.choices.get(number) ?? null;
        if (!sentence || (sentence.result && sentence.forced === forced)) continue;
        const result = await request("attention", { ...body, q: sentence.source, split_sentences: false, target_text: forced }, pending.signal);
        Object.assign(sentence, { result, forced, target: result.translatedText });
      }
      this.show(current, model);
    } finally {
      if (this.pending === pending) this.setBusy(false);
    }
  }

  // Split a response into sentences. The first one comes with its attention.
  split(result, text, forced) {
    const from = [...text], to = [...result.translatedText];
    this.gaps = [];
    let at = 0;
    this.sentences = result.sentences.map(({ start, end, target_start, target_end }) => {
      this.gaps.push(to.slice(at, target_start).join(""));
      at = target_end;
      return { start, end, source: from.slice(start, end).join(""), target: to.slice(target_start, target_end).join("") };
    });
    this.gaps.push(to.slice(at).join(""));
    Object.assign(this.sentences[0], { result, forced });
  }

  // Return the number of the sentence that contains or precedes an offset in the text.
  sentenceAt(offset) {
    return Math.max(0, this.sentences.findLastIndex((sentence) => sentence.start <= offset));
  }

  go(number) {
    caret.at = this.sentences[number].start;
    translate();
  }

  // Show the whole translation. If there are several sentences, they can be clicked.
  showTranslation(model) {
    this.answer.lang = model.target;
    const text = this.sentences.map((sentence, number) => this.gaps[number] + sentence.target).join("") + this.gaps.at(-1);
    if (this.answer.textContent !== text) {
      this.answer.replaceChildren(...(this.sentences.length === 1 ? [text] : this.sentences.flatMap((sentence, number) =>
        [this.gaps[number], element("span", { class: "sentence", onclick: () => this.go(number) }, sentence.target)]).concat(this.gaps.at(-1))));
    }
    this.answer.querySelectorAll(".sentence").forEach((sentence, number) => sentence.classList.toggle("shown", number === this.shown));
    this.navigation.hidden = this.sentences.length === 1;
    this.position.textContent = `Sentence ${this.shown + 1} of ${this.sentences.length}`;
    this.buttons[0].disabled = this.shown === 0;
    this.buttons[1].disabled = this.shown === this.sentences.length - 1;
  }

  show(number, model) {
    this.shown = number;
    this.showTranslation(model);
    const { result, target, forced } = this.sentences[number];
    const hypotheses = result.alternatives, best = hypotheses.length ? hypotheses[0].text : target;
    const note = result.note ? `${result.note[0].toUpperCase()}${result.note.slice(1)}.` : "";
    this.note.textContent = forced === null ? note : `You chose this alternative. ${note}`;
    const beam = JSON.stringify(hypotheses);
    if (this.drawn !== beam) {
      this.drawn = beam;
      this.beam.replaceChildren(tree(hypotheses, target, ({ text }) => this.choose(text === best ? null : text)));
    }
    for (const button of this.beam.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.text === target));
    this.details.hidden = false;
    fit(this.beam.firstChild);
    if (this.explorer) this.explorer.end();
    this.attention.hidden = !result.looks;
    this.explorer = result.looks && new Explorer(this.place, result.looks, this.view, () => { this.view = this.explorer.view(); saveState(); });
  }

  choose(text) {
    if (text === null) this.choices.delete(this.shown); else this.choices.set(this.shown, text);
    caret.at = this.sentences[this.shown].start;
    translate();
  }
}

function selectedModels() {
  const names = [byId("model").value, byId("against").value];
  const pair = served.models.filter((model) => model.source === byId("from").value && model.target === byId("to").value);
  return names.map((name) => pair.find((model) => model.name === name));
}

async function translate() {
  clearTimeout(wait.timer);
  if (!served.models.length) return;
  clearTimeout(wait.again);
  showLength();
  saveState();
  const text = byId("q").value.trim(), [first, second] = selectedModels();
  byId("answers").classList.toggle("two", Boolean(second));
  panels[1].section.hidden = !second;
  if (!second) panels[1].clear();
  const limit = served.settings.charLimit, length = [...byId("q").value].length;
  if (limit > 0 && length > limit) {
    panels.forEach((panel) => panel.pending && panel.pending.abort());
    showError(`The text is too long: ${length} characters; the limit is ${limit}.`);
    return;
  }
  if (text && served.settings.keyRequired && !byId("key").value) {
    showError(NO_KEY);
    return;
  }
  byId("answers").hidden = !text || !first;
  if (!text || !first) {
    panels.forEach((panel) => panel.clear());
    showError("");
    return;
  }
  const requests = [panels[0].translate(first, text), ...(second ? [panels[1].translate(second, text)] : [])];
  const results = await Promise.allSettled(requests);
  saveState();
  const errors = results.filter((result) => result.status === "rejected").map((result) => result.reason);
  if (!errors.length) showError("");
  else handleError(errors.find((error) => error.name !== "AbortError") || errors[0]);
}

function onInput() {
  panels.forEach((panel) => panel.choices.clear());
  caret.at = caretOffset();
  clearTimeout(wait.timer);
  wait.timer = setTimeout(translate, served.settings.frontendTimeout || 300);
  showLength();
}

// Return the offset of the caret in code points, not counting leading white space.
function caretOffset() {
  const { value, selectionStart } = byId("q");
  return Math.max(0, [...value.slice(0, selectionStart)].length - [...value].length + [...value.trimStart()].length);
}

// The caret was moved without typing, perhaps into another sentence.
function onCaretMove() {
  const offset = caretOffset();
  if (offset === caret.at || byId("answers").hidden) return;
  caret.at = offset;
  if (panels.some((panel) => panel.sentences.length && panel.sentenceAt(offset) !== panel.shown)) translate();
}

function showLength() {
  const limit = served.settings.charLimit, length = [...byId("q").value].length;
  byId("count").textContent = limit > 0 && length > limit / 2 ? `${length} of ${limit} characters` : "";
}

// Save the state in the fragment of the address, which browsers do not send to servers.
function saveState() {
  const state = new URLSearchParams({ q: byId("q").value, from: byId("from").value, to: byId("to").value, model: byId("model").value });
  if (byId("against").value) state.set("with", byId("against").value);
  if (panels.some((panel) => panel.shown)) state.set("at", caret.at);
  panels.forEach((panel, number) => {
    const { kind, layer, head, byToken } = panel.view;
    if (kind) state.set(`view${number}`, [kind, layer, head, Number(byToken)].join(" "));
    for (const [sentence, text] of panel.choices) state.set(`say${number}${sentence ? `.${sentence}` : ""}`, text);
  });
  const address = `#${state}`;
  if (address !== location.hash) history.replaceState(null, "", address);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  const set = (id, value) => { if ([...byId(id).options].some((option) => option.value === value)) byId(id).value = value; };
  set("from", state.get("from") ?? served.settings.language?.source?.code);
  updateOptions("to");
  set("to", state.get("to") ?? served.settings.language?.target?.code);
  updateOptions("model");
  set("model", state.get("model"));
  set("against", state.get("with"));
  if (state.has("q")) byId("q").value = state.get("q");
  caret.at = Number(state.get("at")) || 0;
  panels.forEach((panel, number) => {
    panel.choices = new Map([...state].flatMap(([name, text]) => {
      const [key, sentence] = name.split(".");
      return key === `say${number}` ? [[Number(sentence) || 0, text]] : [];
    }));
    const [kind, layer, head, byToken] = (state.get(`view${number}`) || "").split(" ");
    panel.view = kind ? { kind, layer: Number(layer) || 0, head: Number(head) || 0, byToken: byToken === "1" } : {};
  });
}

function options(select, pairs) {
  const before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
  if (pairs.some(([value]) => value === before)) select.value = before;
}

// Return the English name of a language, or the code if it is not known. A run without languages has the code `und`.
function language(code) {
  if (code === "und") return "unspecified"; // Chromium calls it "root"
  try { return new Intl.DisplayNames(["en"], { type: "language" }).of(code); } catch { return code; }
}

// Fill the selection lists that depend on a changed one.
function updateOptions(level) {
  const codes = (languages) => [...new Set(languages)].map((code) => [code, language(code)]);
  if (level === "from") options(byId("from"), codes(served.models.map((model) => model.source)));
  const candidates = served.models.filter((model) => model.source === byId("from").value);
  if (level !== "model") options(byId("to"), codes(candidates.map((model) => model.target)));
  const pair = candidates.filter((model) => model.target === byId("to").value);
  const names = pair.map(({ name, architecture }) => [name, name === architecture ? name : `${name} (${architecture})`]);
  options(byId("model"), names);
  options(byId("against"), [["", "nothing"], ...names.filter(([name]) => name !== byId("model").value)]);
  byId("against-label").hidden = pair.length < 2;
}

async function loadModels() {
  try {
    [served.models, served.settings] = await Promise.all(["models", "frontend/settings"].map((path) => request(path)));
  } catch (error) {
    return handleError(error);
  }
  byId("key-label").hidden = !served.settings.apiKeys;
  if (served.settings.apiKeys) byId("key").value = sessionStorage.getItem("key") || "";
  updateOptions("from");
  const typed = byId("q").value;
  restore();
  if (typed) byId("q").value = typed;
  updateOptions("model");
  return translate();
}

function start() {
  panels.push(new Panel(0), new Panel(1));
  byId("answers").append(...panels.map((panel) => panel.section));
  byId("answers").hidden = true;
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); translate(); });
  byId("q").addEventListener("input", onInput);
  for (const event of ["keyup", "pointerup"]) byId("q").addEventListener(event, onCaretMove);
  for (const id of ["from", "to", "model", "against"]) {
    byId(id).addEventListener("change", () => {
      updateOptions(id === "from" ? "to" : "model");
      panels.forEach((panel) => panel.choices.clear());
      translate();
    });
  }
  byId("key").addEventListener("change", () => { sessionStorage.setItem("key", byId("key").value); translate(); });
  byId("trouble").querySelector("button").addEventListener("click", retry);
  addEventListener("online", retry);
  addEventListener("hashchange", () => { restore(); translate(); });
  loadModels();
}

start();
