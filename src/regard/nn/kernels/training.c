/* The kernels of training between matrix products. */
#include "lanes.h"

/* Return the summed cross-entropy of logits (rows, width) and targets, with label smoothing. Replace the logits by the
 * gradient of the summed loss. */
double EXPORT(cross_entropy)(float *logits, const int64_t *targets, int64_t rows, int64_t width, float smoothing)
{
    double loss = 0;
    for (int64_t row = 0; row < rows; row++, logits += width) {
        float largest = max_in(logits, width), target_logit = logits[targets[row]];
        Lanes sums = {0}, totals = {0};
        float sum = 0, total = 0;
        int64_t at = 0;
        for (; at + LANES <= width; at += LANES) {
            Lanes chunk = load(logits + at);
            totals += chunk;
            chunk = exponentials(chunk - largest);
            sums += chunk;
            memcpy(logits + at, &chunk, sizeof chunk);
        }
        for (; at < width; at++) {
            total += logits[at];
            logits[at] = exponential(logits[at] - largest);
            sum += logits[at];
        }
        sum += sum_of(sums);
        total += sum_of(totals);
        float normaliser = largest + logf(sum);
        loss += (1 - smoothing) * (normaliser - target_logit);
        if (smoothing) loss += smoothing * (normaliser - total / width); /* total may be -inf */
        Lanes inverse_sum = broadcast(1 / sum), shared = broadcast(smoothing / width);
        for (at = 0; at + LANES <= width; at += LANES) {
            Lanes chunk = load(logits + at) * inverse_sum - shared;
            memcpy(logits + at, &chunk, sizeof chunk);
        }
        for (; at < width; at++) logits[at] = logits[at] * inverse_sum[0] - shared[0];
        logits[targets[row]] -= 1 - smoothing;
    }
    return loss;
}

INLINE uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

#define DRAWS 8 /* numbers of 64 bits at a time, which decide 4 values each */
#define VALUES_PER_DRAW (4 * DRAWS) /* values that are decided at a time */
#define ROWS_PER_SEED 32 /* rows that share a seed, so that results do not depend on how threads divide the rows */

/* xorshift128+ generators (Vigna 2014), DRAWS of them, seeded by splitmix64. */
typedef struct { uint64_t older[DRAWS], newer[DRAWS]; } Draws;

INLINE void seed_draws(Draws *draws, uint64_t seed)
{
    for (int lane = 0; lane < DRAWS; lane++) {
        draws->older[lane] = mix(seed += 0x9e3779b97f4a7c15u);
        draws->newer[lane] = mix(seed += 0x9e3779b97f4a7c15u);
    }
}

/* Set each of VALUES_PER_DRAW factors to `keep_scale`, or to 0 with probability dropped / 65536. */
INLINE void draw(Draws *draws, int32_t dropped, float keep_scale, float *factors)
{
    uint64_t sum[DRAWS];
    uint16_t bits[VALUES_PER_DRAW];
    for (int lane = 0; lane < DRAWS; lane++) {
        uint64_t first = draws->older[lane], second = draws->newer[lane];
        sum[lane] = first + second;
        draws->older[lane] = second;
        first ^= first << 23;
        draws->newer[lane] = first ^ second ^ first >> 18 ^ second >> 5;
    }
    memcpy(bits, sum, sizeof sum);
    for (int index = 0; index < VALUES_PER_DRAW; index++) factors[index] = bits[index] >= dropped ? keep_scale : 0;
}

/* Multiply each of `count` values by `keep_scale`, or by 0 with probability dropped / 65536, as determined by the seed. */
void EXPORT(dropout)(const float *x, float *out, int64_t count, int32_t dropped, float keep_scale, uint64_t seed)
{
    Draws draws = {0};
    float factors[VALUES_PER_DRAW];
    seed_draws(&draws, seed);
    for (int64_t at = 0; at < count; at += VALUES_PER_DRAW) {
        draw(&draws, dropped, keep_scale, factors);
        int64_t end = count - at < VALUES_PER_DRAW ? count - at : VALUES_PER_DRAW;
        if (end == VALUES_PER_DRAW)
            for (int index = 0; index < VALUES_PER_DRAW; index++) out[at + index] = x[at + index] * factors[index];
        else
            for (int index = 0; index < end; index++) out[at + index] = x[at + index] * factors[index];
    }
}

/* Compute out = gain * standardized + bias, where standardized (rows, width) is x + dropout(y) minus the mean of the row,
 * multiplied by its scale: 1 / standard deviation. Rows from `first`, a multiple of ROWS_PER_SEED, to before `end`; width is
 * a multiple of VALUES_PER_DRAW. bias may be null. If total_out is not null, x + dropout(y) is stored there. */
