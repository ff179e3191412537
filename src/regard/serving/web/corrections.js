// Correct the translation of a sentence, and send it to the server.
"use strict";

// Show the editor for the sentence that a panel shows.
function editCorrection(panel) {
  endCorrection(panel);
  wordMenu.close(false);
  const sentence = panel.sentences[panel.shown], id = `correction-${panel.number}`;
  const area = element("textarea", { id, rows: "1", dir: "auto", lang: panel.model.target, spellcheck: "true" });
  area.value = sentence.target;
  const status = element("p", { class: "quiet wrong", role: "alert" });
  const send = element("button", { type: "submit", class: "main" }, "Send correction");
  const form = element("form", { class: "correction", onsubmit: (event) => { event.preventDefault(); sendCorrection(panel, sentence, area.value, status, send); } },
    element("label", { for: id }, "Correct the translation of ", element("q", { dir: "auto", lang: panel.model.source }, sentence.source)), area,
    element("p", { class: "quiet" }, "The server keeps the sentence and your correction to learn from them."),
    status,
    element("div", { class: "actions" }, element("button", { type: "button", class: "plain", onclick: () => endCorrection(panel, true) }, "Cancel"), send));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") endCorrection(panel, true);
    if (event.key === "Enter" && !event.shiftKey && event.target === area) { event.preventDefault(); form.requestSubmit(); }
  });
  panel.editor = form;
  panel.box.hidden = panel.tools.hidden = true;
  panel.section.append(form);
  area.focus();
}

async function sendCorrection(panel, sentence, written, status, send) {
  const text = written.trim().replace(/\s+/g, " ");
  if (!text) { status.textContent = "Write the translation first."; return; }
  if (text === sentence.target) { endCorrection(panel, true); return; }
  send.disabled = true;
  try {
    await request("suggest", { q: sentence.source, s: text, source: panel.body.source, target: panel.body.target, model: panel.body.model, origin: "page" });
  } catch (error) {
    status.textContent = explain(error);
    send.disabled = false;
    return;
  }
  endCorrection(panel, true);
  const number = panel.sentences.indexOf(sentence); // -1: the text has changed
  if (number >= 0) {
    panel.shown = number;
    panel.choose({ text, words: null });
  }
  announce("Thank you. The server has kept your correction.");
  showThanks(panel);
}

function showThanks(panel) {
  panel.correct.lastChild.data = "Thank you";
  setTimeout(() => { panel.correct.lastChild.data = "Correct"; }, 3000);
}

// Close the editor of a panel, if it is open. If the reader closed it, the pencil gets the focus.
function endCorrection(panel, byReader = false) {
  if (!panel.editor) return;
  panel.editor.remove();
  panel.editor = null;
  panel.box.hidden = false;
  panel.tools.hidden = !panel.sentences.length;
  if (byReader) panel.correct.focus();
}
