/* What search on a CPU does at every step, in C: one row's results depend on no other row.
 *
 * Built by regard.nn.native with the machine's own compiler. All arrays are dense float unless a stride is
 * given; strides count elements. Sums run in LANES columns, so that a compiler may keep them in one register.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

#define LANES 16
#define DEEP 16 /* logits of which one maximum is taken */
#define INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float Half __attribute__((vector_size(2 * LANES)));
typedef float Quarter __attribute__((vector_size(LANES)));

INLINE Lanes load(const float *from)
{
    Lanes lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

INLINE Lanes all(float value)
{
    Lanes lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = value;
    return lanes;
}

INLINE Lanes larger(Lanes one, Lanes other)
{
    Bits first = one > other;
    return (Lanes)((first & (Bits)one) | (~first & (Bits)other));
}

/* e^x for x <= 0 within two units in the last place; not a number for what is none. */
INLINE float exponential(float x)
{
    x = x < -87.0f ? -87.0f : x;
    float power = rintf(x * 1.44269504f);
    float rest = x - power * 0.693359375f + power * 2.12194440e-4f;
    float series = 1.0f / 720;
    series = series * rest + 1.0f / 120;
    series = series * rest + 1.0f / 24;
    series = series * rest + 1.0f / 6;
    series = series * rest + 0.5f;
    series = series * rest * rest + rest + 1.0f;
    union { int32_t bits; float value; } scale = {((int32_t)power + 127) << 23};
    return series * scale.value;
}

INLINE float sum_of(Lanes lanes)
{
    Half half[2];
    Quarter quarter[2];
    memcpy(half, &lanes, sizeof lanes);
    half[0] += half[1];
    memcpy(quarter, half, sizeof *half);
    quarter[0] += quarter[1];
    return (quarter[0][0] + quarter[0][1]) + (quarter[0][2] + quarter[0][3]);
}

INLINE float most_of(Lanes lanes)
{
    Half half[2];
    memcpy(half, &lanes, sizeof lanes);
    float most = -INFINITY;
    for (int lane = 0; lane < LANES / 2; lane++) {
        float one = half[0][lane] > half[1][lane] ? half[0][lane] : half[1][lane];
        most = one > most ? one : most;
    }
    return most;
}

INLINE float most_in(const float *values, int64_t count)
{
    Lanes lanes = all(-INFINITY);
    int64_t place = 0;
    for (; place + LANES <= count; place += LANES) lanes = larger(load(values + place), lanes);
    float most = most_of(lanes);
    for (; place < count; place++) most = values[place] > most ? values[place] : most;
    return most;
}

/* The sum of e^(value - most). */
INLINE float sum_of_exponentials(const float *values, int64_t count, float most)
{
    Lanes lanes = {0};
    int64_t place = 0;
    for (; place + LANES <= count; place += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += exponential(values[place + lane] - most);
    float sum = sum_of(lanes);
    for (; place < count; place++) sum += exponential(values[place] - most);
    return sum;
}

/* Puts a value and its column in its place among the `found` best so far, of which `count` are kept. */
INLINE int64_t insert(float value, int64_t column, float *values, int64_t *columns, int64_t found, int64_t count)
{
    int64_t place = found < count ? found++ : count - 1;
    for (; place > 0 && (value > values[place - 1] || (value == values[place - 1] && column < columns[place - 1])); place--) {
        values[place] = values[place - 1];
        columns[place] = columns[place - 1];
    }
    values[place] = value;
    columns[place] = column;
    return found;
}

/* The largest of the columns at + lane, at + lane + LANES and so on, DEEP of them inside the row, for each lane. */
INLINE Lanes deep_maxima(const float *logits, int64_t at, int64_t width)
{
    Lanes most = all(-INFINITY);
    int64_t end = at + LANES * DEEP < width ? at + LANES * DEEP : width;
    for (; at + LANES <= end; at += LANES) most = larger(load(logits + at), most);
    for (int lane = 0; at + lane < end; lane++) most[lane] = logits[at + lane] > most[lane] ? logits[at + lane] : most[lane];
    return most;
}

/* The `count` largest of each row of logits (rows, width) from column `first` on, the earlier among equals first, as
 * log-probabilities (rows, count) and columns; all columns have their share of the probability. 1 <= count <= width -
 * first, first <= LANES. Gives 1 where there is no memory.
 *
 * The count-th largest of the maxima of parts of a row is not above the count-th largest of the row: only parts with
 * a maximum as large are looked through. */
int best_tokens(const float *logits, int64_t rows, int64_t width, int64_t first, int64_t count, float *values,
                int64_t *columns)
{
    float *maxima = malloc((width / DEEP + LANES) * sizeof *maxima);
    if (!maxima) return 1;
    for (int64_t row = 0; row < rows; row++, logits += width, values += count, columns += count) {
        float most = most_in(logits, first);
        int64_t parts = 0, found = 0;
        for (int64_t at = first; at < width; at += LANES * DEEP, parts += LANES) {
            Lanes some = deep_maxima(logits, at, width);
            memcpy(maxima + parts, &some, sizeof some);
        }
        for (int64_t part = 0; part < parts; part++)
            if (found < count || maxima[part] > values[count - 1])
                found = insert(maxima[part], part, values, columns, found, count);
        most = values[0] > most ? values[0] : most;
        float total = most + logf(sum_of_exponentials(logits, width, most));
        float least = found == count ? values[count - 1] : -INFINITY;
        found = 0;
        for (int64_t part = 0; part < parts; part++) {
            if (!(maxima[part] >= least)) continue;
            int64_t at = first + part / LANES * LANES * DEEP + part % LANES;
            for (int64_t deep = 0; deep < DEEP && at < width; deep++, at += LANES)
                if (found < count || logits[at] >= values[count - 1])
                    if (found < count || logits[at] > values[count - 1] || at < columns[count - 1])
                        found = insert(logits[at], at, values, columns, found, count);
        }
        for (int64_t place = 0; place < count; place++) values[place] -= total;
    }
    free(maxima);
    return 0;
}

#define WIDE 4 /* registers of one query, or of one mean, that are kept side by side */

/* The sum of `parts` registers of products. */
INLINE Lanes products(const int parts, const float *one, const float *other)
{
    Lanes sums[WIDE];
    for (int part = 0; part < parts; part++) sums[part] = load(one + part * LANES) * load(other + part * LANES);
    for (int part = 1; part < parts; part++) sums[0] += sums[part];
    return sums[0];
}

/* `parts` registers of the mean of the values (slots apart, ...), weighted by scores that sum up to `sum`. */
INLINE void weighted(const int parts, const float *values, const int32_t *seen, int64_t count, const float *scores,
                     float sum, float *mean, int64_t value_slot)
{
    Lanes sums[WIDE];
    for (int part = 0; part < parts; part++) sums[part] = all(0);
    for (int64_t one = 0; one < count; one++) {
        const float *value = values + seen[one] * value_slot;
        for (int part = 0; part < parts; part++) sums[part] += scores[one] * load(value + part * LANES);
    }
    for (int part = 0; part < parts; part++) {
        sums[part] /= sum;
        memcpy(mean + part * LANES, &sums[part], sizeof *sums);
    }
}

/* One query over the keys and values (slots apart, width) of the `count` slots that it sees, to their mean. scores has
 * room for count + LANES. */
INLINE void attend_one(const float *query, const float *keys, const float *values, const int32_t *seen, int64_t count,
                       float *mean, int64_t width, int64_t key_slot, int64_t value_slot, float *scores)
{
    float scale = 1.0f / sqrtf((float)width);
    for (int64_t one = 0; one < count; one++) {
        const float *key = keys + seen[one] * key_slot;
        Lanes sums = {0};
        int64_t at = 0;
        for (; at + WIDE * LANES <= width; at += WIDE * LANES) sums += products(WIDE, query + at, key + at);
        for (; at < width; at += LANES) sums += products(1, query + at, key + at);
        scores[one] = sum_of(sums) * scale;
    }
    int64_t end = (count + LANES - 1) / LANES * LANES;
    for (int64_t one = count; one < end; one++) scores[one] = -INFINITY;
    float most = most_in(scores, end);
    Lanes sums = {0};
    for (int64_t one = 0; one < end; one += LANES) {
        for (int lane = 0; lane < LANES; lane++) scores[one + lane] = exponential(scores[one + lane] - most);
        sums += load(scores + one);
    }
    float sum = sum_of(sums);
    int64_t at = 0;
    for (; at + WIDE * LANES <= width; at += WIDE * LANES)
        weighted(WIDE, values + at, seen, count, scores, sum, mean + at, value_slot);
    for (; at < width; at += LANES) weighted(1, values + at, seen, count, scores, sum, mean + at, value_slot);
}

/* Queries (sentences, rows, heads, width) over keys and values (sentences, slots, groups, width), whose sentences and
 * slots lie some strides apart, to means (sentences, rows, heads, width). Each group serves heads / groups heads
 * that follow one another. mask: null, or bytes that tell which slots a row sees. width is a multiple of LANES.
 * Gives 1 where there is no memory. */
int attend(const float *queries, const float *keys, const float *values, const uint8_t *mask, float *means,
           int64_t sentences, int64_t rows, int64_t slots, int64_t heads, int64_t groups, int64_t width,
           int64_t key_sentence, int64_t key_slot, int64_t value_sentence, int64_t value_slot, int64_t mask_sentence,
           int64_t mask_row)
{
    float *scores = malloc((slots + LANES) * sizeof *scores);
    int32_t *seen = malloc(rows * slots * sizeof *seen + 1);
    int64_t *counts = malloc(rows * sizeof *counts);
    int failed = !scores || !seen || !counts;
    for (int64_t sentence = 0; sentence < sentences && !failed; sentence++) {
        for (int64_t row = 0; row < rows; row++) {
            const uint8_t *visible = mask ? mask + sentence * mask_sentence + row * mask_row : 0;
            int64_t count = 0;
            for (int64_t slot = 0; slot < slots; slot++) {
                seen[row * slots + count] = (int32_t)slot;
                count += !visible || visible[slot];
            }
            counts[row] = count;
        }
        for (int64_t head = 0; head < heads; head++) { /* outside, so that its keys stay near for all rows */
            int64_t group = head * groups / heads * width;
            for (int64_t row = 0; row < rows; row++) {
                int64_t at = ((sentence * rows + row) * heads + head) * width;
                attend_one(queries + at, keys + sentence * key_sentence + group, values + sentence * value_sentence + group,
                           seen + row * slots, counts[row], means + at, width, key_slot, value_slot, scores);
            }
        }
    }
    free(scores), free(seen), free(counts);
    return failed;
}

/* LayerNorm(x + y) * gain + bias of each row (rows, width); width is a multiple of LANES. */
void add_norm(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *out,
              int64_t rows, int64_t width)
{
    for (int64_t row = 0; row < rows; row++, x += width, y += width, out += width) {
        Lanes sums = {0}, squares = {0};
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes both = load(x + at) + load(y + at);
            sums += both;
            memcpy(out + at, &both, sizeof both);
        }
        float mean = sum_of(sums) / width;
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes off = load(out + at) - mean;
            squares += off * off;
        }
        float scale = 1 / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes normal = (load(out + at) - mean) * scale * load(gain + at) + load(bias + at);
            memcpy(out + at, &normal, sizeof normal);
        }
    }
}

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

