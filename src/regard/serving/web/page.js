// The page of `regard serve`: languages, the text, the state in the address, and when to translate.
"use strict";

const AUTO = "auto";
const LONG = 600; // characters from which the text is set smaller

const wait = { timer: 0, again: 0 };
const caret = { at: 0 }; // the offset, in code points, whose sentence is shown
const detected = { language: "", text: null }; // of the last text with a detected language
const panels = [];

// Show why there is no translation, and schedule a retry if the error may be temporary. The text is preserved.
function handleError(error) {
  if (error.name === "AbortError") return;
  showError(error.after ? `${explain(error)} Trying again in ${error.after} s.` : explain(error));
  clearTimeout(wait.again);
  if (error.after) wait.again = setTimeout(retry, 1000 * error.after);
  if (!(error instanceof RequestError)) throw error;
}

// canRetry: whether another attempt may succeed without a change of the text or the key.
function showError(text, canRetry = true) {
  const box = byId("trouble"), line = box.querySelector("p");
  if (!text && box.contains(document.activeElement)) byId("q").focus();
  box.hidden = !text;
  box.querySelector("button").hidden = !canRetry;
  if (line.textContent !== text) line.textContent = text;
}

function retry() {
  clearTimeout(wait.again);
  if (served.models.length) translate(); else load();
}

// The languages to translate between; the source is empty while it is not detected. The server detects those of files.
function selectedPair() {
  const from = byId("from").value;
  return { source: from === AUTO ? (byId("text-view").hidden ? "" : detected.language) : from, target: byId("to").value };
}

function selectedModels() {
  const { source, target } = selectedPair();
  const pair = served.models.filter((model) => model.source === source && model.target === target);
  if (!pair.length && targetsOf(source).includes(target)) return [{ source, target, name: null }]; // through a third language
  return [byId("model").value, byId("against").value].map((name) => pair.find((model) => model.name === name));
}

// The target languages of a source language, or of all if it is empty. Those that need a third language come last.
function targetsOf(source) {
  const direct = served.models.filter((model) => !source || model.source === source).map((model) => model.target);
  const further = served.languages.filter((entry) => entry.code === source).flatMap((entry) => entry.targets);
  return [...new Set([...direct, ...further])].filter((code) => code !== source || direct.includes(code));
}

// Detect the language of a text if the reader has not chosen one. Choose a target if there is none for it.
async function detect(text) {
  if (byId("from").value !== AUTO || detected.text === text) return;
  const found = await request("detect", { q: text.slice(0, 2000) });
  if (byId("from").value !== AUTO) return;
  detected.text = text;
  if (found.length && found[0].language !== detected.language) {
    detected.language = found[0].language;
    updateOptions("to");
  }
}

async function translate() {
  clearTimeout(wait.timer);
  if (!served.models.length) return;
  clearTimeout(wait.again);
  showText();
  saveState();
  const text = byId("q").value.trim(), settings = served.settings;
  const limit = settings.charLimit, length = [...byId("q").value].length;
  if (!text) {
    Object.assign(detected, { language: "", text: null });
    updateOptions("to");
    panels.forEach((panel) => panel.clear());
    showPanels(false);
    showError("");
    return;
  }
  if (limit > 0 && length > limit) {
    stop();
    showError(`The text is too long: ${length.toLocaleString("en")} characters; the limit is ${limit.toLocaleString("en")}. Shorten it, or translate it in parts.`, false);
    return;
  }
  if (settings.keyRequired && !byId("key").value) {
    stop();
    showError(NO_KEY, false);
    return;
  }
  try {
    await detect(text);
  } catch (error) {
    stop();
    handleError(error);
    return;
  }
  const [first, second] = selectedModels();
  showPanels(Boolean(second));
  if (!first) return;
  const options = chosenGlossary();
  const requests = [panels[0].translate(first, text, options), ...(second ? [panels[1].translate(second, text, options)] : [])];
  const results = await Promise.allSettled(requests);
  saveState();
  const errors = results.filter((result) => result.status === "rejected").map((result) => result.reason);
  if (!errors.length) showError("");
  else handleError(errors.find((error) => error.name !== "AbortError") || errors[0]);
}

// Abort the requests in progress; the last translation stays.
function stop() {
  for (const panel of panels) {
    if (panel.pending) panel.pending.abort();
    panel.setBusy(false);
  }
}

function showPanels(hasTwo) {
  byId("text-view").classList.toggle("two", hasTwo);
  panels[1].section.hidden = !hasTwo;
  if (!hasTwo) panels[1].clear();
}

