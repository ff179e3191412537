// The scores of regard.nn.attention for one query and the keys of one source, in plain numbers.
export const dot = (a, b) => a.reduce((sum, value, place) => sum + value * b[place], 0);
export const apply = (matrix, vector) => matrix.map((row) => dot(row, vector));

export const SCORES = {
  additive: (query, keys, parameters) => {
    const fromQuery = apply(parameters["query.weight"], query);
    return keys.map((key) => {
      const fromKey = apply(parameters["key.weight"], key);
      return dot(parameters["score.weight"][0], fromQuery.map((value, place) => Math.tanh(value + fromKey[place])));
    });
  },
  dot: (query, keys) => keys.map((key) => dot(query, key)),
  general: (query, keys, parameters) => keys.map((key) => dot(query, apply(parameters["key.weight"], key))),
  scaled_dot: (query, keys) => keys.map((key) => dot(query, key) / Math.sqrt(query.length)),
};

export function softmax(scores) {
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

export const mean = (weights, values) => values[0].map((_, place) => dot(weights, values.map((value) => value[place])));

// Random numbers from a seed (mulberry32).
export function mulberry(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
