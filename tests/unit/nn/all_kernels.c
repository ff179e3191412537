/* Calls every kernel of one LEVEL on fixed inputs and prints all that it fills, so that levels can be compared. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../src/regard/nn/kernels/steps.h"

#define JOINED(level, name) regard_##level##_##name
#define NAMED(level, name) JOINED(level, name)
#define KERNEL(name) NAMED(LEVEL, name)

int KERNEL(best_tokens)(const float *, int64_t, int64_t, int64_t, int64_t, float *, int64_t *);
int KERNEL(attend)(const float *, const float *, const float *, const uint8_t *, float *, int64_t, int64_t, int64_t, int64_t,
                   int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
int KERNEL(attention)(const float *, const float *, const float *, float *, float *, const int64_t *, const int64_t *, int64_t,
                      int64_t, int64_t, int64_t, int64_t, int64_t, int);
int KERNEL(attention_gradient)(const float *, const float *, const float *, const float *, const float *, float *, float *,
                               float *, const int64_t *, const int64_t *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                               int64_t);
void KERNEL(add_norm)(const float *, const float *, const float *, const float *, float, float *, int64_t, int64_t);
void KERNEL(drop_add_norm)(const float *, const float *, const float *, const float *, float, float *, float *, float *, float *,
                           int64_t, int64_t, int64_t, int32_t, float, uint64_t);
void KERNEL(drop_add_norm_gradient)(const float *, const float *, const float *, const float *, const float *, float *, float *,
                                    float *, float *, int64_t, int64_t, int64_t, int32_t, float, uint64_t);
void KERNEL(bias_relu)(float *, const float *, int64_t, int64_t, int64_t);
void KERNEL(bias_relu_gradient)(float *, const float *, float *, int64_t, int64_t, int64_t);
void KERNEL(norm)(const float *, const float *, float, float *, int64_t, int64_t);
void KERNEL(add)(const float *, const float *, float *, int64_t);
void KERNEL(rotate)(const float *, const float *, float *, int64_t, int64_t, int64_t, int64_t);
void KERNEL(ssru)(const float *, const float *, float *, float *, int64_t, int64_t, int64_t);
void KERNEL(gated)(const float *, const float *, float *, int64_t, int64_t);
void KERNEL(gated_gradient)(const float *, const float *, const float *, float *, float *, int64_t, int64_t);
double KERNEL(cross_entropy)(float *, const int64_t *, int64_t, int64_t, float);
void KERNEL(dropout)(const float *, float *, int64_t, int32_t, float, uint64_t);
int KERNEL(linear_int8)(const float *, const int8_t *, const int32_t *, const float *, const float *, float *, int64_t, int64_t,
                        int64_t, float);
void KERNEL(linear_float32)(const float *, const float *, const float *, float *, int64_t, int64_t, int64_t, float);
void KERNEL(best_continuations)(const float *, const float *, const int64_t *, const int64_t *, int64_t, int64_t, int64_t,
                                int64_t, int64_t, float *, int64_t *, int64_t *, int64_t *);
int KERNEL(decoder_step)(const Operation *, int64_t, const Layer *, const Batch *, const float *, float *, int64_t, int64_t);
int KERNEL(decoder_logits)(const Decoder *, Search *, const int64_t *, const int64_t *, float *);
int64_t KERNEL(beam_step)(Beam *, const float *, int64_t, int64_t, int64_t, int64_t, float);
int KERNEL(int8_panel)(void);
int KERNEL(int8_depth)(void);
int KERNEL(float32_panel)(void);

static float *values(int count, unsigned seed, float scale)
{
    float *made = malloc(count * sizeof *made);
    for (int at = 0; at < count; at++) {
        seed = seed * 1664525u + 1013904223u;
        made[at] = scale * ((seed >> 8) / 8388608.0f - 1);
    }
    return made;
}

static void print(const char *name, const float *from, int count)
{
    printf("%s", name);
    for (int at = 0; at < count; at++) printf(" %.9g", from[at]);
    printf("\n");
}

static void int8(int rows, int inputs, int outputs)
{
    int panel = KERNEL(int8_panel)(), depth = KERNEL(int8_depth)(), full = (outputs + panel - 1) / panel * panel;
    float *x = values(rows * inputs, 5, 127), *drawn = values(outputs * inputs, 6, 32.9f), *out = values(rows * outputs, 1, 1);
    int8_t *laid_out = calloc(full * inputs, 1);
    int32_t *shift = calloc(full, sizeof *shift);
    float *scales = calloc(full, sizeof *scales), *bias = calloc(full, sizeof *bias);
    for (int at = 0; at < rows * inputs; at++) x[at] = at % inputs == 0 || at < inputs ? 127 : rintf(x[at]);
    for (int output = 0; output < outputs; output++)
        for (int input = 0; input < inputs; input++) {
            int8_t weight = output < 2 ? (output ? -32 : 32) : (int8_t)drawn[output * inputs + input];
            laid_out[((output / panel * (inputs / depth) + input / depth) * panel + output % panel) * depth + input % depth] = weight;
            shift[output] -= 128 * weight;
            scales[output] = 1;
        }
    KERNEL(linear_int8)(x, laid_out, shift, scales, bias, out, rows, inputs, outputs, -INFINITY);
    print("linear_int8", out, rows * outputs);
}

static void float32(int rows, int inputs, int outputs)
{
    int panel = KERNEL(float32_panel)(), full = (outputs + panel - 1) / panel * panel;
    float *x = values(rows * inputs, 5, 1), *weights = values(outputs * inputs, 6, 1), *bias = values(full, 7, 1);
    float *laid_out = calloc(full * inputs, sizeof *laid_out), *out = values(rows * outputs, 1, 1);
    for (int output = 0; output < outputs; output++)
        for (int input = 0; input < inputs; input++)
            laid_out[(output / panel * inputs + input) * panel + output % panel] = weights[output * inputs + input];
    KERNEL(linear_float32)(x, laid_out, bias, out, rows, inputs, outputs, 0);
    print("linear_float32", out, rows * outputs);
}

/* A step of four rows of two sentences: attention to the target and to the source, whose queries are stored, and a norm; alone,
 * between an embedding and an output layer, and with what a decoder that copies needs. */
