/* The kernels of a search step. The results of a row do not depend on other rows.
 *
 * Arrays are contiguous unless a stride is given; strides count elements.
 */
#include "lanes.h"
#include "steps.h"

#define DEPTH 16 /* logits that share one maximum */

/* Return the sum of e^(value - largest). */
INLINE float sum_of_exponentials(const float *values, int64_t count, float largest)
{
    Lanes lanes = {0};
    int64_t index = 0;
    for (; index + LANES <= count; index += LANES) lanes += exponentials(load(values + index) - largest);
    float sum = sum_of(lanes);
    for (; index < count; index++) sum += exponential(values[index] - largest);
    return sum;
}

/* Insert a value and its column into the best so far, of which at most `count` are kept. Return the number of them. */
INLINE int64_t insert(float value, int64_t column, float *values, int64_t *columns, int64_t filled, int64_t count)
{
    int64_t index = filled < count ? filled++ : count - 1;
    for (; index > 0 && (value > values[index - 1] || (value == values[index - 1] && column < columns[index - 1])); index--) {
        values[index] = values[index - 1];
        columns[index] = columns[index - 1];
    }
    values[index] = value;
    columns[index] = column;
    return filled;
}

/* Return for each lane the largest of the columns at + lane, at + lane + LANES, ...: DEPTH of them, within the row. */
INLINE Lanes lane_maxima(const float *logits, int64_t at, int64_t width)
{
    Lanes largest = broadcast(-INFINITY);
    int64_t end = at + LANES * DEPTH < width ? at + LANES * DEPTH : width;
    for (; at + LANES <= end; at += LANES) largest = maximum(load(logits + at), largest);
    for (int lane = 0; at + lane < end; lane++) largest[lane] = logits[at + lane] > largest[lane] ? logits[at + lane] : largest[lane];
    return largest;
}

/* Find the `count` largest of each row of logits (rows, width) from column `first` on, the lower column first among equals.
 * Store them as log-probabilities over all columns (rows, count), and their columns. 1 <= count <= width - first.
 * Return 1 if out of memory.
 *
 * The count-th largest of the maxima of a row's parts is not above the count-th largest of the row, so only parts with
 * a maximum of at least that are searched. */
int EXPORT(best_tokens)(const float *logits, int64_t rows, int64_t width, int64_t first, int64_t count, float *values,
                int64_t *columns)
{
    float *maxima = malloc(((width - first) / DEPTH + LANES) * sizeof *maxima);
    if (!maxima) return 1;
    for (int64_t row = 0; row < rows; row++, logits += width, values += count, columns += count) {
        float largest = max_in(logits, first);
        int64_t parts = 0, filled = 0;
        for (int64_t at = first; at < width; at += LANES * DEPTH, parts += LANES) {
            Lanes chunk = lane_maxima(logits, at, width);
            memcpy(maxima + parts, &chunk, sizeof chunk);
        }
        for (int64_t part = 0; part < parts; part++)
            if (filled < count || maxima[part] > values[count - 1])
                filled = insert(maxima[part], part, values, columns, filled, count);
        largest = values[0] > largest ? values[0] : largest;
        float total = largest + logf(sum_of_exponentials(logits, width, largest));
        float threshold = filled == count ? values[count - 1] : -INFINITY;
        filled = 0;
        for (int64_t part = 0; part < parts; part++) {
            if (!(maxima[part] >= threshold)) continue;
            int64_t at = first + part / LANES * LANES * DEPTH + part % LANES;
            for (int64_t step = 0; step < DEPTH && at < width; step++, at += LANES)
                if (filled < count || logits[at] >= values[count - 1])
                    if (filled < count || logits[at] > values[count - 1] || at < columns[count - 1])
                        filled = insert(logits[at], at, values, columns, filled, count);
        }
        for (int64_t index = 0; index < count; index++) values[index] -= total;
    }
    free(maxima);
    return 0;
}

