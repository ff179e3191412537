// Translate files: choose or drop them, follow their progress, and download the translations.
"use strict";

const files = { jobs: [], running: false };

function buildFiles() {
  const { supportedFilesFormat: suffixes = [], fileLimit: limit } = served.settings;
  const input = element("input", { id: "file", type: "file", class: "hidden", multiple: true, accept: suffixes.join(","), onchange: () => { addFiles(input.files); input.value = ""; } });
  const list = files.list = element("ul", { class: "jobs", "aria-label": "Your files" });
  byId("files-view").replaceChildren(
    element("div", { class: "drop" }, icon("file"),
      element("p", {}, "Drop files here, or ", element("label", { for: "file", class: "choose" }, "choose files"), input),
      element("p", { class: "quiet" }, `This server translates files of up to ${formatSize(limit)}: ${suffixes.join(", ")}.`)),
    list);
  for (const name of ["text", "files"]) {
    byId(`${name}-view`).setAttribute("role", "tabpanel");
    byId(`${name}-view`).setAttribute("aria-labelledby", `tab-${name}`);
  }
  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (byId("files-view").hidden) selectTab("files");
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.remove("dragging");
    addFiles(event.dataTransfer.files);
  });
}

function addFiles(chosen) {
  for (const file of chosen) {
    const job = makeJob(file);
    files.jobs.push(job);
    files.list.append(job.row);
    const problem = refusal(file);
    job.isDone = Boolean(problem); // nothing more can be done
    showJob(job, problem || "Waiting", { isError: job.isDone });
  }
  runJobs();
}

// Return why a file need not be sent, or an empty string. Servers close the connection of a file that is too large.
function refusal(file) {
  const { supportedFilesFormat: suffixes = [], fileLimit: limit } = served.settings;
  if (!suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix))) return "This kind of file is not supported. Save it in one of the formats listed above.";
  if (!file.size) return "The file is empty.";
  return file.size > limit ? `The file is too large: this server translates files of up to ${formatSize(limit)}. Divide it.` : "";
}

function formatSize(bytes) {
  const [unit, size] = bytes < 1e6 ? ["kilobyte", bytes / 1e3] : ["megabyte", bytes / 1e6];
  return new Intl.NumberFormat("en", { style: "unit", unit, maximumFractionDigits: 1 }).format(Math.max(0.1, size));
}

// Return a file with the row that shows its state. The row stays, so that the focus and screen readers can follow it.
function makeJob(file) {
  const status = element("p", { class: "quiet" }), bar = element("progress", { max: "1", "aria-label": file.name }), actions = element("div", { class: "actions" });
  const name = element("p", {}, element("strong", { dir: "auto" }, file.name), " ", element("span", { class: "quiet" }, formatSize(file.size)));
  return { file, request: null, status, bar, actions, row: element("li", {}, element("div", { role: "status" }, name, status), bar, actions) };
}

// Show the state of a file: a text, and a progress bar (0 to 1, or null for unknown), a link, or an error.
function showJob(job, text, { progress, link = null, isError = false } = {}) {
  const { file, status, bar, actions } = job;
  bar.hidden = progress === undefined;
  if (progress) bar.value = progress; else bar.removeAttribute("value");
  if (status.textContent === text) return;
  status.textContent = text;
  status.classList.toggle("wrong", isError);
  const button = (label, onclick) => element("button", { type: "button", class: "plain", "aria-label": `${label} ${file.name}`, onclick }, label);
  const again = isError && !job.isDone ? button("Try again", () => { job.isFailed = false; showJob(job, "Waiting"); runJobs(); }) : null;
  const hadFocus = actions.contains(document.activeElement);
  actions.replaceChildren(...[link, again, button(job.request ? "Cancel" : "Remove", () => removeJob(job))].filter(Boolean));
  if (hadFocus) actions.firstChild.focus();
}

function removeJob(job) {
  if (job.request) job.request.abort();
  if (job.address) URL.revokeObjectURL(job.address);
  const next = job.row.nextSibling || job.row.previousSibling;
  job.row.remove();
  files.jobs = files.jobs.filter((other) => other !== job);
  (next ? next.querySelector(".actions").lastChild : byId("file")).focus();
}

// Translate one file after another.
async function runJobs() {
  if (files.running) return;
  files.running = true;
  for (let job; (job = files.jobs.find((candidate) => !candidate.isDone && !candidate.isFailed));) {
    try {
      const { translatedFileUrl, untranslated } = await upload(job), address = localAddress(translatedFileUrl);
      const href = job.address = await download(address), name = decodeURIComponent(address.split("/").at(-1));
      job.request = null;
      job.isDone = true;
      const left = untranslated ? `Translated; ${untranslated === 1 ? "one part stays" : `${untranslated} parts stay`} untranslated` : "Translated";
      showJob(job, left, { link: element("a", { class: "button main", href, download: name }, `Download ${name}`) });
    } catch (error) {
      job.request = null;
      job.isFailed = true;
      if (files.jobs.includes(job)) showJob(job, explainContent(error, "translate this file"), { isError: true });
    }
  }
  files.running = false;
}

// Download a file into the page, since servers delete it after a while. Return its address there.
async function download(address) {
  const response = await fetch(address).catch(() => { throw new RequestError(0, ""); });
  if (!response.ok) throw errorOf(response.status, null);
  return URL.createObjectURL(await response.blob());
}

// The address of a translated file, on the host of this page: a server behind a proxy may not know its public name.
function localAddress(address) {
  const { pathname, search } = new URL(address, location.href);
  return `${new URL(".", location.href).pathname.replace(/\/$/, "")}${pathname}${search}`;
}

// Send a file. XMLHttpRequest, unlike fetch, reports the progress of an upload.
function upload(job) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ source: byId("from").value, target: byId("to").value, ...chosenGlossary() })) form.append(name, value);
  form.append("file", job.file);
  return new Promise((resolve, reject) => {
    const sending = job.request = new XMLHttpRequest();
    sending.open("POST", "translate_file");
    for (const [name, value] of Object.entries(authorization())) sending.setRequestHeader(name, value);
    sending.responseType = "json";
    sending.upload.onprogress = (event) => showJob(job, "Sending", { progress: event.loaded / event.total });
    sending.upload.onload = () => showJob(job, "Translating", { progress: null });
    sending.onload = () => {
      const body = sending.response;
      if (sending.status === 200 && body && body.translatedFileUrl) resolve(body);
      else reject(errorOf(sending.status, body, sending.getResponseHeader("Retry-After")));
    };
    sending.onerror = () => reject(new RequestError(0, ""));
    sending.onabort = () => reject(new RequestError(0, ""));
    showJob(job, "Sending", { progress: 0 });
    sending.send(form);
  });
}
