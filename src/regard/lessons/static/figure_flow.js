// Lesson 6: a Transformer block by block, with the shapes and the values of the reader's own sentence.
import { Frame, button, heatmap, html, line, number, onColours, slider, svg, text, wrap } from "./figure.js";
import { addSource, columnsOf, headsOf, rowsOf, shown } from "./trace.js";

const CHANNELS = 64; // that are drawn
const ROWS = 40; // tokens that are drawn
const PAUSE = 1600; // between two blocks, in ms
const [BOX, GAP, ABOVE_LAYER] = [24, 6, 16];
const times = (...sizes) => sizes.map((size) => size.toLocaleString("en")).join(" × ");
const integer = (value) => value.toLocaleString("en");

export async function draw(place) {
  const state = { trace: null, blocks: [], block: 0, written: 0, timer: null };
  const frame = new Frame(place, {
    name: "flow",
    caption: "Left: the model, from the bottom to the top; click a block. Right: what the block makes of your sentence. A row is a token, a column a channel; blue is above zero, orange below. Weights of attention: a row is a token that looks, a column a token that is looked at. ▷ is the start token, ⏎ the end token, ␣ a space.",
    note: "All numbers are computed in this page by onnxruntime-web.",
  }, paint);
  frame.drawing.before(frame.status);
  const block = slider("Block", { min: 1, max: 2, value: 1 }, (value) => go(value - 1));
  const written = slider("Tokens written", { min: 0, max: 1, value: 0 }, (value) => {
    state.written = value;
    refresh();
  });
  const play = button("Play", () => (state.timer ? stop() : start()));
  const buttons = html("div", {}, button("Back", () => step(-1)), " ", button("Next", () => step(1)), " ", play);
  await addSource(frame, (trace) => {
    const isFirst = !state.trace;
    state.trace = trace;
    const last = trace.inputs.length - 1;
    state.written = isFirst ? Math.min(5, last) : Math.min(state.written, last);
    written.set(state.written, { max: last });
    refresh();
  });
  frame.controls.append(buttons, block.element, written.element);
  onColours(() => frame.refresh());

  function refresh() {
    if (!state.trace) return; // the model is loading
    state.blocks = blocksOf(state.trace, state.written + 1);
    state.block = Math.min(state.block, state.blocks.length - 1);
    block.set(state.block + 1, { max: state.blocks.length });
    written.set(state.written);
    const { title, shape } = state.blocks[state.block];
    const output = state.trace.outputPieces.slice(0, state.written).map((piece) => shown(piece)).join("");
    frame.report(`Block ${state.block + 1} of ${state.blocks.length}, ${title}: ${shape}. Written so far: ${output || "nothing"}.`);
    frame.refresh();
  }

  function go(index) {
    if (!state.trace) return;
    state.block = index;
    refresh();
  }

  // After the last block the next token is written, and the decoder runs again.
  function step(by) {
    if (!state.trace) return;
    const { blocks, trace } = state;
    state.block += by;
    if (state.block >= blocks.length) {
      const isEnd = state.written + 1 >= trace.inputs.length;
      state.written = isEnd ? 0 : state.written + 1;
      state.block = isEnd ? 0 : blocks.findIndex(({ side }) => side === "decoder");
    }
    state.block = Math.max(0, state.block);
    refresh();
  }

  function start() {
    play.textContent = "Pause";
    state.timer = setInterval(() => step(1), PAUSE);
  }

  function stop() {
    play.textContent = "Play";
    clearInterval(state.timer);
    state.timer = null;
  }

  function paint(width) {
    if (!state.trace) return { height: 480, label: "The model is loading.", children: [text(0, 40, "loading the model…", "quiet")] };
    const isWide = width >= 760;
    const across = isWide ? 330 : width;
    const children = [];
    const height = paintModel(children, across);
    const panel = [];
    const panelWidth = isWide ? width - across - 36 : width;
    const panelHeight = paintBlock(panel, panelWidth, state.blocks[state.block]);
    const [x, y] = isWide ? [across + 36, 0] : [0, height + 26];
    children.push(svg("g", { transform: `translate(${x} ${y})` }, panel));
    const current = state.blocks[state.block];
    return { height: Math.max(height, y + panelHeight), label: `A Transformer of ${state.blocks.length} blocks. The current one is ${current.title}: ${current.shape}. ${current.words}`, children };
  }

  // Both stacks, from the bottom to the top.
  function paintModel(children, width) {
    const between = 34;
    const column = (width - between) / 2;
    const stacks = ["encoder", "decoder"].map((side) => state.blocks.map((item, index) => ({ ...item, index })).filter((item) => item.side === side));
    const tall = Math.max(...stacks.map((stack) => stack.reduce((sum, item) => sum + BOX + GAP + (item.isFirstOfLayer ? ABOVE_LAYER : 0), 0))) + 14;
    const tops = new Map();
    stacks.forEach((stack, side) => {
      const x = side ? column + between : 0;
      const [left, right] = side ? [x, x + column - 12] : [x + 12, x + column];
      let y = tall;
      children.push(text((left + right) / 2, tall + 14, side ? "decoder" : "encoder", "small quiet", "middle"));
      stack.forEach((item, at) => {
        if (item.isFirstOfLayer) {
          y -= ABOVE_LAYER;
          children.push(text(left + 2, y + 10, `layer ${item.layer + 1}`, "cell quiet"));
        }
        y -= BOX + GAP;
        const isCurrent = item.index === state.block;
        tops.set(item.index, y);
        if (at) children.push(svg("path", { d: `M ${(left + right) / 2} ${y + BOX + (item.isFirstOfLayer ? ABOVE_LAYER : 0) + GAP} V ${y + BOX}`, class: "frame" }));
        if (item.adds) { // around the step before, and into this one
          const edge = side ? right : left;
          const out = side ? 8 : -8;
          children.push(svg("path", { d: `M ${edge} ${y + 2 * BOX + GAP + 3} h ${out} V ${y + BOX / 2} h ${-out}`, class: "frame" }));
          children.push(arrow(edge, y + BOX / 2, side ? -1 : 1));
        }
        children.push(svg("rect", { x: left, y, width: right - left, height: BOX, rx: 4, class: "band" }));
        children.push(svg("rect", { x: left, y, width: right - left, height: BOX, rx: 4, class: isCurrent ? "outline b" : "outline quiet", "stroke-width": isCurrent ? 3 : 1 }));
        const name = item.short.length * 6.6 > right - left ? item.shorter ?? item.short : item.short;
        children.push(text((left + right) / 2, y + 16.5, name, isCurrent ? "small strong b" : "small", "middle"));
        children.push(svg("rect", { x: left, y, width: right - left, height: BOX, fill: "transparent", "data-pick": item.index, onclick: () => go(item.index) }));
      });
    });
    // The memory goes to the attention to the source of each decoder layer.
    const from = tops.get(stacks[0].at(-1).index) + BOX / 2;
    const bus = column + between / 2;
    const readers = stacks[1].filter(({ readsMemory }) => readsMemory).map(({ index }) => tops.get(index) + BOX / 2);
    children.push(svg("path", { d: `M ${column} ${from} H ${bus} M ${bus} ${Math.min(from, ...readers)} V ${Math.max(from, ...readers)}`, class: "line d" }));
    for (const y of readers) children.push(svg("path", { d: `M ${bus} ${y} H ${column + between}`, class: "line d" }), arrow(column + between, y, 1, "d"));
    return tall + 20;
  }

  function arrow(x, y, direction, kind = "quiet") {
    return svg("path", { d: `M ${x} ${y} l ${-6 * direction} -4 v 8 z`, class: `bar ${kind}` });
  }

  function paintBlock(children, width, { title, shape, words, weights, multiplications, parameters, paintValues }) {
    let y = 16;
    children.push(text(0, y, title, "title"));
    y += 6;
    for (const part of wrap(shape, width)) children.push(text(0, (y += 18), part, "strong b"));
    y += 4;
    for (const part of wrap(words, width, 6.9)) children.push(text(0, (y += 18), part));
    if (multiplications) {
      const sizes = `${parameters ? `${integer(parameters)} parameters, ` : ""}${integer(multiplications)} multiplications`;
      children.push(text(0, (y += 22), sizes, "small quiet"));
    }
    y = paintValues(children, width, y + 26);
    if (weights) y = paintWeights(children, width, y + 26, weights);
    return y + 8;
  }

  function paintWeights(children, width, top, { heads, rows, columns }) {
    children.push(text(0, top, "weights of each head", "small strong"));
    const across = Math.min(heads.length, width >= 420 ? 4 : 2);
    const gap = 10;
    const side = Math.min(170, (width - gap * across) / across);
    const isLabelled = [...rows, ...columns].every((label) => [...label].length === 1);
    const edge = isLabelled ? 14 : 0;
    const scale = (side - edge) / Math.max(rows.length, columns.length);
    const [wide, high] = [columns.length * scale, rows.length * scale];
    const above = isLabelled ? 38 : 24;
    heads.forEach((matrix, head) => {
      const x = (head % across) * (side + gap) + edge;
      const y = top + above + Math.floor(head / across) * (high + above + 4);
      children.push(text(x, y - above + 20, `head ${head + 1}: ${times(rows.length, columns.length)}`, "cell quiet"));
      if (isLabelled) {
        columns.forEach((label, at) => {
          if (scale >= 7.5 || at % 2 === 0) children.push(text(x + scale * (at + 0.5), y - 4, label, "mono cell", "middle"));
        });
        rows.forEach((label, at) => {
          if (scale >= 9 || at % 2 === 0) children.push(text(x - 4, y + scale * (at + 0.5) + 4, label, "mono cell", "end"));
        });
      }
      children.push(heatmap(place, columnsOf(matrix), x, y, wide, high));
      children.push(svg("rect", { x, y, width: wide, height: high, class: "frame" }));
    });
    return top + Math.ceil(heads.length / across) * (high + above + 4);
  }

  // Everything that the figure says of each block, with S source tokens and T target tokens.
  function blocksOf(trace, T) {
    const { sizes, values } = trace;
    const { size: D, heads: H, ffn_size: F, vocabulary: V } = sizes;
    const sources = [...trace.pieces.slice(0, -1), "</s>"].map((piece) => shown(piece, 7));
    const S = sources.length;
    const inputs = trace.inputPieces.slice(0, T).map((piece, at) => shown(at ? piece : "<s>", 7));
    const tokensOf = { encoder: sources, decoder: inputs };
    const rows = (name, count) => rowsOf(values[name]).slice(0, count);
    const matrix = (name, labels, caption) => (children, width, top) => paintMatrix(children, width, top, rows(name, labels.length), labels, caption);
    const blocks = [];
    const add = (item) => blocks.push(item);

    for (const side of ["encoder", "decoder"]) {
      const labels = tokensOf[side];
      const N = labels.length;
      const isEncoder = side === "encoder";
      const named = isEncoder ? "Encoder" : "Decoder";
      const ids = isEncoder ? trace.ids : trace.inputs.slice(0, T);
      const positions = rows(`${side}.input`, N).map((row, at) => row.map((value, channel) => value - values[`${side}.embedded`].data[at * D + channel]));
      add({
        side, short: isEncoder ? "source tokens" : "target tokens", title: isEncoder ? "Source tokens" : "Target tokens so far", shape: `${N} ${N === 1 ? "number" : "numbers"}`,
        words: isEncoder ? `The tokenizer splits the source into ${N} tokens, with the end token. Each is a number: its row in the vocabulary of ${V}.` : `The decoder reads the start token and the ${N - 1} tokens that it has written. In training it reads the right target instead.`,
        paintValues: (children, width, top) => paintTokens(children, width, top, labels, ids),
      });
      add({
        side, short: "embedding · √D", title: `${named}: embedding`, shape: `${N} → ${times(N, D)}`,
        words: `Each token picks its row of the embedding matrix, which is ${times(V, D)}, multiplied by √${D} = ${number(Math.sqrt(D), 1)}. Equal tokens have equal rows.`,
        paintValues: matrix(`${side}.embedded`, labels, "embedding · √D"),
      });
      add({
        side, short: "+ positions", title: `${named}: positions`, shape: `${times(N, D)} + ${times(N, D)} → ${times(N, D)}`,
        words: "Add the sinusoid of each position (lesson 5). From here on, equal tokens have different rows.",
        paintValues: (children, width, top) => {
          const after = paintMatrix(children, width, top, positions, labels, "positions");
          return matrix(`${side}.input`, labels, "the sum")(children, width, after + 18);
        },
      });
      for (let layer = 0; layer < sizes[`${side}_layers`]; layer += 1) {
        const at = `${side}.${layer}`;
        const inLayer = `${named}, layer ${layer + 1}`;
        const attention = (K, keys) => `${times(N, D)} → Q ${times(H, N, D / H)}, K and V ${times(H, K, D / H)} → weights ${times(H, N, keys ?? K)} → ${times(N, D)}`;
        const norm = (name, extra = "") => add({
          side, layer, adds: true, short: "add & norm", title: `${inLayer}: add & norm`, shape: `${times(N, D)} + ${times(N, D)} → ${times(N, D)}`,
          words: `Add what went into the step before (the line around it), and give each row mean 0 and variance 1, times a learned gain, plus a bias.${extra}`, parameters: 2 * D,
          multiplications: 0, paintValues: matrix(`${at}.${name}`, labels, "after add & norm"),
        });
        add({
          side, layer, isFirstOfLayer: true, short: isEncoder ? "self-attention" : "masked self-attention", shorter: "masked self-att.", title: `${inLayer}: ${isEncoder ? "" : "masked "}self-attention`, shape: attention(N),
          words: isEncoder ? `Each of the ${N} tokens looks at all ${N}, in ${H} heads of ${D / H} channels. The heads are concatenated and multiplied by one more matrix.` : `Each token looks at itself and the tokens before it: the weights above the diagonal are 0. ${H} heads of ${D / H} channels.`,
          parameters: 4 * D * D + 4 * D, multiplications: 4 * N * D * D + 2 * N * N * D,
          weights: { heads: headsOf(values[`${at}.weights`]).map((head) => head.slice(0, N).map((row) => row.slice(0, N))), rows: labels, columns: labels },
          paintValues: matrix(`${at}.attention`, labels, "what attention adds"),
        });
        norm("attended");
        if (!isEncoder) {
          add({
            side, layer, readsMemory: true, short: "source attention", title: `${inLayer}: attention to the source`, shape: attention(S),
            words: `The queries are the ${N} target tokens, the keys and values the ${S} rows of the memory. This is the attention of lessons 1 to 4, with ${H} heads.`,
            parameters: 4 * D * D + 4 * D, multiplications: 2 * N * D * D + 2 * S * D * D + 2 * N * S * D,
            weights: { heads: headsOf(values[`${at}.source_weights`]).map((head) => head.slice(0, N)), rows: labels, columns: sources },
            paintValues: matrix(`${at}.source`, labels, "what attention adds"),
          });
          norm("read");
        }
        const inner = rows(`${at}.inner`, N);
        const zeros = inner.reduce((sum, row) => sum + row.filter((value) => value === 0).length, 0) / (N * F);
        add({
          side, layer, short: "feed-forward", title: `${inLayer}: feed-forward`, shape: `${times(N, D)} → ${times(N, F)} → ${times(N, D)}`,
          words: `Each token separately: multiply by W₁ (${times(D, F)})${sizes.activation === "relu" ? `, set negative numbers to 0 (${Math.round(100 * zeros)} % of them here)` : ""}, and multiply by W₂ (${times(F, D)}). No token looks at another one.`,
          parameters: 2 * D * F + D + F, multiplications: 2 * N * D * F,
          paintValues: (children, width, top) => {
            const after = paintMatrix(children, width, top, inner, labels, "inside", F);
            return matrix(`${at}.ff`, labels, "what the feed-forward network adds")(children, width, after + 18);
          },
        });
        norm("output");
      }
      if (isEncoder) add({
        side, short: "memory", title: "Memory", shape: times(S, D),
        words: `The output of the encoder: a row of ${D} numbers for each source token. It is computed once. Each decoder layer reads it for every target token.`,
        paintValues: matrix(`encoder.${sizes.encoder_layers - 1}.output`, sources, "memory"),
      });
    }
    const logits = trace.logits.slice(0, T);
    const last = T - 1;
    const candidates = trace.candidates[last].best;
    add({
      side: "decoder", short: "linear", title: "Linear", shape: `${times(T, D)} → ${times(T, V)}`,
      words: `Multiply by the embedding matrix of the target, transposed (${times(D, V)}): a score (logit) for each token of the vocabulary. It has no parameters that the embedding does not have.`,
      multiplications: T * D * V,
      paintValues: (children, width, top) => paintMatrix(children, width, top, logits, inputs, "logits", V, "tokens of the vocabulary"),
    });
    add({
      side: "decoder", short: "softmax", title: "Softmax, and the next token", shape: `${times(T, V)} → ${times(T, V)}`,
      words: `Each row becomes probabilities. The last row predicts token ${T}: ${shown(candidates[0].piece)}. In search, the decoder reads it in its next step; the rows before it were used in earlier steps.`,
      paintValues: (children, width, top) => paintCandidates(children, width, top, candidates),
    });
    return blocks;
  }

  function paintTokens(children, width, top, labels, ids) {
    const column = Math.max(46, ...labels.map((label) => 9 * [...label].length + 8));
    const across = Math.max(1, Math.floor(width / column));
    labels.forEach((label, at) => {
      const [x, y] = [(at % across) * column, top + Math.floor(at / across) * 48];
      children.push(svg("rect", { x, y, width: column - 5, height: 42, rx: 4, class: "band" }));
      children.push(text(x + (column - 5) / 2, y + 17, label, "mono", "middle"), text(x + (column - 5) / 2, y + 35, ids[at], "small quiet", "middle"));
    });
    return top + Math.ceil(labels.length / across) * 48;
  }

  function paintMatrix(children, width, top, matrix, labels, caption, channels = matrix[0].length, unit = "channels") {
    const drawn = matrix.slice(0, ROWS).map((row) => Array.from(row.slice(0, unit === "channels" ? CHANNELS : row.length)));
    const most = Math.max(...drawn.flat().map(Math.abs));
    const left = 8 + 8.5 * Math.max(...labels.slice(0, ROWS).map((label) => [...label].length));
    const cell = Math.max(8, Math.min(18, 300 / drawn.length));
    const isCut = drawn[0].length < channels ? `, the first ${drawn[0].length}` : "";
    const size = cell < 12 ? "mono cell" : "mono small";
    children.push(text(0, top, `${caption}: ${times(matrix.length, channels)}`, "small strong"));
    children.push(text(left, top + 17, `${integer(channels)} ${unit}${isCut} →`, "cell quiet"));
    const y = top + 23;
    drawn.forEach((_, row) => {
      if (cell >= 10 || row % 2 === 0) children.push(text(left - 6, y + cell * (row + 0.5) + 4, labels[row], size, "end"));
    });
    children.push(heatmap(place, columnsOf(drawn), left, y, width - left, cell * drawn.length, most || 1));
    children.push(svg("rect", { x: left, y, width: width - left, height: cell * drawn.length, class: "frame" }));
    const bottom = y + cell * drawn.length + 16;
    const cut = matrix.length > ROWS ? ` The first ${ROWS} of ${matrix.length} tokens.` : "";
    children.push(text(left, bottom, `full colour: ${number(most)}.${cut}`, "cell quiet"));
    return bottom;
  }

  function paintCandidates(children, width, top, candidates) {
    children.push(text(0, top, "the most probable next tokens", "small strong"));
    const left = 96;
    candidates.forEach(({ piece, probability }, at) => {
      const y = top + 14 + 26 * at;
      children.push(text(left - 8, y + 15, shown(piece), "mono", "end"));
      children.push(svg("rect", { x: left, y, width: Math.max(1, (width - left - 70) * probability), height: 20, class: at ? "bar quiet" : "bar b" }));
      children.push(text(left + (width - left - 70) * probability + 6, y + 15, probability < 0.0005 ? "< 0.001" : number(probability, 3), at ? "small" : "small strong"));
    });
    children.push(line(left, top + 12, left, top + 14 + 26 * candidates.length));
    return top + 14 + 26 * candidates.length;
  }
}
