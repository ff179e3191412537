/* Linear layers in 8 bits. The integer sums are exact on every level, so all levels give the same result.
 *
 * On x86, activations are stored as unsigned bytes, value + ZERO, and `shift` subtracts ZERO times the weights. With VNNI
 * (AVX-512 or AVX), vpdpbusd adds four products of unsigned and signed bytes in 32 bits. AVX2 adds four products in 16 bits:
 * vpmaddubsw two, and vpaddw two of these. The sums are at most 255 x 128 if the positive weights of such four inputs add up
 * to at most 128, and the negative ones, too. Callers guarantee that (nn/int8.py), on every level. On ARM, activations keep
 * their sign, and NEON computes products of two inputs in 16 bits, each at most 127 x 127.
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
#elif defined(__AVX2__)
#define PANEL 16
#define DEPTH 4
#define STEP 8
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
#ifndef STEP
#define STEP DEPTH
#endif
typedef int8_t Weight;

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
#define START(panel, part) _mm512_loadu_si512((panel)->shift + (part) * SUMS)
#define WEIGHTS(from, part) _mm512_loadu_si512((from) + (part) * 64)
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
#define START(panel, part) _mm256_loadu_si256((const __m256i *)((panel)->shift + (part) * SUMS))
INLINE __m256i repeat_four(const Activation *in)
{
    int32_t four;
    memcpy(&four, in, sizeof four);
    return _mm256_set1_epi32(four);
}
/* The sums are added in assembly for the same reason. */
#if defined(__AVXVNNI__)
typedef __m256i Weights;
typedef __m256i Repeated;
#define repeat repeat_four
#define WEIGHTS(from, part) _mm256_loadu_si256((const __m256i *)((from) + (part) * 32))
#define ADD(sums, repeat, weights) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(repeat), "x"(weights))
#else
typedef const int8_t *Weights; /* in memory, for lack of registers */
typedef struct { __m256i first, second; } Repeated;
INLINE Repeated repeat(const Activation *in)
{
    return (Repeated){repeat_four(in), repeat_four(in + 4)};
}
INLINE __m256i products(Repeated repeated, Weights weights)
{
    __m256i first = _mm256_maddubs_epi16(repeated.first, _mm256_loadu_si256((const __m256i *)weights));
    __m256i second = _mm256_maddubs_epi16(repeated.second, _mm256_loadu_si256((const __m256i *)(weights + PANEL * DEPTH)));
    return _mm256_madd_epi16(_mm256_add_epi16(first, second), _mm256_set1_epi16(1));
}
#define WEIGHTS(from, part) ((from) + (part) * 32)
#define ADD(sums, repeat, weights) __asm__("vpaddd %1, %0, %0" : "+x"(sums) : "x"(products(repeat, weights)))
#endif
INLINE void floats(Sums sums, float *out)
{
    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(sums));
}
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t Sums;
#define SUMS 4
#define START(panel, part) vdupq_n_s32(0)
#define WEIGHTS(from, part) vld1q_s8((from) + (part) * 16)
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
#define START(panel, part) vdupq_n_s32(0)
#define WEIGHTS(from, part) vld1_s8((from) + (part) * 8)
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
#define START(panel, part) (Sums){0}
typedef struct { Sums first, second; } Weights; /* of either input */
typedef struct { int32_t first, second; } Repeated;
INLINE Weights weights_at(const int8_t *in)
{
    return (Weights){{in[0], in[2], in[4], in[6]}, {in[1], in[3], in[5], in[7]}};
}
#define WEIGHTS(from, part) weights_at((from) + (part) * 8)
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

/* What belongs to the weights of a panel, and the steps of the rows. */
typedef struct {
    const int8_t *weights;
    const int32_t *shift;
    const float *scales, *bias, *steps;
    float minimum;
} Panel;

INLINE Panel panel_at(Panel panel, int64_t first, int64_t row, int64_t inputs)
{
    return (Panel){panel.weights + first * inputs, panel.shift + first, panel.scales + first, panel.bias + first,
                   panel.steps + row, panel.minimum};
}

INLINE Lanes finish(Lanes sums, const Panel *panel, int row, int at)
{
    return sums * (load(panel->scales + at) * panel->steps[row]) + load(panel->bias + at);
}

#include "tile.h"

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
    multiply(activations, (Panel){weights, shift, scales, bias, steps, minimum}, out, rows, inputs, outputs);
    free(activations), free(steps);
    return 0;
}