function onInput() {
  panels.forEach((panel) => { panel.choices.clear(); endCorrection(panel); });
  wordMenu.close(false);
  caret.at = caretOffset();
  clearTimeout(wait.timer);
  if (byId("q").value.trim()) panels.forEach((panel) => !panel.section.hidden && panel.setBusy(true));
  wait.timer = setTimeout(translate, byId("q").value.trim() ? served.settings.frontendTimeout || 300 : 0);
  showText();
}

// Return the offset of the caret in code points, not counting leading white space.
function caretOffset() {
  const { value, selectionStart } = byId("q");
  return Math.max(0, [...value.slice(0, selectionStart)].length - leadingSpace());
}

function leadingSpace() {
  const { value } = byId("q");
  return [...value].length - [...value.trimStart()].length;
}

// The caret was moved without typing, perhaps into another sentence.
function onCaretMove() {
  const offset = caretOffset();
  if (offset === caret.at || !byId("q").value.trim()) return;
  caret.at = offset;
  if (panels.some((panel) => panel.sentences.length && panel.sentenceAt(offset) !== panel.shown)) translate();
}

// Show what depends on the text only: its length, its size, the examples.
function showText() {
  const { value } = byId("q"), limit = served.settings.charLimit, length = [...value].length;
  byId("count").textContent = limit > 0 && length ? `${length.toLocaleString("en")} / ${limit.toLocaleString("en")} characters` : "";
  byId("count").classList.toggle("wrong", limit > 0 && length > limit);
  byId("clear").hidden = !value;
  byId("text-view").classList.toggle("long", length > LONG);
  showExamples();
  markSource(null);
}

// Mark a sentence in the text, or none. The marks are below the text field, in a copy of the text that also sets its height.
// isNew: whether the reader has just chosen the sentence, which should then be visible.
function markSource(sentence, isNew = false) {
  const characters = [...byId("q").value], space = leadingSpace(), mirror = byId("mirror");
  mirror.dir = getComputedStyle(byId("q")).direction;
  if (!sentence) {
    mirror.textContent = `${characters.join("")}\n`;
    return;
  }
  const part = (start, end) => characters.slice(start, end).join("");
  mirror.replaceChildren(part(0, space + sentence.start), element("mark", {}, part(space + sentence.start, space + sentence.end)), `${part(space + sentence.end)}\n`);
  if (isNew) reveal(mirror.querySelector("mark"));
}

// Scroll the pane of an element, but not the page, if the element is outside of what the pane shows.
function reveal(node) {
  const pane = node.closest(".scroll"), outer = pane.getBoundingClientRect(), inner = node.getBoundingClientRect();
  if (inner.bottom < outer.top || inner.top > outer.bottom) pane.scrollTop += inner.top - outer.top - outer.height / 3;
}

// Offer sentences of the model's dev set while there is no text.
function showExamples() {
  const [model] = selectedModels();
  const isOf = (entry) => !model || (entry.model === model.name && entry.source === model.source && entry.target === model.target);
  const texts = byId("q").value ? [] : served.examples.filter(isOf).flatMap((entry) => entry.texts.slice(0, model ? 4 : 2)).slice(0, 4);
  byId("examples").hidden = !texts.length;
  byId("examples").replaceChildren(element("p", { class: "quiet" }, "Try a sentence that the model has not been trained on:"),
    ...texts.map((text) => element("button", { type: "button", dir: "auto", lang: byId("q").lang, onclick: () => setText(text) }, text)));
}

function setText(text) {
  byId("q").value = text;
  panels.forEach((panel) => panel.choices.clear());
  caret.at = 0;
  byId("q").focus();
  translate();
}

// Exchange the languages, and translate the translation.
function swap() {
  const { source, target } = selectedPair(), translation = panels[0].sentences.length ? panels[0].text() : "";
  byId("from").value = target;
  updateOptions("to");
  byId("to").value = source;
  updateOptions("model");
  setText(translation || byId("q").value);
}

