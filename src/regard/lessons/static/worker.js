// Runs models with onnxruntime-web, on one thread, apart from the page. See runtime.js for the messages.
import * as ort from "./ort/ort.wasm.bundle.min.mjs";
import { beamSearch, bestTokens, lengthLimit } from "./search.js";
import { exactSearch, lookaheadSearch } from "./strategies.js";
import { makeTokenizer } from "./tokenizers.js";

const BOS = 1, EOS = 2, UNK = 3;
const CANDIDATES = 5; // of a step that is steered, and of a position in a trace
const COLUMNS = 256; // of logits, in a trace
const models = new Map(); // promises, by folder
let runtime = null;

async function read(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${new URL(address).pathname} cannot be loaded (status ${response.status})`);
  return response;
}

async function startRuntime() {
  const { body } = await read(new URL("ort/ort-wasm-simd-threaded.wasm.gz", import.meta.url));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await new Response(body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function loadModel(folder) {
  runtime ??= startRuntime();
  const [manifest, names] = await Promise.all(["manifest.json", "tokenizer.json"].map(async (name) => (await read(folder + name)).json()));
  const vocabulary = (side) => async () => (await read(`${folder}${names[side]}.vocabulary.json`)).json();
  const describe = (side) => manifest.tokenizers[side] ?? manifest.tokenizers.source; // with a joint vocabulary there is one
  const [source, target] = await Promise.all(["source", "target"].map((side) => makeTokenizer(describe(side), vocabulary(side))));
  await runtime;
  const [encoder, step] = await Promise.all([manifest.encoder, manifest.step].map(({ file }) => startSession(folder + file, manifest.weights)));
  return { manifest, source, target, encoder, step };
}

// Weights in 8 bits are converted when the session is created. Otherwise each step would convert them again.
async function startSession(address, weights = "float32") {
  const content = new Uint8Array(await (await read(address)).arrayBuffer());
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  return ort.InferenceSession.create(content, weights === "int8" ? { ...options, extra: { session: { disable_quant_qdq: "1" } } } : options);
}

function load(folder) {
  if (!models.has(folder)) models.set(folder, loadModel(folder));
  return models.get(folder);
}

const int64 = (numbers, dims) => new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), dims);

const float32 = (numbers, dims) => new ort.Tensor("float32", Float32Array.from(numbers), dims);

// Encode sources of equal length. A graph that can be steered takes the scales (layers, heads) of the encoder's heads.
async function encodeAll({ manifest, encoder }, sources, scale = null) {
  const feeds = { source: int64(sources.flat(), [sources.length, sources[0].length]) };
  const [, input] = manifest.encoder.inputs;
  if (input) {
    const heads = input.shape.slice(1);
    const ones = Array(heads[0] * heads[1]).fill(1);
    feeds[input.name] = float32(sources.flatMap(() => scale ?? ones), [sources.length, ...heads]);
  }
  return encoder.run(feeds);
}

async function encode(model, text, scale = null) {
  const ids = [...model.source.encode(text), EOS];
  return { ids, tensors: await encodeAll(model, [ids], scale) };
}

// A tensor whose first axis has the given rows of another one; one without axes is shared by all rows.
function selectRows(tensor, rows) {
  if (!tensor.dims.length || rows.every((row, place) => row === place) && rows.length === tensor.dims[0]) return tensor;
  const size = tensor.data.length / tensor.dims[0];
  const data = new tensor.data.constructor(rows.length * size);
  rows.forEach((row, place) => data.set(tensor.data.subarray(row * size, (row + 1) * size), place * size));
  return new ort.Tensor(tensor.type, data, [rows.length, ...tensor.dims.slice(1)]);
}

const rowsOf = ({ dims, data }) => Array.from({ length: dims[0] }, (_, row) => data.subarray((row * data.length) / dims[0], ((row + 1) * data.length) / dims[0]));

// What the searches call: the decoder of one encoded sentence, or with `isBatch` of one for each row. A step goes on from
// the last one, or from a given state; `changed` has tensors that replace those of the memory.
function makeDecoder({ manifest, step }, tensors, isBatch = false) {
  const first = (name) => tensors[name];
  const memory = Object.fromEntries(manifest.memory.map((name) => [name, first(name)]));
  let state = Object.fromEntries(manifest.state.map(({ input }) => [input, first(input)]));
  return {
    start: state,
    async step(tokens, parents, from = state, changed = {}) {
      const feeds = { tokens: int64(tokens, [tokens.length]) };
      for (const [name, tensor] of Object.entries(from)) feeds[name] = selectRows(tensor, parents);
      for (const [name, tensor] of Object.entries({ ...memory, ...changed })) feeds[name] = selectRows(tensor, tokens.map((_, row) => (isBatch ? row : 0)));
      for (const name of Object.keys(feeds)) if (!step.inputNames.includes(name)) delete feeds[name];
      const outputs = await step.run(feeds);
      state = Object.fromEntries(manifest.state.map(({ input, output }) => [input, outputs[output]]));
      return { state, rows: rowsOf(outputs.log_probabilities), attention: outputs.attention ? rowsOf(outputs.attention).map((weights) => meanOfHeads(weights, outputs.attention.dims)) : null, outputs };
    },
  };
}

// The mean of the attention (layers, heads, S) of a row over layers and heads.
function meanOfHeads(weights, dims) {
  const width = dims.at(-1);
  const count = weights.length / width;
  return Array.from({ length: width }, (_, place) => {
    let sum = 0;
    for (let head = 0; head < count; head += 1) sum += weights[head * width + place];
    return sum / count;
  });
}

// Search with the strategy of the settings. `empty` is the log-probability of the empty output.
async function search(model, tensors, limit, settings, topBeams) {
  let empty = null;
  const start = () => {
    const decoder = makeDecoder(model, tensors);
    return { async step(...given) {
      const output = await decoder.step(...given);
      empty ??= output.rows[0][EOS];
      return output;
    } };
  };
  const { strategy } = settings;
  const found = strategy === "lookahead" ? await lookaheadSearch(start(), limit, settings) : await beamSearch(start(), limit, settings, strategy === "exact" ? 1 : topBeams);
  const result = strategy === "exact" ? await exactSearch(start(), limit, settings, found.hypotheses[0]) : found;
  return { ...result, empty };
}

// The outputs of all steps when the decoder is given these tokens.
async function replay(model, tensors, tokens) {
  const decoder = makeDecoder(model, tensors);
  const steps = [];
  for (const token of [BOS, ...tokens].slice(0, tokens.length)) steps.push((await decoder.step([token], [0])).outputs);
  return steps;
}

// The parts of the state that are a vector of fixed size for each row, as in a recurrent decoder.
function vectorStates({ state, step }) {
  const shapes = Object.fromEntries(step.inputs.map(({ name, shape }) => [name, shape]));
  return state.filter(({ input }) => shapes[input].length === 2 && typeof shapes[input][1] === "number");
}

// The trace with the piece of every candidate, and the text of every one that has ended.
function withTexts(trace, tokenizer) {
  let rows = [[]]; // tokens of the prefixes that a step continues
  return trace.map((step) => {
    const prefixes = step.candidates.map(({ row, token }) => [...rows[row], token]);
    rows = prefixes.filter((_, place) => step.candidates[place].fate === "kept");
    const candidates = step.candidates.map((candidate, place) => ({
      ...candidate,
      piece: tokenizer.pieces([candidate.token])[0],
      text: candidate.fate === "ended" ? tokenizer.decode(prefixes[place]) : null,
    }));
    return { ...step, candidates };
  });
}

const plain = (tensors) => Object.fromEntries(Object.entries(tensors).map(([name, { dims, data }]) => [name, { dims: [...dims], data: Array.from(data, Number) }]));

// The weights (layers, heads, ...) of one row.
const headsOf = ({ dims, data }) => ({ dims: dims.slice(1), data: Array.from(data) });

// The most probable tokens of each row of logits (T, V), best first, and the probability of `tokens[row]`.
function candidatesOf(tokenizer, logits, tokens) {
  return rowsOf(logits).map((row, at) => {
    const most = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((sum, value) => sum + Math.exp(value - most), 0);
    const probability = (token) => Math.exp(row[token] - most) / total;
    const best = Array.from(row.keys()).sort((a, b) => row[b] - row[a]).slice(0, CANDIDATES);
    return { best: best.map((token) => ({ token, piece: tokenizer.pieces([token])[0], probability: probability(token) })), ofOutput: probability(tokens[at]) };
  });
}

// Decode greedily with a model whose attention can be changed; see Model.steer in runtime.js.
async function steer(model, text, { weights = {}, forced = {}, scales = {} }) {
  const { ids, tensors } = await encode(model, text, scales.encoder);
  const limit = lengthLimit(ids.length - 1, model.manifest.search);
  const shapes = Object.fromEntries(["source_scale", "self_scale"].filter((name) => tensors[name]).map((name) => [name, tensors[name].dims]));
  const always = {};
  if (scales.source) always.source_scale = float32(scales.source, shapes.source_scale);
  if (scales.decoder && shapes.self_scale) always.self_scale = float32(scales.decoder, shapes.self_scale);
  const decoder = makeDecoder(model, tensors);
  const steps = [];
  for (let [token, state] = [BOS, decoder.start]; token !== EOS && steps.length < limit;) {
    const own = await decoder.step([token], [0], state, always);
    const given = weights[steps.length];
    const used = given?.length === ids.length ? await decoder.step([token], [0], state, { ...always, ...replacement(given, tensors) }) : own;
    state = used.state;
    const isForced = steps.length in forced;
    token = isForced ? forced[steps.length] : bestTokens(used.rows[0], 1)[0].id;
    const candidates = [token, ...[own, used].flatMap(({ rows: [row] }) => bestTokens(row, CANDIDATES).map(({ id }) => id))];
    steps.push({
      token,
      piece: model.target.pieces([token])[0],
      isForced,
      best: bestTokens(own.rows[0], 1)[0].id, // with its own weights
      own: own.attention?.[0],
      used: used.attention?.[0],
      candidates: [...new Set(candidates)].map((id) => ({ id, piece: model.target.pieces([id])[0], own: Math.exp(own.rows[0][id]), used: Math.exp(used.rows[0][id]) })),
      logProbability: used.rows[0][token],
    });
  }
  return { pieces: model.source.pieces(ids), unknown: ids.filter((id) => id === UNK).length, steps, output: model.target.decode(steps.map((step) => step.token)) };
}

// The tensors that replace the weights of all heads by others: each head becomes 0 times its own plus these.
function replacement(given, { source_scale: scale, source_added: added }) {
  const heads = added.data.length / given.length;
  return { source_scale: float32(Array(scale.data.length).fill(0), scale.dims), source_added: float32(Array.from({ length: heads }, () => given).flat(), added.dims) };
}

// The log-probabilities of the tokens of an output given each of several sources of equal length, and the attention of
// each step, (tokens) of rows.
async function score(model, sources, output) {
  const decoder = makeDecoder(model, await encodeAll(model, sources), true);
  const [scores, attention] = [[], []];
  for (const [place, token] of output.entries()) {
    const before = place ? output[place - 1] : BOS;
    const step = await decoder.step(sources.map(() => before), sources.map((_, row) => row));
    scores.push(step.rows.map((row) => row[token]));
    attention.push(step.attention);
  }
  return { scores, attention };
}

const KINDS = {
  async steer({ folder, text, changes }) {
    return steer(await load(folder), text, changes);
  },
  async targetIds({ folder, text }) {
    return (await load(folder)).target.encode(text);
  },
  // The greedy output, and for each of its tokens the attention to each source token, and by how much its
  // log-probability falls if that source token is replaced by the unknown one, or removed.
  async occlude({ folder, text }) {
    const model = await load(folder);
    const { ids, tensors } = await encode(model, text);
    const settings = { ...model.manifest.search, beam_size: 1 };
    const { hypotheses: [{ tokens, isFinished }] } = await beamSearch(makeDecoder(model, tensors), lengthLimit(ids.length - 1, settings), settings);
    const output = isFinished ? [...tokens, EOS] : tokens;
    const { scores, attention } = await score(model, [ids], output);
    const hidden = (middle) => ids.slice(0, -1).map((_, place) => [...ids.slice(0, place), ...middle, ...ids.slice(place + 1)]);
    const falls = async (sources) => (sources.length ? (await score(model, sources, output)).scores.map((row, place) => row.map((value) => scores[place][0] - value)) : output.map(() => []));
    return {
      pieces: model.source.pieces(ids),
      unknown: ids.filter((id) => id === UNK).length,
      output: model.target.decode(tokens),
      outputPieces: model.target.pieces(output),
      probabilities: scores.map(([value]) => Math.exp(value)),
      attention: attention.map((rows) => rows?.[0] ?? null),
      replaced: await falls(hidden([UNK])),
      removed: await falls(hidden([])),
    };
  },
  async load({ folder }) {
    return (await load(folder)).manifest;
  },
  async encode({ folder, text }) {
    const model = await load(folder);
    const { ids, tensors } = await encode(model, text);
    return { ids, pieces: model.source.pieces(ids), memory: plain(tensors) };
  },
  async translate(request) {
    return (await KINDS.search(request)).hypotheses;
  },
  async search({ folder, text, settings, topBeams }) {
    const model = await load(folder);
    const { ids, tensors } = await encode(model, text);
    const all = { ...model.manifest.search, ...settings };
    const { hypotheses, trace = [], empty, fed } = await search(model, tensors, lengthLimit(ids.length - 1, all), all, topBeams);
    return {
      pieces: model.source.pieces(ids),
      unknown: ids.filter((id) => id === UNK).length,
      empty,
      fed,
      trace: withTexts(trace, model.target),
      hypotheses: hypotheses.map((best) => ({
        ...best,
        output: model.target.decode(best.tokens),
        outputPieces: model.target.pieces(best.isFinished ? [...best.tokens, EOS] : best.tokens),
      })),
    };
  },
  async heads({ folder, text, settings, topBeams }) {
    const model = await load(folder);
    const { ids, tensors } = await encode(model, text);
    const all = { ...model.manifest.search, ...settings };
    const { hypotheses } = await search(model, tensors, lengthLimit(ids.length - 1, all), all, topBeams);
    const [best] = hypotheses;
    const outputTokens = best.isFinished ? [...best.tokens, EOS] : best.tokens;
    const steps = await replay(model, tensors, outputTokens);
    const weights = (name) => (steps[0][name] ? steps.map((step) => headsOf(step[name])) : null);
    const states = vectorStates(model.manifest);
    return {
      ...best,
      hypotheses: hypotheses.map(({ tokens, score, isFinished }) => ({ output: model.target.decode(tokens), score, isFinished })),
      pieces: model.source.pieces(ids),
      unknown: ids.filter((id) => id === UNK).length,
      output: model.target.decode(best.tokens),
      outputPieces: model.target.pieces(outputTokens),
      encoder: tensors.self_attention ? headsOf(tensors.self_attention) : null,
      decoder: weights("self_attention"),
      source: weights("attention"),
      memory: steps[0].attention ? null : plain(tensors),
      states: Object.fromEntries(states.map(({ input, output }) => [input, [tensors[input], ...steps.map((step) => step[output])].map(({ data }) => Array.from(data))])),
    };
  },
  async trace({ folder, text }) {
    const model = await load(folder);
    const { trace } = model.manifest;
    if (!trace) throw new Error(`${model.manifest.architecture} has no trace`);
    model.trace ??= startSession(folder + trace.file);
    const session = await model.trace;
    const { ids, tensors } = await encode(model, text);
    const settings = { ...model.manifest.search, beam_size: 1 };
    const { hypotheses: [{ tokens, isFinished }] } = await beamSearch(makeDecoder(model, tensors), lengthLimit(ids.length - 1, settings), settings);
    const inputs = [BOS, ...tokens].slice(0, isFinished ? undefined : tokens.length);
    const outputs = await session.run({ source: int64(ids, [1, ids.length]), target: int64(inputs, [1, inputs.length]) });
    const written = isFinished ? [...tokens, EOS] : tokens;
    const names = Object.keys(outputs).filter((name) => name !== "logits" && !name.startsWith("lens."));
    return {
      ids,
      inputs,
      sizes: trace.sizes,
      pieces: model.source.pieces(ids),
      inputPieces: model.target.pieces(inputs),
      output: model.target.decode(tokens),
      written,
      outputPieces: model.target.pieces(written),
      values: Object.fromEntries(names.map((name) => [name, { dims: [...outputs[name].dims], data: outputs[name].data.slice() }])),
      logits: rowsOf(outputs.logits).map((row) => row.slice(0, COLUMNS)),
      candidates: candidatesOf(model.target, outputs.logits, written),
      lens: Object.fromEntries(Object.entries(outputs).filter(([name]) => name.startsWith("lens.")).map(([name, logits]) => [name.slice("lens.".length), candidatesOf(model.target, logits, written)])),
    };
  },
};

// One request at a time, in order: a session cannot run two.
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id: data.id, result: await KINDS[data.kind](data) });
    } catch (error) {
      self.postMessage({ id: data.id, error: error.message || String(error) });
    }
  });
};