void EXPORT(drop_add_norm)(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *total_out,
                   float *out, float *standardized, float *scales, int64_t first, int64_t end, int64_t width, int32_t dropped,
                   float keep_scale, uint64_t seed)
{
    Draws draws = {0};
    float factors[VALUES_PER_DRAW];
    for (int64_t row = first; row < end; row++) {
        int64_t index = row * width;
        Lanes sums = {0}, squares = {0};
        if (row % ROWS_PER_SEED == 0) seed_draws(&draws, seed + mix(row / ROWS_PER_SEED + 1));
        for (int64_t at = index; at < index + width; at += VALUES_PER_DRAW) {
            if (dropped) draw(&draws, dropped, keep_scale, factors);
            for (int part = 0; part < VALUES_PER_DRAW; part += LANES) {
                Lanes added = load(y + at + part);
                Lanes sum = load(x + at + part) + (dropped ? added * load(factors + part) : added);
                sums += sum;
                memcpy(standardized + at + part, &sum, sizeof sum);
                if (total_out) memcpy(total_out + at + part, &sum, sizeof sum);
            }
        }
        float mean = sum_of(sums) / width;
        for (int64_t at = index; at < index + width; at += LANES) {
            Lanes deviation = load(standardized + at) - mean;
            squares += deviation * deviation;
        }
        float scale = scales[row] = 1 / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes deviation = (load(standardized + index + at) - mean) * scale;
            Lanes scaled = deviation * load(gain + at);
            if (bias) scaled += load(bias + at);
            memcpy(standardized + index + at, &deviation, sizeof deviation);
            memcpy(out + index + at, &scaled, sizeof scaled);
        }
    }
}

/* Compute the gradients of x and y from those of drop_add_norm's `out` and, if not null, of its `total_out`. The gradients
 * of gain and bias are added to the given ones. */
void EXPORT(drop_add_norm_gradient)(const float *gradient, const float *sum_gradient, const float *standardized, const float *scales,
                            const float *gain, float *x_gradient, float *y_gradient, float *gain_gradient,
                            float *bias_gradient, int64_t first, int64_t end, int64_t width, int32_t dropped, float keep_scale,
                            uint64_t seed)
{
    Draws draws = {0};
    float factors[VALUES_PER_DRAW];
    for (int64_t row = first; row < end; row++) {
        int64_t index = row * width;
        Lanes sums = {0}, weighted_sums = {0};
        if (row % ROWS_PER_SEED == 0) seed_draws(&draws, seed + mix(row / ROWS_PER_SEED + 1));
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes chunk = load(gradient + index + at), deviation = load(standardized + index + at);
            Lanes of_gain = load(gain_gradient + at) + chunk * deviation, of_bias = load(bias_gradient + at) + chunk;
            memcpy(gain_gradient + at, &of_gain, sizeof of_gain);
            memcpy(bias_gradient + at, &of_bias, sizeof of_bias);
            chunk *= load(gain + at);
            sums += chunk;
            weighted_sums += chunk * deviation;
        }
        float mean = sum_of(sums) / width, slope = sum_of(weighted_sums) / width, scale = scales[row];
        for (int64_t at = 0; at < width; at += VALUES_PER_DRAW) {
            if (dropped) draw(&draws, dropped, keep_scale, factors);
            for (int part = at; part < at + VALUES_PER_DRAW; part += LANES) {
                Lanes chunk = load(gradient + index + part) * load(gain + part);
                chunk = (chunk - mean - load(standardized + index + part) * slope) * scale;
                if (sum_gradient) chunk += load(sum_gradient + index + part);
                memcpy(x_gradient + index + part, &chunk, sizeof chunk);
                if (!dropped) continue;
                chunk *= load(factors + part - at);
                memcpy(y_gradient + index + part, &chunk, sizeof chunk);
            }
        }
    }
}

/* Replace x (rows, width) by max(x + bias, 0), in rows from `first` to before `end`. */
void EXPORT(bias_relu)(float *restrict x, const float *restrict bias, int64_t first, int64_t end, int64_t width)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t at = 0; at < width; at++) {
            float sum = x[row * width + at] + bias[at];
            x[row * width + at] = sum < 0 ? 0 : sum; /* NaN stays NaN */
        }
}

/* Replace the gradient of bias_relu's result `out` by that of x, and add that of the bias to the given one. */
void EXPORT(bias_relu_gradient)(float *restrict gradient, const float *restrict out, float *restrict bias_gradient,
                        int64_t first, int64_t end, int64_t width)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t at = 0; at < width; at++) {
            float chunk = out[row * width + at] <= 0 ? 0 : gradient[row * width + at]; /* passes at NaN, as in PyTorch */
            gradient[row * width + at] = chunk;
            bias_gradient[at] += chunk;
        }
}

/* Compute out = silu(gate) * input, where silu(x) = x / (1 + e^-x), for values from `first` to before `end`, both multiples
 * of UNIT. A gate of -inf gives NaN. */
void EXPORT(gated)(const float *gate, const float *input, float *out, int64_t first, int64_t end)
{
    for (int64_t at = first; at < end; at += LANES) {
        Lanes chunk = load(gate + at);
        chunk *= logistic(chunk) * load(input + at);
        memcpy(out + at, &chunk, sizeof chunk);
    }
}

/* Compute the gradients of gate and input from that of the result of `gated`. */
void EXPORT(gated_gradient)(const float *gradient, const float *gate, const float *input, float *gate_gradient, float *input_gradient,
                    int64_t first, int64_t end)
{
    for (int64_t at = first; at < end; at += LANES) {
        Lanes chunk = load(gate + at), incoming = load(gradient + at), sigmoid = logistic(chunk);
        Lanes of_input = incoming * chunk * sigmoid;
        Lanes of_gate = incoming * load(input + at) * sigmoid * (1 + chunk * (1 - sigmoid));
        memcpy(input_gradient + at, &of_input, sizeof of_input);
        memcpy(gate_gradient + at, &of_gate, sizeof of_gate);
    }
}
