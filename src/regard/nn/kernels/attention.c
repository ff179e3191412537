/* Attention among whole sequences and its gradient, in C: softmax(Q K^T / sqrt(width)) V for each sequence and head.
 *
 * Sequences lie without padding one behind another. Those of queries begin with the rows `row_starts` and those of keys and
 * values with `column_starts`, where the last one has its end behind its beginning. Q, its gradient, results and theirs
 * are (rows in all, heads, width), K and V and theirs (columns in all, heads, width) with `step`s of floats from one
 * position to the next. Weights are (heads, rows, full) for each sequence, one behind another, where `full` is its columns
 * rounded up to UNIT and what is beyond them is 0. width is a multiple of UNIT.
 */
#include "lanes.h"

#define MOST 24 /* sums in registers, at most */

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

#if REGISTERS == 32
static void product4(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(6, 4) BLOCKS(4, 4) BLOCKS(2, 4) BLOCKS(1, 4)
}
#endif

static void product2(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
#if REGISTERS == 32
    BLOCKS(8, 2)
#else
    BLOCKS(6, 2)
#endif
    BLOCKS(4, 2) BLOCKS(2, 2) BLOCKS(1, 2)
}

#if LANES == UNIT /* otherwise every width is an even number of vectors */
static void product1(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(16, 1) BLOCKS(8, 1) BLOCKS(4, 1) BLOCKS(2, 1) BLOCKS(1, 1)
}
#endif

/* As block, for any rows and any width that is a multiple of UNIT. */
static void product(const float *left, int64_t left_row, int64_t left_deep, const float *right, int64_t right_deep,
                    float *out, int64_t out_row, int64_t depth, int64_t rows, int64_t width)
{
    int64_t at = 0;
#if REGISTERS == 32
    for (; at + 4 * LANES <= width; at += 4 * LANES)
        product4(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
#endif
    for (; at + 2 * LANES <= width; at += 2 * LANES)
        product2(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
#if LANES == UNIT
    for (; at < width; at += LANES)
        product1(left, left_row, left_deep, right + at, right_deep, out + at, out_row, depth, rows);
#endif
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
    ROUND(1) ROUND(2)
#if LANES >= 8
    ROUND(4)
#endif
#if LANES == 16
    ROUND(8)
#endif
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

/* Products (rows, full) to weights, each row over the columns, and where causal over none behind it. */
INLINE void softmax(float *scores, int64_t rows, int64_t columns, int64_t full, int causal, float scale)
{
    Bits lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
    for (int64_t row = 0; row < rows; row++, scores += full) {
        int32_t end = (int32_t)(causal && row < columns ? row + 1 : columns);
        Lanes most = all(-INFINITY), sums = {0};
        for (int64_t at = 0; at < full; at += LANES) {
            Bits seen = lanes + (int32_t)at < end;
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

/* Where a sequence's queries and keys are. */
typedef struct { int64_t row, rows, column, columns, full; } Part;

INLINE Part part_of(const int64_t *row_starts, const int64_t *column_starts, int64_t sequence)
{
    int64_t columns = column_starts[sequence + 1] - column_starts[sequence];
    return (Part){row_starts[sequence], row_starts[sequence + 1] - row_starts[sequence], column_starts[sequence], columns,
                  (columns + UNIT - 1) / UNIT * UNIT};
}

/* Where the weights of sequence `first` begin; the most columns, rounded up, and the most rows of those to `end`. */
static int64_t look(const int64_t *row_starts, const int64_t *column_starts, int64_t first, int64_t end, int64_t heads,
                    int64_t *full, int64_t *rows)
{
    int64_t before = 0;
    *full = UNIT, *rows = 1;
    for (int64_t sequence = 0; sequence < end; sequence++) {
        Part part = part_of(row_starts, column_starts, sequence);
        if (sequence < first) {
            before += heads * part.rows * part.full;
            continue;
        }
        *full = part.full > *full ? part.full : *full;
        *rows = part.rows > *rows ? part.rows : *rows;
    }
    return before;
}

/* Sequences `first` to `end`. A row that sees no column becomes NaN. Gives 1 where there is no memory. */
int EXPORT(attention)(const float *queries, const float *keys, const float *values, float *weights, float *out,
              const int64_t *row_starts, const int64_t *column_starts, int64_t first, int64_t end, int64_t heads,
              int64_t width, int64_t key_step, int64_t value_step, int causal)
{
    int64_t across = heads * width, most, rows;
    float scale = 1 / sqrtf(width);
    int64_t weight = look(row_starts, column_starts, first, end, heads, &most, &rows);
    float *turned = aligned_alloc(64, width * most * sizeof *turned);
    if (!turned) return 1;
    for (int64_t sequence = first; sequence < end; sequence++) {
        Part part = part_of(row_starts, column_starts, sequence);
        for (int64_t head = 0; head < heads; head++, weight += part.rows * part.full) {
            int64_t place = part.row * across + head * width;
            turn(keys + part.column * key_step + head * width, key_step, part.columns, part.full, width, turned);
            product(queries + place, across, 1, turned, part.full, weights + weight, part.full, width, part.rows, part.full);
            softmax(weights + weight, part.rows, part.columns, part.full, causal, scale);
            product(weights + weight, part.full, 1, values + part.column * value_step + head * width, value_step, out + place,
                    across, part.columns, part.rows, width);
            if (part.columns) continue;
            for (int64_t row = 0; row < part.rows; row++)
                for (int64_t at = 0; at < width; at++) out[place + row * across + at] = NAN;
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

/* What the gradient of the results makes of those of queries, keys and values; sequences `first` to `end`. The gradients
 * of keys and values have a step of their own. Gives 1 where there is no memory. */
int EXPORT(attention_gradient)(const float *change, const float *queries, const float *keys, const float *values, const float *weights,
                       float *query_change, float *key_change, float *value_change, const int64_t *row_starts,
                       const int64_t *column_starts, int64_t first, int64_t end, int64_t heads, int64_t width,
                       int64_t key_step, int64_t value_step, int64_t change_step)
{
    int64_t across = heads * width, most, rows;
    float scale = 1 / sqrtf(width);
    int64_t at = look(row_starts, column_starts, first, end, heads, &most, &rows);
    float *turned = aligned_alloc(64, (width + rows) * most * sizeof *turned);
    if (!turned) return 1;
    float *scores = turned + width * most;
    for (int64_t sequence = first; sequence < end; sequence++) {
        Part part = part_of(row_starts, column_starts, sequence);
        int64_t full = part.full, columns = part.columns;
        rows = part.rows;
        for (int64_t head = 0; head < heads; head++, at += rows * full) {
            const float *weight = weights + at;
            int64_t place = part.row * across + head * width, put = part.column * change_step + head * width;
            product(weight, 1, full, change + place, across, value_change + put, change_step, rows, columns, width);
            turn(values + part.column * value_step + head * width, value_step, columns, full, width, turned);
            product(change + place, across, 1, turned, full, scores, full, width, rows, full);
            softmax_gradient(scores, weight, rows, full, scale);
            product(scores, full, 1, keys + part.column * key_step + head * width, key_step, query_change + place, across,
                    columns, rows, width);
            product(scores, 1, full, queries + place, across, key_change + put, change_step, rows, columns, width);
        }
    }
    free(turned);
    return 0;
}
