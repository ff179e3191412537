/* What training does between its products, in C. */
#include "lanes.h"

/* Cross-entropy of logits (rows, width) and targets, with so much of each target's probability smoothed over all
 * columns. The logits become the gradient of the summed loss. Gives the loss, summed. */
double EXPORT(cross_entropy)(float *logits, const int64_t *targets, int64_t rows, int64_t width, float smoothing)
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
            some = exponentials(some - most);
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
        loss += (1 - smoothing) * (normaliser - aim);
        if (smoothing) loss += smoothing * (normaliser - total / width); /* total may be -inf */
        Lanes factor = all(1 / sum), shared = all(smoothing / width);
        for (at = 0; at + LANES <= width; at += LANES) {
            Lanes some = load(logits + at) * factor - shared;
            memcpy(logits + at, &some, sizeof some);
        }
        for (; at < width; at++) logits[at] = logits[at] * factor[0] - shared[0];
        logits[targets[row]] -= 1 - smoothing;
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
#define FEW (4 * DRAWS) /* values that are decided at a time */
#define BLOCK 32 /* rows with draws of their own, so that it is all the same who works on which */

/* Generators: xorshift128+ (Vigna 2014) in DRAWS columns, seeded by splitmix64. */
typedef struct { uint64_t one[DRAWS], other[DRAWS]; } Draws;

INLINE void begin(Draws *draws, uint64_t seed)
{
    for (int lane = 0; lane < DRAWS; lane++) {
        draws->one[lane] = mixed(seed += 0x9e3779b97f4a7c15u);
        draws->other[lane] = mixed(seed += 0x9e3779b97f4a7c15u);
    }
}

/* FEW values that are `factor`, or 0 with probability dropped / 65536. */
INLINE void draw(Draws *draws, int32_t dropped, float factor, float *factors)
{
    uint64_t sum[DRAWS];
    uint16_t drawn[FEW];
    for (int lane = 0; lane < DRAWS; lane++) {
        uint64_t first = draws->one[lane], second = draws->other[lane];
        sum[lane] = first + second;
        draws->one[lane] = second;
        first ^= first << 23;
        draws->other[lane] = first ^ second ^ first >> 18 ^ second >> 5;
    }
    memcpy(drawn, sum, sizeof sum);
    for (int place = 0; place < FEW; place++) factors[place] = drawn[place] >= dropped ? factor : 0;
}

/* x (count), each value times `factor`, or 0 with probability dropped / 65536; the same for the same seed. */
void EXPORT(dropout)(const float *x, float *out, int64_t count, int32_t dropped, float factor, uint64_t seed)
{
    Draws draws = {0};
    float factors[FEW];
    begin(&draws, seed);
    for (int64_t at = 0; at < count; at += FEW) {
        draw(&draws, dropped, factor, factors);
        int64_t end = count - at < FEW ? count - at : FEW;
        if (end == FEW)
            for (int place = 0; place < FEW; place++) out[at + place] = x[at + place] * factors[place];
        else
            for (int place = 0; place < end; place++) out[at + place] = x[at + place] * factors[place];
    }
}

/* out = gain * normal + bias, where normal (rows, width) is x + dropout(y) with each row's mean taken off, times its
 * scale: 1 / its standard deviation. Rows `first` to `end`, where `first` is a multiple of BLOCK; width of FEW. There may be
 * no bias, and x + dropout(y) is given too where there is `both`. */
void EXPORT(drop_add_norm)(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *both,
                   float *out, float *normal, float *scales, int64_t first, int64_t end, int64_t width, int32_t dropped,
                   float factor, uint64_t seed)
{
    Draws draws = {0};
    float factors[FEW];
    for (int64_t row = first; row < end; row++) {
        int64_t place = row * width;
        Lanes sums = {0}, squares = {0};
        if (row % BLOCK == 0) begin(&draws, seed + mixed(row / BLOCK + 1));
        for (int64_t at = place; at < place + width; at += FEW) {
            if (dropped) draw(&draws, dropped, factor, factors);
            for (int part = 0; part < FEW; part += LANES) {
                Lanes more = load(y + at + part);
                Lanes sum = load(x + at + part) + (dropped ? more * load(factors + part) : more);
                sums += sum;
                memcpy(normal + at + part, &sum, sizeof sum);
                if (both) memcpy(both + at + part, &sum, sizeof sum);
            }
        }
        float mean = sum_of(sums) / width;
        for (int64_t at = place; at < place + width; at += LANES) {
            Lanes off = load(normal + at) - mean;
            squares += off * off;
        }
        float scale = scales[row] = 1 / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes off = (load(normal + place + at) - mean) * scale;
            Lanes shown = off * load(gain + at);
            if (bias) shown += load(bias + at);
            memcpy(normal + place + at, &off, sizeof off);
            memcpy(out + place + at, &shown, sizeof shown);
        }
    }
}

