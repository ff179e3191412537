// Greedy and beam search of one sentence, as regard.decoding.beam: the same candidates, scores and rules to stop.
// Totals are rounded to float32 after each addition, as PyTorch adds them.
const BOS = 1, EOS = 2;
export const round = Math.fround;

// The divisor of a log-probability; length counts EOS.
export function divisor({ length_norm, length_penalty }, length) {
  const base = length_norm === "average" ? length : round(round(5 + length) / 6);
  return round(Math.pow(base, round(length_penalty)));
}

export function lengthLimit(sourceLength, { max_length_factor, max_length_addend }) {
  return Math.trunc(max_length_factor * sourceLength) + max_length_addend;
}

// The `count` best next tokens of a row, best first; of equal ones the lower id first. PAD and BOS are never next.
export function bestTokens(logProbabilities, count) {
  const ids = [];
  for (let id = EOS; id < logProbabilities.length; id += 1) {
    if (ids.length === count && !(logProbabilities[id] > logProbabilities[ids[count - 1]])) continue;
    let place = ids.length;
    while (place > 0 && logProbabilities[id] > logProbabilities[ids[place - 1]]) place -= 1;
    ids.splice(place, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids.map((id) => ({ id, value: logProbabilities[id] }));
}

const byTotal = (first, second) => (second.total > first.total ? 1 : second.total < first.total ? -1 : 0);
const byScore = (first, second) => (second.score > first.score ? 1 : second.score < first.score ? -1 : 0);

// decoder: { step(tokens, parents) } feeds one token per row, of which row i continues row parents[i] of the step before,
// and returns { rows: log-probabilities of each row, attention: weights of each row or null }.
// Returns the hypotheses, best first, the tree of all prefixes that were fed, and a trace: for each step its ranked
// candidates with what became of them, and in the last step why the search has stopped.
export async function beamSearch(decoder, limit, settings, topBeams = 1) {
  const size = settings.beam_size;
  const isGreedy = size === 1;
  const enough = isGreedy ? 1 : settings.patience ? Math.max(topBeams, settings.patience * size) : Infinity;
  const scored = (prefix, length, isEnd) => {
    const isForbidden = isEnd && length <= 1 && !settings.allow_empty && !isGreedy;
    return { ...prefix, score: isForbidden ? -Infinity : round(prefix.total / divisor(settings, length)) };
  };
  const limitDivisor = divisor(settings, limit);
  const nodes = [];
  const trace = [];
  const fateOf = (candidate, rank, step) => {
    if (candidate.token !== EOS) return { fate: live.includes(candidate) ? "kept" : "pruned" };
    if (rank >= size) return { fate: "late" };
    const { score } = scored(candidate, step, true);
    return { fate: score > -Infinity ? "ended" : "forbidden", score };
  };
  let live = [{ total: 0, token: BOS, parent: -1, row: 0 }];
  let [ends, numEnded] = [[], 0]; // the best ends, and how many there were
  for (let step = 1; ; step += 1) {
    const { rows, attention } = await decoder.step(live.map(({ token }) => token), live.map(({ row }) => row));
    const first = nodes.length;
    live.forEach(({ token, parent, total }, row) => nodes.push({ token, parent, total, attention: attention?.[row] ?? null }));
    const candidates = live.flatMap(({ total }, row) =>
      bestTokens(rows[row], 2 * size).map(({ id, value }) => ({ total: round(total + value), token: id, parent: first + row, row })));
    const ranked = candidates.sort(byTotal).slice(0, 2 * size);
    const ended = ranked.slice(0, size).filter(({ token }) => token === EOS).map((prefix) => scored(prefix, step, true));
    const finished = ended.filter(({ score }) => score > -Infinity);
    numEnded += finished.length;
    live = ranked.filter(({ token }) => token !== EOS).slice(0, size);
    ends = [...ends, ...finished].sort(byScore).slice(0, size);
    const best = live.length ? live[0].total : -Infinity;
    const worst = ends[topBeams - 1]?.score ?? -Infinity;
    const hasEnough = numEnded >= enough && (isGreedy || worst >= round(best / divisor(settings, step)));
    const isDone = limit <= step || hasEnough || worst >= round(best / limitDivisor);
    trace.push({ candidates: ranked.map((candidate, rank) => ({ ...candidate, ...fateOf(candidate, rank, step) })), numEnded, bound: round(best / limitDivisor) });
    if (!isDone) continue;
    trace.at(-1).stop = limit <= step ? "limit" : hasEnough ? "enough" : "bound";
    const unfinished = live.map((prefix) => scored(prefix, step, false));
    return { hypotheses: [...ends, ...unfinished].slice(0, topBeams).map((end) => read(end, nodes)), nodes, trace, steps: step };
  }
}

// A hypothesis: its tokens without BOS and EOS, and for each of its steps the log-probability and the attention.
function read(end, nodes) {
  const path = [];
  for (let node = end.parent; node >= 0; node = nodes[node].parent) path.unshift(nodes[node]);
  const isFinished = end.token === EOS;
  const tokens = path.slice(1).map(({ token }) => token);
  if (!isFinished) tokens.push(end.token);
  const totals = [...path.map(({ total }) => total), end.total];
  return {
    tokens,
    isFinished,
    score: end.score,
    logProbability: end.total,
    tokenLogProbabilities: totals.slice(1).map((total, place) => total - totals[place]),
    attention: path[0].attention && path.map(({ attention }) => attention),
  };
}