/* Find the `count` best sums of the totals of `rows` prefixes and of `width` values each, the first one first among equals. */
INLINE void rank_continuations(const float *totals, const float *values, int64_t rows, int64_t width, int64_t count, float *best,
                               int64_t *places)
{
    int64_t filled = 0;
    for (int64_t index = 0; index < rows * width; index++) {
        float total = totals[index / width] + values[index];
        if (filled < count || total > best[count - 1]) filled = insert(total, index, best, places, filled, count);
    }
}

/* Find the `count` best continuations of each sentence's prefixes, the first one first among equals: of prefixes with totals
 * (sentences, rows), whose sentences are `total_sentence` apart, the continuations by `width` tokens each, with values and
 * ids (sentences, rows, width). Store their totals, tokens, nodes (those of their prefixes) and prefixes, all (sentences,
 * count). count <= rows x width. */
void EXPORT(best_continuations)(const float *totals, const float *values, const int64_t *ids, const int64_t *nodes,
                                int64_t sentences, int64_t rows, int64_t width, int64_t count, int64_t total_sentence,
                                float *best, int64_t *tokens, int64_t *parents, int64_t *prefixes)
{
    for (int64_t sentence = 0; sentence < sentences; sentence++) {
        rank_continuations(totals, values, rows, width, count, best, prefixes);
        for (int64_t index = 0; index < count; index++) {
            tokens[index] = ids[prefixes[index]];
            prefixes[index] /= width;
            parents[index] = nodes[prefixes[index]];
        }
        totals += total_sentence, values += rows * width, ids += rows * width, nodes += rows;
        best += count, tokens += count, parents += count, prefixes += count;
    }
}

/* Insert a hypothesis into those of a sentence, after all that are not worse. Forget the worst one. */
static void add_hypothesis(const Beam *beam, int64_t sentence, float score, float total, int64_t token, int64_t parent)
{
    int64_t start = sentence * beam->size, place = beam->size;
    while (place > 0 && beam->score[start + place - 1] < score) place--;
    if (place == beam->size) return;
    for (int64_t index = start + beam->size - 1; index > start + place; index--) {
        beam->score[index] = beam->score[index - 1], beam->end_total[index] = beam->end_total[index - 1];
        beam->end_token[index] = beam->end_token[index - 1], beam->end_parent[index] = beam->end_parent[index - 1];
    }
    beam->score[start + place] = score, beam->end_total[start + place] = total;
    beam->end_token[start + place] = token, beam->end_parent[start + place] = parent;
}

/* Replace the live prefixes of a sentence by the best of its 2 x size continuations that do not end. Ones that do, among
 * the first `size`, become hypotheses. */
static void advance_sentence(const Beam *beam, int64_t sentence, const float *totals, const int64_t *tokens,
                             const int64_t *prefixes, int64_t first_node, int64_t eos, float divisor)
{
    int64_t start = sentence * beam->size, first_row = sentence * beam->width, live = 0;
    for (int filler = 0; filler < 2; filler++) /* then those that end or are impossible, as places that are empty */
        for (int64_t index = 0; index < 2 * beam->size && live < beam->size; index++) {
            int is_live = tokens[index] != eos && totals[index] > -INFINITY;
            if (is_live == filler) continue;
            beam->total[start + live] = is_live ? totals[index] : -INFINITY;
            beam->token[start + live] = tokens[index];
            beam->beam[start + live] = prefixes[index];
            beam->row[start + live] = first_row + prefixes[index];
            beam->parent[start + live++] = first_node + first_row + prefixes[index];
        }
    for (int64_t index = 0; index < beam->size && divisor; index++) {
        if (tokens[index] != eos || !(totals[index] > -INFINITY)) continue;
        int64_t parent = first_node + first_row + prefixes[index];
        add_hypothesis(beam, sentence, totals[index] / divisor, totals[index], eos, parent);
        beam->ended[sentence]++;
    }
}

/* Mark a sentence that has reached its limit, has enough hypotheses, or cannot improve the best ones. Return whether it is
 * newly done. Hypotheses are not enough while a live prefix would score higher if it ended now. */
