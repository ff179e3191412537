/* Linear layers in 8 bits: exact integer sums on every level, so that all levels round alike.
 *
 * No product saturates. With VNNI, vpdpbusd adds four products of unsigned and signed bytes to 32 bits; activations are
 * stored as value + ZERO, and `shift` takes ZERO times the weights away again. Elsewhere activations keep their sign and
 * products are made in 16 bits, of two inputs at a time: vpmaddwd on AVX2; on NEON vmull_s8, whose largest product is
 * 127 x 127. (vpmaddubsw, which other libraries use on AVX2, saturates.)
 */
#include "lanes.h"
#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define LEVELS 127

#if defined(__AVX512VNNI__)
#define PANEL 32 /* outputs whose sums are kept in registers together */
#define DEPTH 4  /* inputs of an output that lie together */
#define TILE 12  /* rows whose sums are kept in registers together */
#define ZERO 128 /* where 0 lies in an unsigned byte */
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

/* How callers lay weights out: (outputs / panel, inputs / depth, panel, depth). */
int EXPORT(int8_panel)(void) { return PANEL; }
int EXPORT(int8_depth)(void) { return DEPTH; }

/* Round a row to steps of a 127th of its largest value. Return the size of a step: NaN where the row has a value that is
 * not finite, so that all its outputs are NaN. */
INLINE float rounded(const float *row, int64_t inputs, Activation *to)
{
    const float nearest = 12582912.0f; /* 1.5 x 2^23: adding it rounds to a whole number, halves to even */
    Lanes most = {0};
    Bits finite = ~(Bits){0};
    for (int64_t at = 0; at < inputs; at += LANES) {
        Lanes sizes = (Lanes)((Bits)load(row + at) & 0x7fffffff);
        finite &= sizes < INFINITY;
        most = larger(sizes, most);
    }
    int32_t all_finite = -1;
    for (int lane = 0; lane < LANES; lane++) all_finite &= finite[lane];
    if (!all_finite) {
        for (int64_t at = 0; at < inputs; at++) to[at] = ZERO;
        return NAN;
    }
    float step = most_of(most) / LEVELS;
    step = step > 1e-14f ? step : 1e-14f;
    float steps = 1 / step;
    for (int64_t at = 0; at < inputs; at++) {
        float whole = row[at] * steps + nearest;
        int32_t bits;
        memcpy(&bits, &whole, sizeof bits);
        to[at] = (Activation)(bits - 0x4b400000 + ZERO);
    }
    return step;
}

