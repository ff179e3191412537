/* Attention within packed sequences, and its gradient: softmax(Q K^T / sqrt(width)) V for each sequence and head.
 *
 * Sequences are stored without padding, one after another. `row_starts` has the first query row of each sequence and the
 * total number of rows, and `column_starts` the same for keys and values. Q, the output and their gradients are (total
 * rows, heads, width). K, V and their gradients are (total columns, heads, width), with a stride (`step`) between positions.
 * Weights are (heads, rows, full) for each sequence in turn, where `full` is its number of columns rounded up to UNIT; the
 * weights beyond the columns are 0. width is a multiple of UNIT.
 */
#include "lanes.h"

#define MAX_SUMS 24 /* sums that fit in registers */

/* out (rows, count x LANES) = the sum over k < depth of a[row, k] b[k, :], for a block that fits in registers. */
INLINE void block(const float *a, int64_t a_row, int64_t a_depth, const float *b, int64_t b_depth,
                  float *out, int64_t out_row, int64_t depth, const int rows, const int count)
{
    Lanes sums[MAX_SUMS], chunk[4];
    UNROLL for (int index = 0; index < rows * count; index++) sums[index] = (Lanes){0};
    for (int64_t k = 0; k < depth; k++) {
        UNROLL for (int part = 0; part < count; part++) chunk[part] = load(b + k * b_depth + part * LANES);
        UNROLL for (int row = 0; row < rows; row++) {
            float factor = a[row * a_row + k * a_depth];
            UNROLL for (int part = 0; part < count; part++) sums[row * count + part] += factor * chunk[part];
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < count; part++)
            memcpy(out + row * out_row + part * LANES, &sums[row * count + part], sizeof *sums);
}

#define BLOCKS(rows, count) \
    for (; row + rows <= all_rows; row += rows) \
        block(a + row * a_row, a_row, a_depth, b, b_depth, out + row * out_row, out_row, depth, rows, count);

#if REGISTERS == 32
static void product4(const float *a, int64_t a_row, int64_t a_depth, const float *b, int64_t b_depth,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(6, 4) BLOCKS(4, 4) BLOCKS(2, 4) BLOCKS(1, 4)
}
#endif

static void product2(const float *a, int64_t a_row, int64_t a_depth, const float *b, int64_t b_depth,
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

#if LANES == UNIT /* on other levels every width is an even number of vectors */
static void product1(const float *a, int64_t a_row, int64_t a_depth, const float *b, int64_t b_depth,
                     float *out, int64_t out_row, int64_t depth, int64_t all_rows)
{
    int64_t row = 0;
    BLOCKS(16, 1) BLOCKS(8, 1) BLOCKS(4, 1) BLOCKS(2, 1) BLOCKS(1, 1)
}
#endif

/* The product of `block` for any number of rows and any width that is a multiple of UNIT. */
static void product(const float *a, int64_t a_row, int64_t a_depth, const float *b, int64_t b_depth,
                    float *out, int64_t out_row, int64_t depth, int64_t rows, int64_t width)
{
    int64_t at = 0;
#if REGISTERS == 32
    for (; at + 4 * LANES <= width; at += 4 * LANES)
        product4(a, a_row, a_depth, b + at, b_depth, out + at, out_row, depth, rows);
#endif
    for (; at + 2 * LANES <= width; at += 2 * LANES)
        product2(a, a_row, a_depth, b + at, b_depth, out + at, out_row, depth, rows);
#if LANES == UNIT
    for (; at < width; at += LANES)
        product1(a, a_row, a_depth, b + at, b_depth, out + at, out_row, depth, rows);
#endif
}

/* Transpose LANES x LANES values in place: each round swaps blocks of `size` across the diagonal. */
#define LOW(lane, size) ((lane) & (size) ? LANES + (lane) - (size) : (lane))
#define HIGH(lane, size) ((lane) & (size) ? LANES + (lane) : (lane) + (size))
#define ROUND(size) \
    UNROLL for (int row = 0; row < LANES; row++) \
        if (!(row & size)) { \
            Lanes a = rows[row], b = rows[row + size]; \
            rows[row] = SHUFFLED(a, b, LOW, size); \
            rows[row + size] = SHUFFLED(a, b, HIGH, size); \
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

/* Transpose the vectors (columns, width) of one head to (width, full), with 0 beyond the columns. */
INLINE void transpose_head(const float *from, int64_t step, int64_t columns, int64_t full, int64_t width, float *to)
{
    for (int64_t column = 0; column < full; column += LANES)
        for (int64_t k = 0; k < width; k += LANES) {
            Lanes rows[LANES];
            if (column + LANES <= columns)
                UNROLL for (int row = 0; row < LANES; row++) rows[row] = load(from + (column + row) * step + k);
            else
                UNROLL for (int row = 0; row < LANES; row++)
                    rows[row] = column + row < columns ? load(from + (column + row) * step + k) : (Lanes){0};
            transpose(rows);
            UNROLL for (int row = 0; row < LANES; row++) memcpy(to + (k + row) * full + column, rows + row, sizeof *rows);
        }
}

/* Replace scores (rows, full) by weights. Each row covers all columns, or if causal those up to its own position. */
INLINE void softmax(float *scores, int64_t rows, int64_t columns, int64_t full, int causal, float scale)
{
    Bits lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
    for (int64_t row = 0; row < rows; row++, scores += full) {
        int32_t end = (int32_t)(causal && row < columns ? row + 1 : columns);
        Lanes largest = broadcast(-INFINITY), sums = {0};
        for (int64_t at = 0; at < full; at += LANES) {
            Bits is_visible = lanes + (int32_t)at < end;
            Lanes chunk = (Lanes)((is_visible & (Bits)(load(scores + at) * scale)) | (~is_visible & (Bits)broadcast(-INFINITY)));
            largest = maximum(chunk, largest);
            memcpy(scores + at, &chunk, sizeof chunk);
        }
        largest = broadcast(max_of(largest));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes chunk = load(scores + at);
            Bits is_visible = ~(chunk == broadcast(-INFINITY));
            chunk = (Lanes)(is_visible & (Bits)exponentials(chunk - largest));
            sums += chunk;
            memcpy(scores + at, &chunk, sizeof chunk);
        }
        Lanes inverse_sum = broadcast(1 / sum_of(sums));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes chunk = load(scores + at) * inverse_sum;
            memcpy(scores + at, &chunk, sizeof chunk);
        }
    }
}

/* The rows and columns of one sequence. */
typedef struct { int64_t row, rows, column, columns, full; } Part;

INLINE Part part_of(const int64_t *row_starts, const int64_t *column_starts, int64_t sequence)
{
    int64_t columns = column_starts[sequence + 1] - column_starts[sequence];
    return (Part){row_starts[sequence], row_starts[sequence + 1] - row_starts[sequence], column_starts[sequence], columns,
                  (columns + UNIT - 1) / UNIT * UNIT};
}

/* Return the index of the first weight of sequence `first`. Set `full` and `rows` to the most that a sequence before `end`
 * has of them. */
static int64_t measure(const int64_t *row_starts, const int64_t *column_starts, int64_t first, int64_t end, int64_t heads,
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

#define LINE 64 /* bytes of a cache line */

/* Return the first address in `block` where a cache line starts. (Windows has no aligned_alloc.) */
INLINE float *aligned(float *block)
{
    return (float *)(((uintptr_t)block + LINE - 1) / LINE * LINE);
}

/* Attend in the sequences from `first` to before `end`. A row without columns becomes NaN. Return 1 if out of memory. */
int EXPORT(attention)(const float *queries, const float *keys, const float *values, float *weights, float *out,
              const int64_t *row_starts, const int64_t *column_starts, int64_t first, int64_t end, int64_t heads,
              int64_t width, int64_t key_step, int64_t value_step, int causal)
{
    int64_t across = heads * width, largest, rows;
    float scale = 1 / sqrtf(width);
    int64_t weight = measure(row_starts, column_starts, first, end, heads, &largest, &rows);
    float *block = malloc(width * largest * sizeof *block + LINE), *transposed = aligned(block);
    if (!block) return 1;
    for (int64_t sequence = first; sequence < end; sequence++) {
        Part part = part_of(row_starts, column_starts, sequence);
        for (int64_t head = 0; head < heads; head++, weight += part.rows * part.full) {
            int64_t index = part.row * across + head * width;
            transpose_head(keys + part.column * key_step + head * width, key_step, part.columns, part.full, width, transposed);
            product(queries + index, across, 1, transposed, part.full, weights + weight, part.full, width, part.rows, part.full);
            softmax(weights + weight, part.rows, part.columns, part.full, causal, scale);
            product(weights + weight, part.full, 1, values + part.column * value_step + head * width, value_step, out + index,
                    across, part.columns, part.rows, width);
            if (part.columns) continue;
            for (int64_t row = 0; row < part.rows; row++)
                for (int64_t at = 0; at < width; at++) out[index + row * across + at] = NAN;
        }
    }
    free(block);
    return 0;
}

/* Replace the gradient of the weights (rows, full) by that of the scores before the softmax, times `scale`. */
INLINE void softmax_gradient(float *gradient, const float *weight, int64_t rows, int64_t full, float scale)
{
    for (int64_t row = 0; row < rows; row++, gradient += full, weight += full) {
        Lanes sums = {0};
        for (int64_t at = 0; at < full; at += LANES) sums += load(gradient + at) * load(weight + at);
        Lanes dot = broadcast(sum_of(sums));
        for (int64_t at = 0; at < full; at += LANES) {
            Lanes chunk = (load(gradient + at) - dot) * load(weight + at) * scale;
            memcpy(gradient + at, &chunk, sizeof chunk);
        }
    }
}

/* Compute the gradients of queries, keys and values from that of the output, in the sequences from `first` to before `end`.
 * The gradients of keys and values have their own stride. Return 1 if out of memory. */
int EXPORT(attention_gradient)(const float *gradient, const float *queries, const float *keys, const float *values, const float *weights,
                       float *query_gradient, float *key_gradient, float *value_gradient, const int64_t *row_starts,
                       const int64_t *column_starts, int64_t first, int64_t end, int64_t heads, int64_t width,
                       int64_t key_step, int64_t value_step, int64_t gradient_step)
{
    int64_t across = heads * width, largest, rows;
    float scale = 1 / sqrtf(width);
    int64_t at = measure(row_starts, column_starts, first, end, heads, &largest, &rows);
    float *block = malloc((width + rows) * largest * sizeof *block + LINE), *transposed = aligned(block);
    if (!block) return 1;
    float *scores = transposed + width * largest;
    for (int64_t sequence = first; sequence < end; sequence++) {
        Part part = part_of(row_starts, column_starts, sequence);
        int64_t full = part.full, columns = part.columns;
        rows = part.rows;
        for (int64_t head = 0; head < heads; head++, at += rows * full) {
            const float *weight = weights + at;
            int64_t index = part.row * across + head * width, gradient_index = part.column * gradient_step + head * width;
            product(weight, 1, full, gradient + index, across, value_gradient + gradient_index, gradient_step, rows, columns, width);
            transpose_head(values + part.column * value_step + head * width, value_step, columns, full, width, transposed);
            product(gradient + index, across, 1, transposed, full, scores, full, width, rows, full);
            softmax_gradient(scores, weight, rows, full, scale);
            product(scores, full, 1, keys + part.column * key_step + head * width, key_step, query_gradient + index, across,
                    columns, rows, width);
            product(scores, 1, full, queries + index, across, key_gradient + gradient_index, gradient_step, rows, columns, width);
        }
    }
    free(block);
    return 0;
}
