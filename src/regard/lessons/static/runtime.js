// Models in the page: a worker that holds them, started with the first model.
let worker = null;
let numbers = 0;
const waiting = new Map();

function start() {
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(result);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the worker cannot be started"));
    waiting.clear();
    worker = null;
  };
}

function call(kind, body) {
  if (!worker) start();
  numbers += 1;
  const id = numbers;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, kind, ...body });
  });
}

// A model: a folder with what `regard export RUN DIR --to onnx` writes.
export class Model {
  constructor(folder) {
    this.folder = new URL(folder.endsWith("/") ? folder : `${folder}/`, import.meta.url).href;
  }
  // The manifest; loads the model if it is not loaded yet.
  load() { return call("load", { folder: this.folder }); }
  // { ids, pieces, memory } of a source text; memory has the encoder's tensors by name, each { dims, data }.
  encode(text) { return call("encode", { folder: this.folder, text }); }
  // The translations of a text, best first. Settings override the run's [search]; see search.js for a hypothesis.
  translate(text, settings = {}, topBeams = 1) { return call("translate", { folder: this.folder, text, settings, topBeams }); }
  // The best translation with what the model computed at each step: weights of every head as { dims, data } with the axes
  // (layers, heads, ...), `encoder` (S, S) of the encoder's self-attention, and for each step of the decoder `decoder` (T)
  // and `source` (S); null where the model has none. `states` are vectors of the decoder before the first step and after
  // each, by name. Without attention, `memory` has the encoder's tensors. `hypotheses` are { output, score, isFinished }, best
  // first. The search is greedy unless settings say otherwise.
  heads(text, settings = { beam_size: 1 }, topBeams = 1) { return call("heads", { folder: this.folder, text, settings, topBeams }); }
  // A transformer2017's greedy output with the values of every step: `values` by the names of trace.py, each { dims, data },
  // `logits` (T rows), and the most probable tokens of each row, of the model (`candidates`) and of earlier states (`lens`).
  trace(text) { return call("trace", { folder: this.folder, text }); }
  // The attention of the greedy output, and how much each source token matters: see worker.js.
  occlude(text) { return call("occlude", { folder: this.folder, text }); }
  // The token ids of a text on the target side.
  targetIds(text) { return call("targetIds", { folder: this.folder, text }); }
  // The greedy output of a model in a folder `steered`, with changes: `weights` to the source by step, which replace
  // those of all heads; `forced` ids by step; and `scales` of heads, an array (layers x heads) for each of `encoder`,
  // `decoder` and `source`. Each step has its `own` weights and probabilities and those that are `used`.
  steer(text, changes = {}) { return call("steer", { folder: this.folder, text, changes }); }
  // What `translate` returns, and how the search got there: { pieces, unknown, hypotheses, trace, empty, fed }; see search.js and strategies.js.
  search(text, settings = {}, topBeams = 1) { return call("search", { folder: this.folder, text, settings, topBeams }); }
}
