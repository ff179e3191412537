/* Products in 8 bits, on processors with AVX-512 VNNI. */
#include "lanes.h"
#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

/* Whether linear_int8 is there. */
int has_int8(void)
{
#ifdef __AVX512VNNI__
    return 1;
#else
    return 0;
#endif
}

#ifdef __AVX512VNNI__
#define PANEL 32 /* outputs whose sums are kept in registers together */
#define TILE 12  /* rows likewise */
#define LEVELS 127
#define ZERO 128 /* where 0 lies in a byte */

/* A row in steps of a 127th of its largest value, as bytes; gives the size of a step, no number where one of the row
 * is none, so that all that comes of it is none. */
INLINE float rounded(const float *row, int64_t inputs, uint8_t *bytes)
{
    __m512 most = _mm512_setzero_ps();
    __mmask16 sound = 0xffff;
    for (int64_t at = 0; at < inputs; at += LANES) {
        __m512 sizes = _mm512_abs_ps(_mm512_loadu_ps(row + at));
        sound &= _mm512_cmp_ps_mask(sizes, _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
        most = _mm512_max_ps(most, sizes);
    }
    if (sound != 0xffff) return memset(bytes, ZERO, inputs), NAN;
    float step = _mm512_reduce_max_ps(most) / LEVELS;
    step = step > 1e-14f ? step : 1e-14f;
    __m512 steps = _mm512_set1_ps(1 / step);
    for (int64_t at = 0; at < inputs; at += LANES) {
        __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + at), steps));
        whole = _mm512_add_epi32(whole, _mm512_set1_epi32(ZERO));
        _mm_storeu_si128((__m128i *)(bytes + at), _mm512_cvtusepi32_epi8(_mm512_max_epi32(whole, _mm512_setzero_si512())));
    }
    return step;
}

/* The first LANES outputs of a row's sums with their scales and bias, `left` of them at most, none below `least`. */
INLINE void store(__m512i sums, float step, const float *scales, const float *bias, float *out, int64_t left, float least)
{
    __mmask16 kept = left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(scales), _mm512_set1_ps(step));
    __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, _mm512_loadu_ps(bias));
    _mm512_mask_storeu_ps(out, kept, _mm512_max_ps(_mm512_set1_ps(least), sum));
}

/* sums += the products of four bytes each; in assembler, for some compilers move every sum about with the intrinsic. */
#define ADD_PRODUCTS(sums, bytes, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(weights))
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define BEGIN(row) __m512i low##row = _mm512_loadu_si512(shift), high##row = _mm512_loadu_si512(shift + LANES);
#define ADD(row) \
    if (row < rows) { \
        memcpy(&four, bytes + row * inputs + at, 4); \
        same = _mm512_set1_epi32(four); \
        ADD_PRODUCTS(low##row, same, low); \
        ADD_PRODUCTS(high##row, same, high); \
    }
#define STORE(row) \
    if (row < rows) { \
        store(low##row, steps[row], scales, bias, out + row * outputs, left, least); \
        store(high##row, steps[row], scales + LANES, bias + LANES, out + row * outputs + LANES, left - LANES, least); \
    }

/* The products of at most TILE rows, a number known to the compiler, with one panel. */
INLINE void tile(const int rows, const uint8_t *bytes, const int8_t *panel, const int32_t *shift, const float *scales,
                 const float *bias, const float *steps, float *out, int64_t inputs, int64_t outputs, int64_t left,
                 float least)
{
    EACH_ROW(BEGIN)
    for (int64_t at = 0; at < inputs; at += 4, panel += 4 * PANEL) {
        __m512i low = _mm512_loadu_si512(panel), high = _mm512_loadu_si512(panel + 2 * PANEL), same;
        int32_t four;
        EACH_ROW(ADD)
    }
    EACH_ROW(STORE)
}

/* x (rows, inputs) with weights (outputs, inputs) in bytes, laid out as (outputs / PANEL, inputs / 4, PANEL, 4), to out
 * (rows, outputs). shift: minus ZERO times the sum of an output's weights; shift, scales and bias are as long as the
 * panels together. inputs is a multiple of LANES. What is below `least` becomes it. Gives 1 where there is no memory. */
int linear_int8(const float *x, const int8_t *weights, const int32_t *shift, const float *scales, const float *bias,
                float *out, int64_t rows, int64_t inputs, int64_t outputs, float least)
{
    uint8_t *bytes = malloc(rows * inputs);
    float *steps = malloc(rows * sizeof *steps);
    if (!bytes || !steps) return free(bytes), free(steps), 1;
    for (int64_t row = 0; row < rows; row++) steps[row] = rounded(x + row * inputs, inputs, bytes + row * inputs);
    for (int64_t first = 0; first < outputs; first += PANEL) {
        const int8_t *panel = weights + first * inputs;
        for (int64_t row = 0; row < rows;) {
            int64_t left = rows - row;
#define ROWS(n) tile(n, bytes + row * inputs, panel, shift + first, scales + first, bias + first, steps + row, \
                     out + row * outputs + first, inputs, outputs, outputs - first, least), row += n
            if (left >= TILE) ROWS(TILE);
            else if (left >= 8) ROWS(8);
            else if (left >= 4) ROWS(4);
            else if (left >= 2) ROWS(2);
            else ROWS(1);
        }
    }
    free(bytes), free(steps);
    return 0;
}
#endif
