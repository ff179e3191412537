// Choose a glossary for the pair of languages, or make one from a table.
"use strict";

const NEW_GLOSSARY = "new";
const glossaries = { all: [], chosen: "" };

async function loadGlossaries() {
  if (!served.settings.glossaries) return;
  try {
    glossaries.all = (await request("v2/glossaries")).glossaries || [];
  } catch (error) {
    glossaries.all = []; // translation works without them
  }
}

// List the glossaries of the selected languages.
function updateGlossaries() {
  const { source, target } = selectedPair();
  const list = glossaries.all.filter((entry) => matches(entry.source_lang, source) && matches(entry.target_lang, target));
  const hasModel = served.models.some((model) => model.source === source && model.target === target);
  byId("glossary-label").hidden = !served.settings.glossaries || !hasModel;
  options(byId("glossary"), [["", "none"], ...list.map((entry) => [entry.glossary_id, `${entry.name} (${entry.entry_count})`]), [NEW_GLOSSARY, "New glossary\u2026"]]);
  byId("glossary").value = list.some((entry) => entry.glossary_id === glossaries.chosen) ? glossaries.chosen : "";
}

function matches(code, language) {
  return String(code).toLowerCase().split("-")[0] === String(language).toLowerCase().split("-")[0];
}

function chosenGlossary() {
  const id = byId("glossary").value;
  return id && id !== NEW_GLOSSARY && !byId("glossary-label").hidden ? { glossary_id: id } : {};
}

function onGlossary() {
  if (byId("glossary").value !== NEW_GLOSSARY) {
    glossaries.chosen = byId("glossary").value;
    translate();
    return;
  }
  byId("glossary").value = glossaries.chosen;
  openGlossaryDialog();
}

function openGlossaryDialog() {
  const { source, target } = selectedPair();
  const name = element("input", { id: "glossary-name", required: true, maxlength: "100", autocomplete: "off" });
  const entries = element("textarea", { id: "glossary-entries", rows: "8", required: true, spellcheck: "false", placeholder: "term\ttranslation", dir: "auto" });
  const file = element("input", { id: "glossary-file", type: "file", accept: ".tsv,.txt,.csv", onchange: async () => {
    if (!file.files.length) return;
    entries.value = (await file.files[0].text()).replace(/^\ufeff/, "");
    if (!name.value) name.value = file.files[0].name.replace(/\.\w+$/, "");
  } });
  const status = element("p", { class: "quiet wrong", role: "alert" });
  const dialog = element("dialog", { "aria-labelledby": "glossary-title", onclose: () => dialog.remove() },
    element("form", { onsubmit: (event) => { event.preventDefault(); saveGlossary(dialog, name.value, entries.value, status); } },
      element("h2", { id: "glossary-title" }, `New glossary: ${language(source)} to ${language(target)}`),
      element("label", { for: "glossary-name" }, "Name"), name,
      element("label", { for: "glossary-entries" }, "Terms: one a line, then a tab or \u201c=\u201d, then the translation"), entries,
      element("label", { for: "glossary-file" }, "Or read a TSV or CSV file"), file,
      status,
      element("div", { class: "actions" }, element("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Cancel"), element("button", { type: "submit", class: "main" }, "Save glossary"))));
  document.querySelector("main").append(dialog);
  dialog.showModal();
}

// Return the terms of a text as TSV. A line may have a tab, "=" or a comma between the term and its translation.
function toTsv(text) {
  return text.split(/\r?\n/).filter((line) => line.trim()).map((line) => {
    const separator = line.includes("\t") ? "\t" : line.includes("=") ? "=" : ",";
    const [term, ...rest] = line.split(separator);
    return `${term.trim()}\t${(separator === "\t" ? rest[0] || "" : rest.join(separator)).trim()}`;
  });
}

async function saveGlossary(dialog, name, text, status) {
  const lines = toTsv(text), wrong = lines.findIndex((line) => /^\t|\t$/.test(line));
  if (wrong >= 0) {
    status.textContent = `Line ${wrong + 1} has no translation. Write the term, a tab, and its translation.`;
    return;
  }
  const { source, target } = selectedPair();
  try {
    const made = await request("v2/glossaries", { name: name.trim(), source_lang: source, target_lang: target, entries: lines.join("\n"), entries_format: "tsv" });
    await loadGlossaries();
    glossaries.chosen = made.glossary_id;
  } catch (error) {
    status.textContent = explainContent(error, "accept this glossary");
    return;
  }
  dialog.close();
  updateGlossaries();
  announce(`The glossary ${name} is saved and chosen.`);
  byId("glossary").focus();
  translate();
}