static int retire_sentence(const Beam *beam, int64_t sentence, int64_t step, float divisor)
{
    int64_t start = sentence * beam->size;
    float worst = beam->score[start + beam->top - 1], best = beam->total[start];
    int has_enough = beam->ended[sentence] >= beam->enough && (beam->size == 1 || (divisor && worst >= best / divisor));
    int is_done = beam->limit[sentence] <= step || has_enough || worst >= best / beam->limit_divisor[sentence];
    int is_new = is_done && !beam->is_done[sentence];
    beam->is_done[sentence] |= is_done;
    return is_new;
}

/* Advance a beam by a step with logits (sentences x beam->width, vocabulary), whose nodes are numbered from `first_node`.
 * PAD and BOS, the tokens below `eos`, keep their share of the probability, but are never chosen. vocabulary is at least
 * eos + 2 x size. `divisor` is the length penalty of hypotheses that end in this step; 0 forbids them. Return the number of
 * newly finished sentences, -1 if a log-probability is not finite, or -2 if out of memory. */
int64_t EXPORT(beam_step)(Beam *beam, const float *logits, int64_t vocabulary, int64_t eos, int64_t first_node, int64_t step,
                          float divisor)
{
    int64_t count = 2 * beam->size, rows = beam->sentences * beam->width, finished = 0;
    float *values = malloc((rows + 1) * count * sizeof *values);
    int64_t *numbers = malloc((rows + 2) * count * sizeof *numbers);
    if (!values || !numbers || NAMED(LEVEL, best_tokens)(logits, rows, vocabulary, eos, count, values, numbers)) finished = -2;
    float *best = values + rows * count;
    int64_t *tokens = numbers + rows * count, *prefixes = tokens + count;
    for (int64_t row = 0; row < rows && !finished; row++)
        if (!(fabsf(values[row * count]) < INFINITY)) finished = -1;
    for (int64_t sentence = 0; sentence < beam->sentences && finished >= 0; sentence++) {
        const float *totals = beam->total + sentence * beam->size;
        int64_t first = sentence * beam->width * count;
        rank_continuations(totals, values + first, beam->width, count, count, best, prefixes);
        for (int64_t index = 0; index < count; index++) {
            tokens[index] = numbers[first + prefixes[index]];
            prefixes[index] /= count;
        }
        advance_sentence(beam, sentence, best, tokens, prefixes, first_node, eos, divisor);
        finished += retire_sentence(beam, sentence, step, divisor);
    }
    if (finished >= 0) beam->width = beam->size;
    free(values), free(numbers);
    return finished;
}

#define WIDE 4 /* registers that hold parts of one query or one mean at the same time */

/* Return the sum of `parts` registers of products. */
INLINE Lanes partial_dot(const int parts, const float *a, const float *b)
{
    Lanes sums[WIDE];
    for (int part = 0; part < parts; part++) sums[part] = load(a + part * LANES) * load(b + part * LANES);
    for (int part = 1; part < parts; part++) sums[0] += sums[part];
    return sums[0];
}

/* Compute `parts` registers of the mean of the visible values, weighted by scores whose sum is `sum`. */
INLINE void weighted_mean(const int parts, const float *values, const int32_t *visible_slots, int64_t count, const float *scores,
                     float sum, float *mean, int64_t value_slot)
{
    Lanes sums[WIDE];
    for (int part = 0; part < parts; part++) sums[part] = broadcast(0);
    for (int64_t index = 0; index < count; index++) {
        const float *value = values + visible_slots[index] * value_slot;
        for (int part = 0; part < parts; part++) sums[part] += scores[index] * load(value + part * LANES);
    }
    for (int part = 0; part < parts; part++) {
        sums[part] /= sum;
        memcpy(mean + part * LANES, &sums[part], sizeof *sums);
    }
}