static void step(float *x, float *gain)
{
    float stored[64], embedded[128], features[128], *keys = values(128, 11, 1), *own = values(128, 12, 1), *source = values(192, 13, 1), *out = values(128, 14, 1);
    uint8_t mask[] = {1, 1, 1, 1, 1, 0};
    Layer layer = {keys, own, 2, source, source + 96, 48, 16, 48, 16};
    Batch batch = {4, 2, 0, mask, 3, .queries = stored};
    Operation operations[] = {
        {.kind = ATTEND_TARGET, .inputs = {{0, 32, 0}, {0, 32, 0}, {0, 32, 16}}, .out = 32, .width = 16, .heads = 2, .groups = 1},
        {.kind = STORE_QUERIES, .inputs = {{32, 32, 0}}, .width = 16, .heads = 2, .groups = 1},
        {.kind = ATTEND_SOURCE, .inputs = {{32, 32, 0}}, .out = 64, .width = 16, .heads = 2, .groups = 1},
        {.kind = ADD_NORM, .inputs = {{0, 32, 0}, {64, 32, 0}}, .out = 32, .width = 32, .constants = {gain, gain + 32}, .number = 1e-5f},
    };
    KERNEL(decoder_step)(operations, 4, &layer, &batch, x, out, 32, 96);
    print("decoder_step", out, 128), print("cache", keys, 128), print("stored_queries", stored, 64);
    int8_t weights[48 * 32];
    int32_t shift[48] = {0};
    float scales[48], bias[48] = {0}, *logits = values(80, 15, 1);
    for (int at = 0; at < 48 * 32; at++) weights[at] = 1;
    for (int at = 0; at < 48; at++) shift[at] = -128 * 32, scales[at] = at;
    Operation output = {.kind = LINEAR_INT8, .width = 32, .outputs = 20, .constants = {weights, shift, scales, bias}, .number = -INFINITY};
    Decoder decoder = {x, gain, 3, 32, 20, operations, 4, 96, &output};
    uint8_t before[] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, after[16];
    Search search = {&layer, 1, 4, 2, 3, before, after, mask, 3, .queries = stored};
    int64_t tokens[] = {1, 0, 2, 2}, parents[] = {1, 1, 2, 3};
    KERNEL(decoder_logits)(&decoder, &search, tokens, parents, logits);
    print("decoder_logits", logits, 80);
    layer.written = 2, search = (Search){&layer, 1, 4, 2, 3, before, after, mask, 3, embedded, stored, features};
    KERNEL(decoder_logits)(&decoder, &search, tokens, parents, 0);
    print("embedded", embedded, 128), print("again", stored, 64), print("features", features, 128);
}

/* A step of a beam of two for two sentences. */
static void beam(const float *logits)
{
    float total[] = {-1, -2, -1, -3}, score[] = {-9, -INFINITY, -5, -9}, ends[] = {-9, 0, -5, -9}, divisor[] = {9, 2}, numbers[12];
    int64_t token[4], parent[4], within[4], row[4], end_token[4] = {0}, end_parent[4] = {0}, ended[] = {1, 2}, limit[] = {9, 4};
    uint8_t is_done[] = {0, 0};
    Beam state = {2, 2, 2, 1, 9, total, token, parent, within, row, score, ends, end_token, end_parent, ended, is_done, limit, divisor};
    numbers[0] = KERNEL(beam_step)(&state, logits, 40, 2, 10, 4, 2);
    for (int at = 0; at < 4; at++) numbers[at + 1] = token[at] + 100 * within[at] + 1000 * row[at], numbers[at + 5] = parent[at];
    numbers[9] = is_done[0], numbers[10] = is_done[1], numbers[11] = ended[0];
    print("beam_step", numbers, 12), print("beam_totals", total, 4);
}