#if defined(__AVX512VNNI__)
typedef __m512i Sums; /* of SUMS outputs */
#define SUMS 16
#define START(panel_shift, part) _mm512_loadu_si512((panel_shift) + (part) * SUMS)
#define WEIGHTS(panel, part) _mm512_loadu_si512((panel) + (part) * 64)
typedef __m512i Weights;
typedef __m512i Same;
INLINE Same same(const Activation *from)
{
    int32_t four;
    memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
}
/* In assembler, since some compilers copy each sum around the intrinsic. */
#define ADD(sums, same, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(same), "v"(weights))
INLINE void floats(Sums sums, float *to)
{
    _mm512_storeu_ps(to, _mm512_cvtepi32_ps(sums));
}
#elif defined(__AVX2__)
typedef __m256i Sums;
#define SUMS 8
#define START(panel_shift, part) _mm256_setzero_si256()
#define WEIGHTS(panel, part) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)((panel) + (part) * 16)))
typedef __m256i Weights;
typedef __m256i Same;
INLINE Same same(const Activation *from)
{
    int32_t two;
    memcpy(&two, from, sizeof two);
    return _mm256_set1_epi32(two);
}
/* In assembler for the same reason. */
#define ADD(sums, same, weights) __asm__("vpaddd %1, %0, %0" : "+x"(sums) : "x"(_mm256_madd_epi16(same, weights)))
INLINE void floats(Sums sums, float *to)
{
    _mm256_storeu_ps(to, _mm256_cvtepi32_ps(sums));
}
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t Sums;
#define SUMS 4
#define START(panel_shift, part) vdupq_n_s32(0)
#define WEIGHTS(panel, part) vld1q_s8((panel) + (part) * 16)
typedef int8x16_t Weights;
typedef int8x16_t Same;
INLINE Same same(const Activation *from)
{
    int32_t four;
    memcpy(&four, from, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
#define ADD(sums, same, weights) sums = vdotq_s32(sums, same, weights)
INLINE void floats(Sums sums, float *to)
{
    vst1q_f32(to, vcvtq_f32_s32(sums));
}
#elif defined(__ARM_NEON)
typedef int32x4_t Sums;
#define SUMS 4
#define START(panel_shift, part) vdupq_n_s32(0)
#define WEIGHTS(panel, part) vld1_s8((panel) + (part) * 8)
typedef int8x8_t Weights;
typedef int8x8_t Same;
INLINE Same same(const Activation *from)
{
    int16_t two;
    memcpy(&two, from, sizeof two);
    return vreinterpret_s8_s16(vdup_n_s16(two));
}
#define ADD(sums, same, weights) sums = vpadalq_s16(sums, vmull_s8(same, weights))
INLINE void floats(Sums sums, float *to)
{
    vst1q_f32(to, vcvtq_f32_s32(sums));
}
#else
typedef int32_t Sums __attribute__((vector_size(16)));
#define SUMS 4
#define START(panel_shift, part) (Sums){0}
typedef struct { Sums first, second; } Weights; /* of either input */
typedef struct { int32_t first, second; } Same;
INLINE Weights weights_at(const int8_t *from)
{
    return (Weights){{from[0], from[2], from[4], from[6]}, {from[1], from[3], from[5], from[7]}};
}
#define WEIGHTS(panel, part) weights_at((panel) + (part) * 8)
INLINE Same same(const Activation *from)
{
    return (Same){from[0], from[1]};
}
#define ADD(sums, same, weights) sums += (same).first * (weights).first + (same).second * (weights).second
INLINE void floats(Sums sums, float *to)
{
    for (int lane = 0; lane < SUMS; lane++) to[lane] = (float)sums[lane];
}
#endif

#define PARTS (PANEL / SUMS)
#ifndef BLOCK
#define BLOCK (24 / TILE * TILE) /* rows whose outputs are written side by side, so that caches fetch them ahead */
#endif

/* The `left` first outputs of a row's panel: its sums with scales and bias, none below `least`. */
INLINE void finish(float *values, float step, const float *scales, const float *bias, float *out, int64_t left, float least)
{
    for (int at = 0; at < PANEL; at += LANES) {
        Lanes some = load(values + at) * (load(scales + at) * step) + load(bias + at);
        Bits low = some < least; /* NaN stays */
        some = (Lanes)((low & (Bits)all(least)) | (~low & (Bits)some));
        memcpy(values + at, &some, sizeof some);
    }
    if (left >= PANEL)
        memcpy(out, values, PANEL * sizeof *values);
    else
        memcpy(out, values, left * sizeof *values);
}

/* Sums are variables of their own: compilers keep an array of them in memory. */
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
        Same activation = same(activations + row * inputs + at); \
        EACH_PART(ADD_PART, row) \
    }
#define FLOATS_PART(row, part) floats(sums##row##_##part, values + part * SUMS);
#define FINISH_ROW(row) \
    if (row < rows) { \
        EACH_PART(FLOATS_PART, row) \
        finish(values, steps[row], scales, bias, out + row * outputs, left, least); \
    }

/* The products of `rows` rows, at most TILE and a number known to the compiler, with one panel; `left` outputs of it. */
INLINE void tile(const int rows, const Activation *activations, const int8_t *panel, const int32_t *shift,
                 const float *scales, const float *bias, const float *steps, float *out, int64_t inputs, int64_t outputs,
                 int64_t left, float least)
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

/* x (rows, inputs) with weights (outputs, inputs) in bytes, laid out as int8_panel and int8_depth say, to out (rows,
 * outputs). shift: minus ZERO times the sum of an output's weights, of use where ZERO is not 0; shift, scales and bias are
 * as long as the panels together. inputs is a multiple of UNIT. What is below `least` becomes it. Gives 1 where there is
 * no memory. */
int EXPORT(linear_int8)(const float *x, const int8_t *weights, const int32_t *shift, const float *scales, const float *bias,
                        float *out, int64_t rows, int64_t inputs, int64_t outputs, float least)
{
    Activation *activations = malloc(rows * inputs * sizeof *activations);
    float *steps = malloc(rows * sizeof *steps);
    if (!activations || !steps) return free(activations), free(steps), 1;
    for (int64_t row = 0; row < rows; row++) steps[row] = rounded(x + row * inputs, inputs, activations + row * inputs);
    for (int64_t block = 0; block < rows; block += BLOCK)
        for (int64_t first = 0; first < outputs; first += PANEL) {
            const int8_t *panel = weights + first * inputs;
            int64_t end = block + BLOCK < rows ? block + BLOCK : rows;
            for (int64_t row = block; row < end;) {
                int64_t remaining = end - row;
#define ROWS(n) tile(n, activations + row * inputs, panel, shift + first, scales + first, bias + first, steps + row, \
                     out + row * outputs + first, inputs, outputs, outputs - first, least), row += n
                if (remaining >= TILE) ROWS(TILE);
#if TILE > 8
                else if (remaining >= 8) ROWS(8);
#endif
#if TILE > 4
                else if (remaining >= 4) ROWS(4);
#endif
                else if (remaining >= 2) ROWS(2);
                else ROWS(1);
            }
        }
    free(activations), free(steps);
    return 0;
}
