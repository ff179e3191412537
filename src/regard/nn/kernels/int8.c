/* Linear layers in 8 bits. The integer sums are exact on every level, so all levels give the same result.
 *
 * No product saturates. With VNNI (AVX-512 or AVX), vpdpbusd adds four products of unsigned and signed bytes in 32 bits; activations are
 * stored as value + ZERO, and `shift` subtracts ZERO times the weights. On other levels activations keep their sign, and
 * products of two inputs at a time are computed in 16 bits: by vpmaddwd on AVX2, and by vmull_s8 on NEON, where the largest
 * product is 127 x 127. (vpmaddubsw, which other libraries use on AVX2, saturates.)
 */
#include "lanes.h"
#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define LEVELS 127

#if defined(__AVX512VNNI__)
#define PANEL 32 /* outputs whose sums are in registers at the same time */
#define DEPTH 4  /* inputs of an output that are adjacent in memory */
#define TILE 12  /* rows whose sums are in registers at the same time */
#define ZERO 128 /* the unsigned byte that represents 0 */
typedef uint8_t Activation;
#elif defined(__AVXVNNI__)
#define PANEL 16
#define DEPTH 4
#define TILE 6
#define ZERO 128
typedef uint8_t Activation;
#elif defined(__ARM_FEATURE_DOTPROD)
#define PANEL 16
#define DEPTH 4
#define TILE 6
#define ZERO 0
typedef int8_t Activation;
#elif defined(__ARM_NEON)
#define PANEL 16
#define DEPTH 2
#define TILE 4
#define ZERO 0
typedef int8_t Activation;
#else
#define PANEL 16
#define DEPTH 2
#define TILE 6
#define ZERO 0
typedef int16_t Activation;
#endif

/* The layout of weights is (outputs / panel, inputs / depth, panel, depth). */
int EXPORT(int8_panel)(void) { return PANEL; }
int EXPORT(int8_depth)(void) { return DEPTH; }

/* Round a row to steps of a 127th of its largest value. Return the size of a step, or NaN if a value of the row is not
 * finite, so that all its outputs are NaN. */
INLINE float quantize(const float *row, int64_t inputs, Activation *out)
{
    const float nearest = 12582912.0f; /* 1.5 x 2^23: adding it rounds to an integer, halves to even */
    Lanes largest = {0};
    Bits finite = ~(Bits){0};
    for (int64_t at = 0; at < inputs; at += LANES) {
        Lanes sizes = (Lanes)((Bits)load(row + at) & 0x7fffffff);
        finite &= sizes < INFINITY;
        largest = maximum(sizes, largest);
    }
    int32_t all_finite = -1;
    for (int lane = 0; lane < LANES; lane++) all_finite &= finite[lane];
    if (!all_finite) {
        for (int64_t at = 0; at < inputs; at++) out[at] = ZERO;
        return NAN;
    }
    float step = max_of(largest) / LEVELS;
    step = step > 1e-14f ? step : 1e-14f;
    float steps = 1 / step;
    for (int64_t at = 0; at < inputs; at++) {
        float rounded = row[at] * steps + nearest;
        int32_t bits;
        memcpy(&bits, &rounded, sizeof bits);
        out[at] = (Activation)(bits - 0x4b400000 + ZERO);
    }
    return step;
}

