// The page of `regard serve`: what is typed goes to /attention, what comes back is drawn.
"use strict";

const ALTERNATIVES = 4; // besides the best
const NO_KEY = "The server wants an API key: give yours above.";
const AGAIN = 5; // seconds before another try, where the server does not say
const STALE = 400; // milliseconds after which an answer that is awaited is said to be

const by = (id) => document.getElementById(id);
const wait = { timer: 0, again: 0 };
const served = { models: [], settings: {} };
const caret = { at: 0 }; // the code point of the text whose sentence is looked at
const panels = [];

class Refusal extends Error {
  constructor(status, message, after) {
    super(message);
    this.status = status;
    this.after = after;
  }
}

// JSON of the server; throws Refusal where it refuses or cannot be reached (status 0).
async function asked(path, body, signal) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal } : { signal };
  let answer, told;
  try {
    answer = await fetch(path, options);
    told = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!answer) throw new Refusal(0, "The server cannot be reached.", AGAIN);
    throw new Refusal(answer.status, "The answer is not one of regard's server.", null);
  }
  if (answer.ok) return told;
  const after = Number(answer.headers.get("Retry-After")) || (answer.status >= 500 ? AGAIN : null);
  throw new Refusal(answer.status, told.error || `status ${answer.status}`, after);
}

// Why there is no answer, in words; what was typed stays, and is asked for again where time may mend it.
function trouble(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refusal)) throw error;
  const { status, message, after } = error;
  let said = message;
  if (status === 0) said = `${message} Is it still running? Your text is kept.`;
  else if (status === 429 || status === 503) said = `The server is busy: ${message}.`;
  else if (status === 401 || status === 403) {
    said = by("key").value ? `The server does not take this API key: ${message}.` : NO_KEY;
  }
  if (after) said += ` It is tried again in ${after} s.`;
  tell(said);
  clearTimeout(wait.again);
  if (after) wait.again = setTimeout(retry, 1000 * after);
}

function tell(said) {
  const place = by("trouble"), line = place.querySelector("p");
  place.hidden = !said;
  if (line.textContent !== said) line.textContent = said;
}

function retry() {
  clearTimeout(wait.again);
  if (served.models.length) translate(); else begin();
}

// One model's answer: its name, the translation, and of one sentence what else the beam found and what was looked at.
class Panel {
  constructor(number) {
    this.number = number;
    this.view = {};
    this.say = new Map(); // of sentences, by number, a target that was chosen instead of the best
    this.forget();
    this.heading = element("h2", { id: `name-${number}` });
    this.answer = element("p", { class: "answer", role: "status", dir: "auto" });
    this.note = element("p", { class: "quiet note" });
    this.which = element("span", {});
    this.steps = [["\u2039", "Previous sentence", -1], ["\u203a", "Next sentence", 1]].map(([text, label, step]) =>
      element("button", { type: "button", "aria-label": label, onclick: () => this.go(this.shown + step) }, text));
    this.turn = element("p", { class: "quiet turn", hidden: true }, this.steps[0], this.which, this.steps[1]);
    this.beam = element("div");
    this.place = element("div", { class: "explorer" });
    this.more = element("div", { class: "more", hidden: true },
      element("div", {}, element("h3", {}, "What else the search found"),
        element("p", { class: "quiet" }, "Scores are log-probabilities over a length penalty: the nearer to 0, the likelier. Choose one to see what it looks at."),
        this.beam),
      this.looked = element("div", {}, element("h3", {}, "What it looks at"), this.place));
    new ResizeObserver(() => { if (this.beam.firstChild) fit(this.beam.firstChild); }).observe(this.beam);
    this.section = element("section", { "aria-labelledby": `name-${number}` }, this.heading, this.answer, this.turn, this.note, this.more);
  }

  // Nothing is known of any text.
  forget() {
    this.asked = null; // what the sentences are of
    this.sentences = []; // {start, end, source, target, found, say}; found: its own answer, said: the target asked for
    this.gaps = []; // what stands before, between and after the sentences of the translation
    this.shown = 0;
  }

  named(model) {
    const { name, architecture, parameters } = model;
    const size = new Intl.NumberFormat("en", { notation: "compact", compactDisplay: "long" }).format(parameters);
    this.heading.replaceChildren(name, " ", element("small", {}, `${architecture}, ${size} parameters`));
  }

  clear() {
    if (this.sent) this.sent.abort();
    if (this.explorer) this.explorer.end();
    this.explorer = null;
    this.answer.textContent = this.note.textContent = "";
    this.more.hidden = this.turn.hidden = true;
    this.forget();
    this.busy(false);
  }

  busy(on) {
    clearTimeout(this.stale);
    if (on) this.stale = setTimeout(() => this.section.setAttribute("aria-busy", "true"), STALE);
    else this.section.removeAttribute("aria-busy");
  }

