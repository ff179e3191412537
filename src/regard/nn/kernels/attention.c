/* Attention to whole sequences and its gradient, in C: softmax(Q K^T / sqrt(width)) V for each sentence and head.
 *
 * Q and its gradient (sentences, rows, heads, width), K and V and theirs (sentences, columns, heads, width), results and
 * their gradient (sentences, rows, heads, width), weights (sentences, heads, rows, full), where `full` is `columns`
 * rounded up to LANES and what is beyond them is 0. width is a multiple of LANES. Strides, of K and V alone, count floats:
 * from sentence to sentence and from position to position.
 */
#include "lanes.h"

#define MOST 24 /* sums in registers */

/* out (rows, count x LANES) = the sum over k < depth of left[row, k] right[k, :], by blocks that fit in registers. */
INLINE void block(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                  float *out, int64_t out_row, int64_t depth, const int rows, const int count)
{
    Lanes sums[MOST], some[4];
    UNROLL for (int place = 0; place < rows * count; place++) sums[place] = (Lanes){0};
    for (int64_t deep = 0; deep < depth; deep++) {
        UNROLL for (int part = 0; part < count; part++) some[part] = load(right + deep * right_deep + part * LANES);
        UNROLL for (int row = 0; row < rows; row++) {
            float factor = left[row * left_row + deep * left_deep];
            UNROLL for (int part = 0; part < count; part++) sums[row * count + part] += factor * some[part];
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < count; part++)
            memcpy(out + row * out_row + part * LANES, &sums[row * count + part], sizeof *sums);
}

#define BLOCKS(rows, count) \
    for (; row + rows <= all_rows; row += rows) \
        block(left + row * left_row, left_row, left_deep, right, right_deep, out + row * out_row, out_row, depth, rows, count);

static void product4(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(6, 4) BLOCKS(4, 4) BLOCKS(2, 4) BLOCKS(1, 4)
}

static void product2(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(8, 2) BLOCKS(4, 2) BLOCKS(2, 2) BLOCKS(1, 2)
}

static void product1(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(16, 1) BLOCKS(8, 1) BLOCKS(4, 1) BLOCKS(2, 1) BLOCKS(1, 1)
}

/* As block, for any rows and any width that is a multiple of LANES. */
static void product(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                    float *out, int64_t out_row, int64_t depth, int64_t rows, int64_t width)
{
    int64_t at = 0;
    for (; at + 4 * LANES <= width; at += 4 * LANES)
        product4(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
    for (; at + 2 * LANES <= width; at += 2 * LANES)
        product2(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
    for (; at < width; at += LANES)
        product1(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
}

/* LANES rows of LANES values to columns, in place: in each round, blocks of so many change places across the diagonal. */
#define LOW(lane, size) ((lane) & (size) ? LANES + (lane) - (size) : (lane))
#define HIGH(lane, size) ((lane) & (size) ? LANES + (lane) : (lane) + (size))
#define ROUND(size) \
    UNROLL for (int row = 0; row < LANES; row++) \
        if (!(row & size)) { \
            Lanes one = rows[row], other = rows[row + size]; \
            rows[row] = SHUFFLED(one, other, LOW, size); \
            rows[row + size] = SHUFFLED(one, other, HIGH, size); \
        }

INLINE void transpose(Lanes rows[LANES])
{
    ROUND(1) ROUND(2) ROUND(4) ROUND(8)
}

/* Vectors (columns, width) of one head to (width, full), with 0 in columns that are none. */
INLINE void turn(const float *from, int64_t step, int64_t columns, int64_t full, int64_t width, float *to)
{
    for (int64_t column = 0; column < full; column += LANES)
        for (int64_t deep = 0; deep < width; deep += LANES) {
            Lanes rows[LANES];
            if (column + LANES <= columns)
                UNROLL for (int row = 0; row < LANES; row++) rows[row] = load(from + (column + row) * step + deep);
            else
                UNROLL for (int row = 0; row < LANES; row++)
                    rows[row] = column + row < columns ? load(from + (column + row) * step + deep) : (Lanes){0};
            transpose(rows);
            UNROLL for (int row = 0; row < LANES; row++) memcpy(to + (deep + row) * full + column, rows + row, sizeof *rows);
        }
}

/* Which of the columns (full) there are, as all bits or none. mask: bytes, 0 where nothing is, or none. */
INLINE void look(const uint8_t *mask, int64_t columns, int64_t full, int32_t *there)
{
    for (int64_t column = 0; column < full; column++) there[column] = column < columns && (!mask || mask[column]) ? -1 : 0;
}

/* Products (rows, full) to weights, each row over the columns that are there, and where causal over none behind it. */
INLINE void softmax(float *scores, int64_t rows, int64_t full, const int32_t *there, int causal, float scale)
{
    Bits lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
    for (int64_t row = 0; row < rows; row++, scores += full) {
        Lanes most = all(-INFINITY), sums = {0};
        for (int64_t at = 0; at < full; at += LANES) {
            Bits seen;
            memcpy(&seen, there + at, sizeof seen);
            if (causal) seen &= lanes + (int32_t)at <= (int32_t)row;
            Lanes some = (Lanes)((seen & (Bits)(load(scores + at) * scale)) | (~seen & (Bits)all(-INFINITY)));
            most = larger(some, most);
            memcpy(scores + at, &some, sizeof some);
        }
        most = all(most_of(most));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes some = load(scores + at);
            Bits seen = ~(some == all(-INFINITY));
            some = (Lanes)(seen & (Bits)exponentials(some - most));
            sums += some;
            memcpy(scores + at, &some, sizeof some);
        }
        Lanes share = all(1 / sum_of(sums));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes some = load(scores + at) * share;
            memcpy(scores + at, &some, sizeof some);
        }
    }
}

/* Sentences `first` to `end`. mask (sentences, columns), of bytes, or none. Gives 1 where there is no memory. */
int attention(const float *queries, const float *keys, const float *values, const uint8_t *mask, float *weights, float *out,
              int64_t first, int64_t end, int64_t rows, int64_t columns, int64_t heads, int64_t width,
              int64_t key_sentence, int64_t key_step, int64_t value_sentence, int64_t value_step, int64_t mask_sentence,
              int causal)
{
    int64_t full = (columns + LANES - 1) / LANES * LANES, across = heads * width;
    float scale = 1 / sqrtf(width);
    float *turned = aligned_alloc(64, (width + 1) * full * sizeof *turned);
    if (!turned) return 1;
    int32_t *there = (int32_t *)(turned + width * full);
    for (int64_t sentence = first; sentence < end; sentence++) {
        look(mask ? mask + sentence * mask_sentence : 0, columns, full, there);
        for (int64_t head = 0; head < heads; head++) {
            float *weight = weights + (sentence * heads + head) * rows * full;
            int64_t place = sentence * rows * across + head * width;
            turn(keys + sentence * key_sentence + head * width, key_step, columns, full, width, turned);
            product(queries + place, across, 1, turned, full, weight, full, width, rows, full);
            softmax(weight, rows, full, there, causal, scale);
            product(weight, full, 1, values + sentence * value_sentence + head * width, value_step, out + place, across,
                    columns, rows, width);
        }
    }
    free(turned);
    return 0;
}

/* Gradients of weights (rows, full) before their softmax, times `scale`, from those behind it, in place. */
INLINE void softmax_gradient(float *change, const float *weight, int64_t rows, int64_t full, float scale)
{
    for (int64_t row = 0; row < rows; row++, change += full, weight += full) {
        Lanes sums = {0};
        for (int64_t at = 0; at < full; at += LANES) sums += load(change + at) * load(weight + at);
        Lanes shared = all(sum_of(sums));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes some = (load(change + at) - shared) * load(weight + at) * scale;
            memcpy(change + at, &some, sizeof some);
        }
    }
}

/* What the gradient of the results makes of those of queries, keys and values; sentences `first` to `end`. The gradients
 * of keys and values have strides of their own. Gives 1 where there is no memory. */
int attention_gradient(const float *change, const float *queries, const float *keys, const float *values, const float *weights,
                       float *query_change, float *key_change, float *value_change,
                       int64_t first, int64_t end, int64_t rows, int64_t columns, int64_t heads, int64_t width,
                       int64_t key_sentence, int64_t key_step, int64_t value_sentence, int64_t value_step,
                       int64_t change_sentence, int64_t change_step)
{
    int64_t full = (columns + LANES - 1) / LANES * LANES, across = heads * width;
    float scale = 1 / sqrtf(width);
    float *turned = aligned_alloc(64, (width + rows) * full * sizeof *turned);
    if (!turned) return 1;
    float *scores = turned + width * full;
    for (int64_t sentence = first; sentence < end; sentence++)
        for (int64_t head = 0; head < heads; head++) {
            const float *weight = weights + (sentence * heads + head) * rows * full;
            int64_t place = sentence * rows * across + head * width;
            int64_t put = sentence * change_sentence + head * width;
            product(weight, 1, full, change + place, across, value_change + put, change_step, rows, columns, width);
            turn(values + sentence * value_sentence + head * width, value_step, columns, full, width, turned);
            product(change + place, across, 1, turned, full, scores, full, width, rows, full);
            softmax_gradient(scores, weight, rows, full, scale);
            product(scores, full, 1, keys + sentence * key_sentence + head * width, key_step, query_change + place, across,
                    columns, rows, width);
            product(scores, 1, full, queries + place, across, key_change + put, change_step, rows, columns, width);
        }
    free(turned);
    return 0;
}