/* The gradients of x and y from that of drop_add_norm's results, `change`, and where there is one that of `both`; those of
 * gain and bias are added to what is there. */
void EXPORT(drop_add_norm_gradient)(const float *change, const float *both_change, const float *normal, const float *scales,
                            const float *gain, float *x_change, float *y_change, float *gain_change,
                            float *bias_change, int64_t first, int64_t end, int64_t width, int32_t dropped, float factor,
                            uint64_t seed)
{
    Draws draws = {0};
    float factors[FEW];
    for (int64_t row = first; row < end; row++) {
        int64_t place = row * width;
        Lanes sums = {0}, along = {0};
        if (row % BLOCK == 0) begin(&draws, seed + mixed(row / BLOCK + 1));
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes some = load(change + place + at), off = load(normal + place + at);
            Lanes of_gain = load(gain_change + at) + some * off, of_bias = load(bias_change + at) + some;
            memcpy(gain_change + at, &of_gain, sizeof of_gain);
            memcpy(bias_change + at, &of_bias, sizeof of_bias);
            some *= load(gain + at);
            sums += some;
            along += some * off;
        }
        float mean = sum_of(sums) / width, slope = sum_of(along) / width, scale = scales[row];
        for (int64_t at = 0; at < width; at += FEW) {
            if (dropped) draw(&draws, dropped, factor, factors);
            for (int part = at; part < at + FEW; part += LANES) {
                Lanes some = load(change + place + part) * load(gain + part);
                some = (some - mean - load(normal + place + part) * slope) * scale;
                if (both_change) some += load(both_change + place + part);
                memcpy(x_change + place + part, &some, sizeof some);
                if (!dropped) continue;
                some *= load(factors + part - at);
                memcpy(y_change + place + part, &some, sizeof some);
            }
        }
    }
}

/* x (rows, width) becomes max(x + bias, 0), rows `first` to `end`. */
void EXPORT(bias_relu)(float *restrict x, const float *restrict bias, int64_t first, int64_t end, int64_t width)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t at = 0; at < width; at++) {
            float sum = x[row * width + at] + bias[at];
            x[row * width + at] = sum < 0 ? 0 : sum; /* what is no number stays none */
        }
}

/* The gradient `change` of bias_relu's results `out` becomes that of x; the bias's is added to what is there. */
void EXPORT(bias_relu_gradient)(float *restrict change, const float *restrict out, float *restrict bias_change,
                        int64_t first, int64_t end, int64_t width)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t at = 0; at < width; at++) {
            float some = out[row * width + at] <= 0 ? 0 : change[row * width + at]; /* passes at NaN, as PyTorch's */
            change[row * width + at] = some;
            bias_change[at] += some;
        }
}

/* 1 / (1 + e^-x) for each lane. */
INLINE Lanes logistic(Lanes x)
{
    Bits below = x < 0.0f;
    Lanes part = exponentials((Lanes)((below & (Bits)x) | (~below & (Bits)-x)));
    Lanes above = 1 / (1 + part);
    return (Lanes)((below & (Bits)(part * above)) | (~below & (Bits)above));
}

/* out = silu(gate) * input, where silu(x) = x / (1 + e^-x); values `first` to `end`, both multiples of UNIT.
 * NaN for a gate of -inf. */
void EXPORT(gated)(const float *gate, const float *input, float *out, int64_t first, int64_t end)
{
    for (int64_t at = first; at < end; at += LANES) {
        Lanes some = load(gate + at);
        some *= logistic(some) * load(input + at);
        memcpy(out + at, &some, sizeof some);
    }
}

/* The gradients of gate and input from that of gated's results. */
void EXPORT(gated_gradient)(const float *change, const float *gate, const float *input, float *gate_change, float *input_change,
                    int64_t first, int64_t end)
{
    for (int64_t at = first; at < end; at += LANES) {
        Lanes some = load(gate + at), moved = load(change + at), open = logistic(some);
        Lanes of_input = moved * some * open;
        Lanes of_gate = moved * load(input + at) * open * (1 + some * (1 - open));
        memcpy(input_change + at, &of_input, sizeof of_input);
        memcpy(gate_change + at, &of_gate, sizeof of_gate);
    }
}