#if defined(__AVX512VNNI__)
typedef __m512i Sums; /* of SUMS outputs */
#define SUMS 16
#define START(panel_shift, part) _mm512_loadu_si512((panel_shift) + (part) * SUMS)
#define WEIGHTS(panel, part) _mm512_loadu_si512((panel) + (part) * 64)
typedef __m512i Weights;
typedef __m512i Repeated;
INLINE Repeated repeat(const Activation *in)
{
    int32_t four;
    memcpy(&four, in, sizeof four);
    return _mm512_set1_epi32(four);
}
/* In assembly, because some compilers copy each sum around the intrinsic. */
#define ADD(sums, repeat, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(repeat), "v"(weights))
INLINE void floats(Sums sums, float *out)
{
    _mm512_storeu_ps(out, _mm512_cvtepi32_ps(sums));
}
#elif defined(__AVX2__)
typedef __m256i Sums;
#define SUMS 8
typedef __m256i Weights;
typedef __m256i Repeated;
INLINE Repeated repeat(const Activation *in) /* DEPTH activations */
{
    int32_t bits;
    memcpy(&bits, in, sizeof bits);
    return _mm256_set1_epi32(bits);
}
/* In assembly for the same reason. */
#if defined(__AVXVNNI__)
#define START(panel_shift, part) _mm256_loadu_si256((const __m256i *)((panel_shift) + (part) * SUMS))
#define WEIGHTS(panel, part) _mm256_loadu_si256((const __m256i *)((panel) + (part) * 32))
#define ADD(sums, repeat, weights) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(repeat), "x"(weights))
#else
#define START(panel_shift, part) _mm256_setzero_si256()
#define WEIGHTS(panel, part) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)((panel) + (part) * 16)))
#define ADD(sums, repeat, weights) __asm__("vpaddd %1, %0, %0" : "+x"(sums) : "x"(_mm256_madd_epi16(repeat, weights)))
#endif
INLINE void floats(Sums sums, float *out)
{
    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(sums));
}
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t Sums;
#define SUMS 4
#define START(panel_shift, part) vdupq_n_s32(0)
#define WEIGHTS(panel, part) vld1q_s8((panel) + (part) * 16)
typedef int8x16_t Weights;
typedef int8x16_t Repeated;
INLINE Repeated repeat(const Activation *in)
{
    int32_t four;
    memcpy(&four, in, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
#define ADD(sums, repeat, weights) sums = vdotq_s32(sums, repeat, weights)
INLINE void floats(Sums sums, float *out)
{
    vst1q_f32(out, vcvtq_f32_s32(sums));
}
#elif defined(__ARM_NEON)
typedef int32x4_t Sums;
#define SUMS 4
#define START(panel_shift, part) vdupq_n_s32(0)
#define WEIGHTS(panel, part) vld1_s8((panel) + (part) * 8)
typedef int8x8_t Weights;
typedef int8x8_t Repeated;
INLINE Repeated repeat(const Activation *in)
{
    int16_t two;
    memcpy(&two, in, sizeof two);
    return vreinterpret_s8_s16(vdup_n_s16(two));
}
#define ADD(sums, repeat, weights) sums = vpadalq_s16(sums, vmull_s8(repeat, weights))
INLINE void floats(Sums sums, float *out)
{
    vst1q_f32(out, vcvtq_f32_s32(sums));
}
#else
typedef int32_t Sums __attribute__((vector_size(16)));
#define SUMS 4
#define START(panel_shift, part) (Sums){0}
typedef struct { Sums first, second; } Weights; /* of either input */
typedef struct { int32_t first, second; } Repeated;
INLINE Weights weights_at(const int8_t *in)
{
    return (Weights){{in[0], in[2], in[4], in[6]}, {in[1], in[3], in[5], in[7]}};
}
#define WEIGHTS(panel, part) weights_at((panel) + (part) * 8)
INLINE Repeated repeat(const Activation *in)
{
    return (Repeated){in[0], in[1]};
}
#define ADD(sums, repeat, weights) sums += (repeat).first * (weights).first + (repeat).second * (weights).second
INLINE void floats(Sums sums, float *out)
{
    for (int lane = 0; lane < SUMS; lane++) out[lane] = (float)sums[lane];
}
#endif

#define PARTS (PANEL / SUMS)
#ifndef BLOCK
#define BLOCK (24 / TILE * TILE) /* rows whose outputs are written in turn, so that caches prefetch them */
#endif

/* Store the first `remaining` outputs of a row's panel: its sums with scales and bias, but at least `minimum`. */
INLINE void finish(float *values, float step, const float *scales, const float *bias, float *out, int64_t remaining_rows, float minimum)
{
    for (int at = 0; at < PANEL; at += LANES) {
        Lanes chunk = load(values + at) * (load(scales + at) * step) + load(bias + at);
        Bits is_below = chunk < minimum; /* false for NaN, which is kept */
        chunk = (Lanes)((is_below & (Bits)broadcast(minimum)) | (~is_below & (Bits)chunk));
        memcpy(values + at, &chunk, sizeof chunk);
    }
    if (remaining_rows >= PANEL)
        memcpy(out, values, PANEL * sizeof *values);
    else
        memcpy(out, values, remaining_rows * sizeof *values);
}

/* Each sum is a separate variable: compilers would keep an array in memory. */
#if PARTS == 2
#define EACH_PART(DO, row) DO(row, 0) DO(row, 1)
#else
#define EACH_PART(DO, row) DO(row, 0) DO(row, 1) DO(row, 2) DO(row, 3)
#endif
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START_PART(row, part) Sums sums##row##_##part = START(shift, part);
#define START_ROW(row) EACH_PART(START_PART, row)
#define LOAD_PART(row, part) Weights weights##part = WEIGHTS(panel, part);
#define ADD_PART(row, part) ADD(sums##row##_##part, activation, weights##part);
#define ADD_ROW(row) \
    if (row < rows) { \
        Repeated activation = repeat(activations + row * inputs + at); \
        EACH_PART(ADD_PART, row) \
    }
#define FLOATS_PART(row, part) floats(sums##row##_##part, values + part * SUMS);
#define FINISH_ROW(row) \
    if (row < rows) { \
        EACH_PART(FLOATS_PART, row) \
        finish(values, steps[row], scales, bias, out + row * outputs, remaining_rows, minimum); \
    }

/* Multiply `rows` rows, at most TILE and a constant for the compiler, with the first `remaining` outputs of a panel. */
INLINE void tile(const int rows, const Activation *activations, const int8_t *panel, const int32_t *shift,
                 const float *scales, const float *bias, const float *steps, float *out, int64_t inputs, int64_t outputs,
                 int64_t remaining_rows, float minimum)
{
    float values[PANEL];
    (void)shift;
    EACH_ROW(START_ROW)
    for (int64_t at = 0; at < inputs; at += DEPTH, panel += PANEL * DEPTH) {
        EACH_PART(LOAD_PART, 0)
        EACH_ROW(ADD_ROW)
    }
    EACH_ROW(FINISH_ROW)
}

/* Multiply x (rows, inputs) with weights (outputs, inputs) in bytes, in the layout of int8_panel and int8_depth, and store
 * out (rows, outputs). shift: -ZERO times the sum of an output's weights, used if ZERO is not 0. shift, scales and bias have
 * a value for each output of each panel. inputs is a multiple of UNIT. Outputs below `minimum` are raised to it. Return 1 if
 * out of memory. */
int EXPORT(linear_int8)(const float *x, const int8_t *weights, const int32_t *shift, const float *scales, const float *bias,
                        float *out, int64_t rows, int64_t inputs, int64_t outputs, float minimum)
{
    Activation *activations = malloc(rows * inputs * sizeof *activations);
    float *steps = malloc(rows * sizeof *steps);
    if (!activations || !steps) return free(activations), free(steps), 1;
    for (int64_t row = 0; row < rows; row++) steps[row] = quantize(x + row * inputs, inputs, activations + row * inputs);
    for (int64_t block = 0; block < rows; block += BLOCK)
        for (int64_t first = 0; first < outputs; first += PANEL) {
            const int8_t *panel = weights + first * inputs;
            int64_t end = block + BLOCK < rows ? block + BLOCK : rows;
            for (int64_t row = block; row < end;) {
                int64_t remaining_rows = end - row;
#define ROWS(n) tile(n, activations + row * inputs, panel, shift + first, scales + first, bias + first, steps + row, \
                     out + row * outputs + first, inputs, outputs, outputs - first, minimum), row += n
                if (remaining_rows >= TILE) ROWS(TILE);
#if TILE > 8
                else if (remaining_rows >= 8) ROWS(8);
#endif
#if TILE > 4
                else if (remaining_rows >= 4) ROWS(4);
#endif
                else if (remaining_rows >= 2) ROWS(2);
                else ROWS(1);
            }
        }
    free(activations), free(steps);
    return 0;
}