int main(void)
{
    float *a = values(20000, 1, 1), *b = values(20000, 2, 1), *c = values(20000, 3, 1), *d = values(20000, 4, 1);
    float *e = values(20000, 7, 1), *f = values(20000, 8, 1), *g = values(20000, 9, 1), *wide = values(20000, 10, 5);
    int64_t columns[8], tokens[10], parents[10], prefixes[10], nodes[] = {5, 6, 7, 8}, rows[] = {0, 3, 10}, keys[] = {0, 18, 23}, targets[] = {36, 2};
    uint8_t mask[38];
    for (int at = 0; at < 38; at++) mask[at] = at < 19 || at % 3 == 0;

    KERNEL(best_tokens)(wide, 2, 293, 2, 4, a, columns);
    print("best_tokens", a, 8);
    for (int at = 0; at < 8; at++) a[at] = columns[at];
    print("best_columns", a, 8);
    KERNEL(best_continuations)(b, c, columns, nodes, 2, 2, 2, 3, 2, a, tokens, parents, prefixes);
    print("best_continuations", a, 6);
    for (int at = 0; at < 6; at++) a[at] = tokens[at] + 1000 * parents[at] + 100 * prefixes[at];
    print("continued", a, 6);
    beam(wide);
    step(b, c);
    KERNEL(attend)(b, c, d, mask, e, 1, 2, 19, 2, 1, 80, 19 * 80, 80, 19 * 80, 80, 38, 19);
    print("attend", e, 2 * 2 * 80);
    KERNEL(attention)(b, c, d, f, e, rows, keys, 0, 2, 2, 48, 96, 96, 0);
    print("attention", e, 10 * 96);
    KERNEL(attention_gradient)(wide, b, c, d, f, a, e, g, rows, keys, 0, 2, 2, 48, 96, 96, 96);
    print("of_queries", a, 10 * 96), print("of_keys", e, 23 * 96), print("of_values", g, 23 * 96);
    KERNEL(attention)(b, c, d, f, e, rows, rows, 0, 2, 2, 16, 32, 32, 1);
    print("causal", e, 10 * 32);
    KERNEL(add_norm)(b, wide, c, d, 1e-5f, e, 3, 112);
    print("add_norm", e, 3 * 112);
    KERNEL(norm)(wide, c, 1e-5f, e, 3, 112);
    print("norm", e, 3 * 112);
    KERNEL(add)(b, c, e, 37);
    print("add", e, 37);
    KERNEL(rotate)(b, c, e, 4, 2, 3, 48);
    print("rotate", e, 4 * 3 * 48);
    for (int at = 0; at < 2 * 48; at++) a[at] = d[at];
    KERNEL(ssru)(wide, b, a, e, 2, 3, 48);
    print("ssru", e, 2 * 3 * 48), print("state", a, 2 * 48);
    KERNEL(drop_add_norm)(b, wide, c, d, 1e-5f, a, e, f, g, 0, 40, 96, 20000, 1.5f, 77);
    print("both", a, 40 * 96), print("normed", e, 40 * 96), print("scales", g, 40);
    float *of_gain = calloc(96, sizeof *of_gain), *of_bias = calloc(96, sizeof *of_bias);
    KERNEL(drop_add_norm_gradient)(b, d, f, g, c, a, e, of_gain, of_bias, 0, 40, 96, 20000, 1.5f, 77);
    print("of_x", a, 40 * 96), print("of_y", e, 40 * 96), print("of_gain", of_gain, 96), print("of_bias", of_bias, 96);
    KERNEL(dropout)(b, e, 90, 20000, 1.5f, 7);
    print("dropout", e, 90);
    KERNEL(gated)(wide, b, e, 0, 48);
    print("gated", e, 48);
    KERNEL(gated_gradient)(c, wide, b, e, f, 0, 48);
    print("of_gate", e, 48), print("of_input", f, 48);
    KERNEL(bias_relu)(b, c, 0, 3, 21);
    print("bias_relu", b, 63);
    for (int at = 0; at < 21; at++) of_bias[at] = 0;
    KERNEL(bias_relu_gradient)(d, b, of_bias, 0, 3, 21);
    print("of_sum", d, 63), print("of_sum_bias", of_bias, 21);
    float loss = KERNEL(cross_entropy)(wide, targets, 2, 37, 0.1f);
    print("loss", &loss, 1), print("of_logits", wide, 74);
    float32(1, 16, 2), float32(14, 19, 40), float32(31, 64, 70);
    int8(1, 16, 2), int8(7, 64, 40), int8(30, 512, 70);
    return 0;
}