/* Attend from one query to the keys and values of its `count` visible slots. scores has space for count + LANES. */
INLINE void attend_query(const float *query, const float *keys, const float *values, const int32_t *visible_slots, int64_t count,
                       float *mean, int64_t width, int64_t key_slot, int64_t value_slot, float *scores)
{
    float scale = 1.0f / sqrtf((float)width);
    for (int64_t index = 0; index < count; index++) {
        const float *key = keys + visible_slots[index] * key_slot;
        Lanes sums = {0};
        int64_t at = 0;
        for (; at + WIDE * LANES <= width; at += WIDE * LANES) sums += partial_dot(WIDE, query + at, key + at);
        for (; at < width; at += LANES) sums += partial_dot(1, query + at, key + at);
        scores[index] = sum_of(sums) * scale;
    }
    int64_t end = (count + LANES - 1) / LANES * LANES;
    for (int64_t index = count; index < end; index++) scores[index] = -INFINITY;
    float largest = max_in(scores, end);
    Lanes sums = {0};
    for (int64_t index = 0; index < end; index += LANES) {
        Lanes chunk = exponentials(load(scores + index) - largest);
        sums += chunk;
        memcpy(scores + index, &chunk, sizeof chunk);
    }
    float sum = sum_of(sums);
    int64_t at = 0;
    for (; at + WIDE * LANES <= width; at += WIDE * LANES)
        weighted_mean(WIDE, values + at, visible_slots, count, scores, sum, mean + at, value_slot);
    for (; at < width; at += LANES) weighted_mean(1, values + at, visible_slots, count, scores, sum, mean + at, value_slot);
}

/* Attend from queries (sentences, rows, heads, width) to keys and values (sentences, slots, groups, width), which have
 * strides between sentences and between slots, and store means (sentences, rows, heads, width). Each group of keys and
 * values serves heads / groups consecutive heads. mask: bytes, nonzero for slots that a row sees, or null if every row sees
 * all slots. A row that sees none becomes NaN. width is a multiple of UNIT. Return 1 if out of memory. */
int EXPORT(attend)(const float *queries, const float *keys, const float *values, const uint8_t *mask, float *means,
           int64_t sentences, int64_t rows, int64_t slots, int64_t heads, int64_t groups, int64_t width,
           int64_t key_sentence, int64_t key_slot, int64_t value_sentence, int64_t value_slot, int64_t mask_sentence,
           int64_t mask_row)
{
    float *scores = malloc((slots + LANES) * sizeof *scores);
    int32_t *visible_slots = malloc(rows * slots * sizeof *visible_slots + 1);
    int64_t *counts = malloc(rows * sizeof *counts);
    int failed = !scores || !visible_slots || !counts;
    for (int64_t sentence = 0; sentence < sentences && !failed; sentence++) {
        for (int64_t row = 0; row < rows; row++) {
            const uint8_t *visible = mask ? mask + sentence * mask_sentence + row * mask_row : 0;
            int64_t count = 0;
            for (int64_t slot = 0; slot < slots; slot++) {
                visible_slots[row * slots + count] = (int32_t)slot;
                count += !visible || visible[slot];
            }
            counts[row] = count;
        }
        for (int64_t head = 0; head < heads; head++) { /* the outer loop, so that its keys stay in the cache for all rows */
            int64_t group = head * groups / heads * width;
            for (int64_t row = 0; row < rows; row++) {
                int64_t at = ((sentence * rows + row) * heads + head) * width;
                attend_query(queries + at, keys + sentence * key_sentence + group, values + sentence * value_sentence + group,
                           visible_slots + row * slots, counts[row], means + at, width, key_slot, value_slot, scores);
            }
        }
    }
    free(scores), free(visible_slots), free(counts);
    return failed;
}

/* Compute LayerNorm(x + y) * gain + bias for each row (rows, width); width is a multiple of UNIT. */
void EXPORT(add_norm)(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *out,
              int64_t rows, int64_t width)
{
    for (int64_t row = 0; row < rows; row++, x += width, y += width, out += width) {
        Lanes sums = {0}, squares = {0};
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes sum = load(x + at) + load(y + at);
            sums += sum;
            memcpy(out + at, &sum, sizeof sum);
        }
        float mean = sum_of(sums) / width;
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes deviation = load(out + at) - mean;
            squares += deviation * deviation;
        }
        float scale = 1 / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t at = 0; at < width; at += LANES) {
            Lanes normal = (load(out + at) - mean) * scale * load(gain + at) + load(bias + at);
            memcpy(out + at, &normal, sizeof normal);
        }
    }
}