  // The last one counts: one that is on its way is given up.
  async ask(model, text) {
    if (this.sent) this.sent.abort();
    const sent = this.sent = new AbortController();
    const body = { source: model.source, target: model.target, model: model.name, alternatives: ALTERNATIVES };
    if (by("key").value) body.api_key = by("key").value;
    const key = JSON.stringify([body, text]);
    this.busy(true);
    try {
      this.named(model);
      if (this.asked !== key) {
        const said = this.say.get(0) ?? null;
        this.divide(await asked("attention", { ...body, q: text, target_text: said }, sent.signal), text, said);
        this.asked = key;
      }
      const wanted = this.under(caret.at);
      for (const number of new Set([...this.say.keys(), wanted])) {
        const sentence = this.sentences[number], said = this.say.get(number) ?? null;
        if (!sentence || (sentence.found && sentence.said === said)) continue;
        const found = await asked("attention", { ...body, q: sentence.source, split_sentences: false, target_text: said }, sent.signal);
        Object.assign(sentence, { found, said, target: found.translatedText });
      }
      this.show(wanted, model);
    } finally {
      if (this.sent === sent) this.busy(false);
    }
  }

  // The sentences of an answer over a whole text; the first one comes with what was looked at.
  divide(found, text, said) {
    const from = [...text], to = [...found.translatedText];
    this.gaps = [];
    let at = 0;
    this.sentences = found.sentences.map(({ start, end, target_start, target_end }) => {
      this.gaps.push(to.slice(at, target_start).join(""));
      at = target_end;
      return { start, end, source: from.slice(start, end).join(""), target: to.slice(target_start, target_end).join("") };
    });
    this.gaps.push(to.slice(at).join(""));
    Object.assign(this.sentences[0], { found, said });
  }

  // The number of the sentence that a code point of the text is in, or comes after.
  under(place) {
    return Math.max(0, this.sentences.findLastIndex((sentence) => sentence.start <= place));
  }

  go(number) {
    caret.at = this.sentences[number].start;
    translate();
  }

  // The whole translation; its sentences can be clicked where there are several.
  tell(model) {
    this.answer.lang = model.target;
    const text = this.sentences.map((sentence, number) => this.gaps[number] + sentence.target).join("") + this.gaps.at(-1);
    if (this.answer.textContent !== text) {
      this.answer.replaceChildren(...(this.sentences.length === 1 ? [text] : this.sentences.flatMap((sentence, number) =>
        [this.gaps[number], element("span", { class: "sentence", onclick: () => this.go(number) }, sentence.target)]).concat(this.gaps.at(-1))));
    }
    this.answer.querySelectorAll(".sentence").forEach((one, number) => one.classList.toggle("shown", number === this.shown));
    this.turn.hidden = this.sentences.length === 1;
    this.which.textContent = `Sentence ${this.shown + 1} of ${this.sentences.length}`;
    this.steps[0].disabled = this.shown === 0;
    this.steps[1].disabled = this.shown === this.sentences.length - 1;
  }

  show(number, model) {
    this.shown = number;
    this.tell(model);
    const { found, target, said } = this.sentences[number];
    const all = found.alternatives, best = all.length ? all[0].text : target;
    const note = found.note ? `${found.note[0].toUpperCase()}${found.note.slice(1)}.` : "";
    this.note.textContent = said === null ? note : `Chosen by you among the alternatives below. ${note}`;
    const beam = JSON.stringify(all);
    if (this.drawn !== beam) {
      this.drawn = beam;
      this.beam.replaceChildren(tree(all, target, (one) => this.choose(one.text === best ? null : one.text)));
    }
    for (const one of this.beam.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one.dataset.text === target));
    this.more.hidden = false;
    fit(this.beam.firstChild);
    if (this.explorer) this.explorer.end();
    this.looked.hidden = !found.looks;
    this.explorer = found.looks && new Explorer(this.place, found.looks, this.view, () => { this.view = this.explorer.view(); keep(); });
  }

  choose(text) {
    if (text === null) this.say.delete(this.shown); else this.say.set(this.shown, text);
    caret.at = this.sentences[this.shown].start;
    translate();
  }
}

function chosen() {
  const names = [by("model").value, by("against").value];
  const pair = served.models.filter((model) => model.source === by("from").value && model.target === by("to").value);
  return names.map((name) => pair.find((model) => model.name === name));
}

async function translate() {
  clearTimeout(wait.timer);
  if (!served.models.length) return;
  clearTimeout(wait.again);
  count();
  keep();
  const text = by("q").value.trim(), [first, second] = chosen();
  by("answers").classList.toggle("two", Boolean(second));
  panels[1].section.hidden = !second;
  if (!second) panels[1].clear();
  const limit = served.settings.charLimit, length = [...by("q").value].length;
  if (limit > 0 && length > limit) {
    panels.forEach((panel) => panel.sent && panel.sent.abort());
    tell(`The text is too long: ${length} characters, and ${limit} are taken. Shorten it.`);
    return;
  }
  if (text && served.settings.keyRequired && !by("key").value) {
    tell(NO_KEY);
    return;
  }
  by("answers").hidden = !text || !first;
  if (!text || !first) {
    panels.forEach((panel) => panel.clear());
    tell("");
    return;
  }
  const asking = [panels[0].ask(first, text), ...(second ? [panels[1].ask(second, text)] : [])];
  const ends = await Promise.allSettled(asking);
  keep();
  const wrong = ends.filter((end) => end.status === "rejected").map((end) => end.reason);
  if (!wrong.length) tell("");
  else trouble(wrong.find((error) => error.name !== "AbortError") || wrong[0]);
}

