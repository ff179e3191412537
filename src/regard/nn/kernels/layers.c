/* Kernels between the matrix products of a layer, for search. */
#include "lanes.h"

/* Compute out = x + y for `count` values. */
void EXPORT(add)(const float *x, const float *y, float *out, int64_t count)
{
    for (int64_t at = 0; at < count; at++) out[at] = x[at] + y[at];
}

/* Compute LayerNorm(x) * gain for each row (rows, width); width is a multiple of UNIT. */
void EXPORT(norm)(const float *x, const float *gain, float epsilon, float *out, int64_t rows, int64_t width)
{
    for (int64_t row = 0; row < rows; row++, x += width, out += width) {
        Lanes sums = {0}, squares = {0};
        for (int64_t at = 0; at < width; at += LANES) sums += load(x + at);
        float mean = sum_of(sums) / width;
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes deviation = load(x + at) - mean;
            squares += deviation * deviation;
        }
        float scale = 1 / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes normal = (load(x + at) - mean) * scale * load(gain + at);
            memcpy(out + at, &normal, sizeof normal);
        }
    }
}

#define EVEN(lane, size) ((lane) & ~1)
#define ODD(lane, size) ((lane) | 1)
#define OTHER(lane, size) ((lane) ^ 1)
#define SIGN(lane, size) ((lane) & 1 ? 0 : INT32_MIN)

/* Rotate each pair of values of each head: (a, b) becomes (a cos - b sin, b cos + a sin). x and out are (rows, heads, width);
 * row r has the cosines and sines of turn r modulo `turns`, (turns, width / 2, 2). width is a multiple of UNIT. */
void EXPORT(rotate)(const float *x, const float *turn, float *out, int64_t rows, int64_t turns, int64_t heads, int64_t width)
{
    const Bits signs = {EACH_LANE(SIGN, LANES)};
    for (int64_t row = 0; row < rows; row++) {
        const float *own = turn + row % turns * width;
        int64_t start = row * heads * width;
        for (int64_t first = 0; first < width; first += LANES) {
            Lanes pairs = load(own + first), cosine = SHUFFLED(pairs, pairs, EVEN, LANES);
            Lanes sine = (Lanes)((Bits)SHUFFLED(pairs, pairs, ODD, LANES) ^ signs);
            for (int64_t at = start + first; at < start + heads * width; at += width) {
                Lanes chunk = load(x + at);
                chunk = chunk * cosine + SHUFFLED(chunk, chunk, OTHER, LANES) * sine;
                memcpy(out + at, &chunk, sizeof chunk);
            }
        }
    }
}

/* Advance an SSRU by `steps` steps: with f = 1 / (1 + e^-forget), the state becomes f * state + (1 - f) * input, and out is its
 * positive part. forget, input and out are (rows, steps, width), and state is (rows, width); width is a multiple of UNIT. */
void EXPORT(ssru)(const float *forget, const float *input, float *state, float *out, int64_t rows, int64_t steps, int64_t width)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t first = 0; first < width; first += LANES) {
            Lanes current = load(state + row * width + first);
            for (int64_t at = row * steps * width + first; at < (row + 1) * steps * width; at += width) {
                Lanes keep = logistic(load(forget + at));
                current = keep * current + (1 - keep) * load(input + at);
                Lanes positive = maximum((Lanes){0}, current); /* NaN stays NaN */
                memcpy(out + at, &positive, sizeof positive);
            }
            memcpy(state + row * width + first, &current, sizeof current);
        }
}