/* A row in steps of a 127th of its largest value, as bytes; gives the size of a step. */
INLINE float rounded(const float *row, int64_t inputs, uint8_t *bytes)
{
    __m512 most = _mm512_setzero_ps();
    for (int64_t at = 0; at < inputs; at += LANES) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(row + at)));
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

/* The first LANES outputs of a row's sums with their scales and bias, `left` of them at most. */
INLINE void store(__m512i sums, float step, const float *scales, const float *bias, float *out, int64_t left)
{
    __mmask16 kept = left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(scales), _mm512_set1_ps(step));
    _mm512_mask_storeu_ps(out, kept, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, _mm512_loadu_ps(bias)));
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
        store(low##row, steps[row], scales, bias, out + row * outputs, left); \
        store(high##row, steps[row], scales + LANES, bias + LANES, out + row * outputs + LANES, left - LANES); \
    }

/* The products of at most TILE rows, a number known to the compiler, with one panel. */
INLINE void tile(const int rows, const uint8_t *bytes, const int8_t *panel, const int32_t *shift, const float *scales,
                 const float *bias, const float *steps, float *out, int64_t inputs, int64_t outputs, int64_t left)
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
 * panels together. inputs is a multiple of LANES. Gives 1 where there is no memory. */
int linear_int8(const float *x, const int8_t *weights, const int32_t *shift, const float *scales, const float *bias,
                float *out, int64_t rows, int64_t inputs, int64_t outputs)
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
                     out + row * outputs + first, inputs, outputs, outputs - first), row += n
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
