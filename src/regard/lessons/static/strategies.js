// Lookahead and exact search of one sentence, as regard.decoding.lookahead and regard.decoding.exact.
import { bestTokens, divisor, round } from "./search.js";

const BOS = 1, EOS = 2;
const ROWS = 16; // sibling prefixes that exact search feeds at once

// At each step, try the lookahead_width best tokens lookahead_depth steps ahead, and take the first token of the best path.
// Returns what beamSearch does; in the trace, `ahead` is the log-probability of the best path that begins with a candidate.
export async function lookaheadSearch(decoder, limit, settings) {
  const { lookahead_width: width, lookahead_depth: depth } = settings;
  const tokens = [], totals = [0], attentions = [], trace = [];
  let [token, state, fed] = [BOS, undefined, 0];
  for (let step = 1; ; step += 1) {
    const output = await decoder.step([token], [0], state);
    state = output.state;
    attentions.push(output.attention?.[0] ?? null);
    const first = bestTokens(output.rows[0], width).map(({ id, value }) => ({ token: id, total: round(totals.at(-1) + value), row: 0 }));
    const isEnd = (id, level) => id === EOS || limit <= step + level;
    let paths = first.map((candidate, place) => ({ ...candidate, first: place, isDone: isEnd(candidate.token, 0) }));
    let from = state;
    fed += 1;
    for (let level = 1; level < depth; level += 1) {
      const open = paths.filter(({ isDone }) => !isDone);
      if (!open.length) break;
      const next = await decoder.step(open.map((path) => path.token), open.map(({ row }) => row), from);
      from = next.state;
      fed += open.length;
      paths = paths.flatMap((path) => {
        if (path.isDone) return [path];
        const row = open.indexOf(path);
        return bestTokens(next.rows[row], width).map(({ id, value }) => ({ token: id, total: round(path.total + value), row, first: path.first, isDone: isEnd(id, level) }));
      });
    }
    const ahead = first.map((_, place) => Math.max(...paths.filter((path) => path.first === place).map(({ total }) => total)));
    const chosen = ahead.indexOf(Math.max(...ahead));
    trace.push({ candidates: first.map((candidate, place) => ({ ...candidate, ahead: ahead[place], fate: place !== chosen ? "pruned" : candidate.token === EOS ? "ended" : "kept" })) });
    ({ token } = first[chosen]);
    totals.push(first[chosen].total);
    const isFinished = token === EOS;
    if (!isFinished) tokens.push(token);
    if (!isFinished && step < limit) continue;
    trace.at(-1).stop = isFinished ? "enough" : "limit";
    const score = round(totals.at(-1) / divisor(settings, step));
    trace.at(-1).candidates[chosen].score = score;
    return { hypotheses: [hypothesis(tokens, totals, score, isFinished, attentions)], trace, fed, steps: step };
  }
}

function hypothesis(tokens, totals, score, isFinished, attentions) {
  return {
    tokens, isFinished, score,
    logProbability: totals.at(-1),
    tokenLogProbabilities: totals.slice(1).map((total, place) => total - totals[place]),
    attention: attentions[0] && attentions,
  };
}

// The finished hypothesis with the greatest score, by depth-first search that prunes each prefix whose score cannot become
// greater than that of the best hypothesis so far. It begins with a hypothesis of beam search, and feeds at most
// exact_steps prefixes. `proved` says whether they were enough.
export async function exactSearch(decoder, limit, settings, initial) {
  const { length_norm: norm, length_penalty: penalty } = settings;
  const divisors = Array.from({ length: limit }, (_, place) => place === 0 && !settings.allow_empty ? 0 : (norm === "average" ? place + 1 : (place + 6) / 6) ** penalty);
  const scoreOf = (total, length) => (divisors[length - 1] ? total / divisors[length - 1] : -Infinity);
  const bestScore = () => (best.isFinished ? best.score : -Infinity);
  const canImprove = (total) => scoreOf(total, limit) > bestScore();
  let [best, fed] = [initial, 0];
  const stack = [{ state: undefined, row: 0, common: [], next: [{ token: BOS, total: 0 }] }]; // the most probable last
  const result = (proved) => ({ hypotheses: [{ ...best, proved: proved && best.isFinished }], fed });
  while (stack.length) {
    const top = stack.at(-1);
    if (!top.next.length || !canImprove(top.next.at(-1).total)) {
      stack.pop();
      continue;
    }
    const left = settings.exact_steps - fed;
    if (left === 0) return result(false);
    const siblings = top.next.slice(-Math.min(left, ROWS)).filter(({ total }) => canImprove(total));
    top.next.length -= siblings.length;
    fed += siblings.length;
    const { rows, state } = await decoder.step(siblings.map(({ token }) => token), siblings.map(() => top.row), top.state);
    const length = top.common.length + 1; // of the hypotheses that end here: EOS counts, BOS does not
    siblings.forEach(({ token, total }, row) => {
      const tokens = [...top.common, token].slice(1);
      const [sum, score] = [total + rows[row][EOS], scoreOf(total + rows[row][EOS], length)];
      const isKnown = best.isFinished && String(tokens) === String(best.tokens);
      if (score > bestScore() && !isKnown) best = { tokens, isFinished: true, score, logProbability: sum, tokenLogProbabilities: [], attention: null };
    });
    if (length === limit) continue;
    siblings.forEach(({ token, total }, row) => {
      const next = Array.from(rows[row], (value, id) => ({ token: id, total: total + value })).slice(EOS + 1);
      const open = next.filter((prefix) => canImprove(prefix.total)).sort((one, other) => one.total - other.total);
      stack.push({ state, row, common: [...top.common, token], next: open });
    });
  }
  return result(true);
}
