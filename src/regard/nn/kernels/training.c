/* What training does between its products, in C. */
#include "lanes.h"

/* Cross-entropy of logits (rows, width) and targets, with so much of each target's probability smoothed over all
 * columns. The logits become the gradient of the summed loss, times `scale`. Gives the loss, summed. */
double cross_entropy(float *logits, const int64_t *targets, int64_t rows, int64_t width, float smoothing, float scale)
{
    double loss = 0;
    for (int64_t row = 0; row < rows; row++, logits += width) {
        float most = most_in(logits, width), aim = logits[targets[row]];
        Lanes sums = {0}, plain = {0};
        float sum = 0, total = 0;
        int64_t at = 0;
        for (; at + LANES <= width; at += LANES) {
            Lanes some = load(logits + at);
            plain += some;
            for (int lane = 0; lane < LANES; lane++) some[lane] = exponential(some[lane] - most);
            sums += some;
            memcpy(logits + at, &some, sizeof some);
        }
        for (; at < width; at++) {
            total += logits[at];
            logits[at] = exponential(logits[at] - most);
            sum += logits[at];
        }
        sum += sum_of(sums);
        total += sum_of(plain);
        float normaliser = most + logf(sum);
        loss += (1 - smoothing) * (normaliser - aim) + smoothing * (normaliser - total / width);
        Lanes factor = all(scale / sum), shared = all(scale * smoothing / width);
        for (at = 0; at + LANES <= width; at += LANES) {
            Lanes some = load(logits + at) * factor - shared;
            memcpy(logits + at, &some, sizeof some);
        }
        for (; at < width; at++) logits[at] = logits[at] * factor[0] - shared[0];
        logits[targets[row]] -= scale * (1 - smoothing);
    }
    return loss;
}

INLINE uint64_t mixed(uint64_t number)
{
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

#define DRAWS 8 /* of 64 bits at a time, which decide 4 values each */

/* x (count), each value times `factor`, or 0 with probability dropped / 65536; the same for the same seed. Generators:
 * xorshift128+ (Vigna 2014) in DRAWS columns, seeded by splitmix64. */
void dropout(const float *x, float *out, int64_t count, int32_t dropped, float factor, uint64_t seed)
{
    uint64_t one[DRAWS], other[DRAWS], sum[DRAWS];
    uint16_t draws[4 * DRAWS];
    for (int lane = 0; lane < DRAWS; lane++) {
        one[lane] = mixed(seed += 0x9e3779b97f4a7c15u);
        other[lane] = mixed(seed += 0x9e3779b97f4a7c15u);
    }
    for (int64_t at = 0; at < count; at += 4 * DRAWS) {
        for (int lane = 0; lane < DRAWS; lane++) {
            uint64_t first = one[lane], second = other[lane];
            sum[lane] = first + second;
            one[lane] = second;
            first ^= first << 23;
            other[lane] = first ^ second ^ first >> 18 ^ second >> 5;
        }
        memcpy(draws, sum, sizeof sum);
        int64_t end = count - at < 4 * DRAWS ? count - at : 4 * DRAWS;
        if (end == 4 * DRAWS)
            for (int place = 0; place < 4 * DRAWS; place++) out[at + place] = draws[place] >= dropped ? x[at + place] * factor : 0;
        else
            for (int place = 0; place < end; place++) out[at + place] = draws[place] >= dropped ? x[at + place] * factor : 0;
    }
}