function typed() {
  panels.forEach((panel) => panel.say.clear());
  caret.at = where();
  clearTimeout(wait.timer);
  wait.timer = setTimeout(translate, served.settings.frontendTimeout || 300);
  count();
}

// The code point of the text, without the white space before it, that the caret is at.
function where() {
  const { value, selectionStart } = by("q");
  return Math.max(0, [...value.slice(0, selectionStart)].length - [...value].length + [...value.trimStart()].length);
}

// The caret was moved, not by typing: perhaps into another sentence.
function moved() {
  const place = where();
  if (place === caret.at || by("answers").hidden) return;
  caret.at = place;
  if (panels.some((panel) => panel.sentences.length && panel.under(place) !== panel.shown)) translate();
}

function count() {
  const limit = served.settings.charLimit, length = [...by("q").value].length;
  by("count").textContent = limit > 0 && length > limit / 2 ? `${length} of ${limit} characters` : "";
}

// The state in the address, which no server sees.
function keep() {
  const state = new URLSearchParams({ q: by("q").value, from: by("from").value, to: by("to").value, model: by("model").value });
  if (by("against").value) state.set("with", by("against").value);
  if (panels.some((panel) => panel.shown)) state.set("at", caret.at);
  panels.forEach((panel, number) => {
    const { kind, layer, head, byToken } = panel.view;
    if (kind) state.set(`view${number}`, [kind, layer, head, Number(byToken)].join(" "));
    for (const [sentence, text] of panel.say) state.set(`say${number}${sentence ? `.${sentence}` : ""}`, text);
  });
  const address = `#${state}`;
  if (address !== location.hash) history.replaceState(null, "", address);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  const set = (id, value) => { if ([...by(id).options].some((option) => option.value === value)) by(id).value = value; };
  set("from", state.get("from") ?? served.settings.language?.source?.code);
  offer("to");
  set("to", state.get("to") ?? served.settings.language?.target?.code);
  offer("model");
  set("model", state.get("model"));
  set("against", state.get("with"));
  if (state.has("q")) by("q").value = state.get("q");
  caret.at = Number(state.get("at")) || 0;
  panels.forEach((panel, number) => {
    panel.say = new Map([...state].flatMap(([name, text]) => {
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

// In English, where the code is one of a language.
function language(code) {
  try { return new Intl.DisplayNames(["en"], { type: "language" }).of(code); } catch { return code; }
}

// What can be chosen after a choice further up.
function offer(what) {
  const codes = (found) => [...new Set(found)].map((code) => [code, language(code)]);
  if (what === "from") options(by("from"), codes(served.models.map((model) => model.source)));
  const near = served.models.filter((model) => model.source === by("from").value);
  if (what !== "model") options(by("to"), codes(near.map((model) => model.target)));
  const pair = near.filter((model) => model.target === by("to").value);
  const told = pair.map(({ name, architecture }) => [name, name === architecture ? name : `${name} (${architecture})`]);
  options(by("model"), told);
  options(by("against"), [["", "nothing"], ...told.filter(([name]) => name !== by("model").value)]);
  by("against-label").hidden = pair.length < 2;
}

async function begin() {
  try {
    [served.models, served.settings] = await Promise.all(["models", "frontend/settings"].map((path) => asked(path)));
  } catch (error) {
    return trouble(error);
  }
  by("key-label").hidden = !served.settings.apiKeys;
  if (served.settings.apiKeys) by("key").value = sessionStorage.getItem("key") || "";
  offer("from");
  const early = by("q").value;
  restore();
  if (early) by("q").value = early;
  offer("model");
  return translate();
}

function start() {
  panels.push(new Panel(0), new Panel(1));
  by("answers").append(...panels.map((panel) => panel.section));
  by("answers").hidden = true;
  by("ask").addEventListener("submit", (event) => { event.preventDefault(); translate(); });
  by("q").addEventListener("input", typed);
  for (const event of ["keyup", "pointerup"]) by("q").addEventListener(event, moved);
  for (const id of ["from", "to", "model", "against"]) {
    by(id).addEventListener("change", () => {
      offer(id === "from" ? "to" : "model");
      panels.forEach((panel) => panel.say.clear());
      translate();
    });
  }
  by("key").addEventListener("change", () => { sessionStorage.setItem("key", by("key").value); translate(); });
  by("trouble").querySelector("button").addEventListener("click", retry);
  addEventListener("online", retry);
  addEventListener("hashchange", () => { restore(); translate(); });
  begin();
}

start();
