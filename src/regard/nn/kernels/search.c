/* What search does at every step, in C: one row's results depend on no other row.
 *
 * Arrays are dense unless a stride is given; strides count elements.
 */
#include "lanes.h"

#define DEEP 16 /* logits of which one maximum is taken */

/* The sum of e^(value - most). */
INLINE float sum_of_exponentials(const float *values, int64_t count, float most)
{
    Lanes lanes = {0};
    int64_t place = 0;
    for (; place + LANES <= count; place += LANES) lanes += exponentials(load(values + place) - most);
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
 * first. Gives 1 where there is no memory.
 *
 * The count-th largest of the maxima of parts of a row is not above the count-th largest of the row: only parts with
 * a maximum as large are looked through. */
int EXPORT(best_tokens)(const float *logits, int64_t rows, int64_t width, int64_t first, int64_t count, float *values,
                int64_t *columns)
{
    float *maxima = malloc(((width - first) / DEEP + LANES) * sizeof *maxima);
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
        Lanes some = exponentials(load(scores + one) - most);
        sums += some;
        memcpy(scores + one, &some, sizeof some);
    }
    float sum = sum_of(sums);
    int64_t at = 0;
    for (; at + WIDE * LANES <= width; at += WIDE * LANES)
        weighted(WIDE, values + at, seen, count, scores, sum, mean + at, value_slot);
    for (; at < width; at += LANES) weighted(1, values + at, seen, count, scores, sum, mean + at, value_slot);
}

/* Queries (sentences, rows, heads, width) over keys and values (sentences, slots, groups, width), whose sentences and
 * slots lie some strides apart, to means (sentences, rows, heads, width). Each group serves heads / groups heads
 * that follow one another. mask: null, or bytes that tell which slots a row sees; a row that sees none
 * becomes NaN. width is a multiple of UNIT.
 * Gives 1 where there is no memory. */
int EXPORT(attend)(const float *queries, const float *keys, const float *values, const uint8_t *mask, float *means,
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

/* LayerNorm(x + y) * gain + bias of each row (rows, width); width is a multiple of UNIT. */
void EXPORT(add_norm)(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *out,
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