// Save the state in the fragment of the address, which browsers do not send to servers.
function saveState() {
  const state = new URLSearchParams({ q: byId("q").value, from: byId("from").value, to: byId("to").value, model: byId("model").value });
  if (byId("against").value) state.set("with", byId("against").value);
  if (panels.some((panel) => panel.shown)) state.set("at", caret.at);
  panels.forEach((panel, number) => {
    const { kind, layer, head, byToken } = panel.view;
    if (kind) state.set(`view${number}`, [kind, layer, head, Number(byToken)].join(" "));
    for (const [sentence, { text }] of panel.choices) state.set(`say${number}${sentence ? `.${sentence}` : ""}`, text);
  });
  const address = `#${state}`;
  if (address !== location.hash) history.replaceState(null, "", address);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  const set = (id, value) => { if ([...byId(id).options].some((option) => option.value === value)) byId(id).value = value; };
  const hasAuto = [...byId("from").options].some((option) => option.value === AUTO);
  set("from", state.get("from") ?? (hasAuto ? AUTO : served.settings.language?.source?.code));
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
      return key === `say${number}` ? [[Number(sentence) || 0, { text, words: null }]] : [];
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
  const unique = (codes) => [...new Set(codes)].map((code) => [code, language(code)]);
  const sources = unique(served.models.map((model) => model.source));
  if (level === "from") options(byId("from"), [...(sources.length > 1 ? [[AUTO, "Detect language"]] : []), ...sources]);
  const auto = byId("from").querySelector(`[value=${AUTO}]`);
  const { source } = selectedPair(), isDetected = byId("from").value === AUTO && source;
  if (auto) auto.textContent = isDetected ? `${language(source)} (detected)` : "Detect language";
  byId("q").lang = source;
  const candidates = served.models.filter((model) => !source || model.source === source);
  if (level !== "model") options(byId("to"), unique(targetsOf(source)));
  const target = byId("to").value, pair = candidates.filter((model) => model.target === target);
  const names = pair.map(({ name, architecture }) => [name, name === architecture ? name : `${name} (${architecture})`]);
  options(byId("model"), names);
  options(byId("against"), [["", "nothing"], ...names.filter(([name]) => name !== byId("model").value)]);
  byId("model-label").hidden = served.models.length < 2 || !pair.length;
  byId("against-label").hidden = pair.length < 2;
  const isOneWay = byId("swap").disabled = !source || !served.models.some((model) => model.source === target) || !targetsOf(target).includes(source);
  byId("swap").title = isOneWay && source ? `There is no model from ${language(target)} to ${language(source)}` : "";
  updateGlossaries();
  showExamples();
}

function selectTab(name) {
  for (const tab of byId("tabs").children) {
    const isSelected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(isSelected));
    tab.tabIndex = isSelected ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !isSelected;
  }
  for (const id of ["model-label", "against-label"]) byId(id).classList.toggle("unused", name !== "text");
  wordMenu.close(false);
  updateOptions("to");
}

async function load() {
  try {
    [served.models, served.languages, served.settings] = await Promise.all(["models", "languages", "frontend/settings"].map((path) => request(path)));
  } catch (error) {
    return handleError(error);
  }
  byId("key-label").hidden = !served.settings.apiKeys;
  if (served.settings.apiKeys) byId("key").value = sessionStorage.getItem("key") || "";
  byId("tabs").hidden = !served.settings.filesTranslation;
  if (served.settings.filesTranslation && !files.list) buildFiles();
  updateOptions("from");
  const typed = byId("q").value;
  restore();
  if (typed) byId("q").value = typed;
  updateOptions("model");
  loadExtras();
  return translate();
}

// Load what the page can do without: examples and glossaries. With API keys, they need one.
async function loadExtras() {
  if (served.settings.keyRequired && !byId("key").value) return;
  await loadGlossaries();
  try { served.examples = await request("examples"); } catch { served.examples = []; }
  updateGlossaries();
  showExamples();
}

function start() {
  panels.push(new Panel(0), new Panel(1));
  byId("text-view").append(...panels.flatMap((panel) => [panel.section, panel.details]));
  panels[1].section.hidden = true;
  byId("swap").append(icon("swap"));
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); translate(); });
  byId("q").addEventListener("input", onInput);
  for (const event of ["keyup", "pointerup"]) byId("q").addEventListener(event, onCaretMove);
  byId("clear").addEventListener("click", () => { setText(""); });
  byId("swap").addEventListener("click", swap);
  for (const id of ["from", "to", "model", "against"]) {
    byId(id).addEventListener("change", () => {
      updateOptions(id === "from" ? "to" : "model");
      panels.forEach((panel) => panel.choices.clear());
      translate();
    });
  }
  byId("glossary").addEventListener("change", onGlossary);
  byId("key").addEventListener("change", () => { sessionStorage.setItem("key", byId("key").value); loadExtras(); translate(); });
  byId("trouble").querySelector("button").addEventListener("click", retry);
  byId("tabs").addEventListener("click", (event) => { if (event.target.id) selectTab(event.target.id.slice(4)); });
  byId("tabs").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const [text, filesTab] = byId("tabs").children, other = document.activeElement === text ? filesTab : text;
    selectTab(other.id.slice(4));
    other.focus();
  });
  addEventListener("online", retry);
  addEventListener("hashchange", () => { restore(); translate(); });
  load();
}

start();
