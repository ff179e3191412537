/* A step of all layers of a decoder in one call: a program of the kernels that the layers call, one after another.
 *
 * The values between the kernels are in a workspace. A buffer of the workspace starts at a number of floats per row, and
 * has `step` floats per row.
 */
#include "lanes.h"
#include "steps.h"

int EXPORT(attend)(const float *queries, const float *keys, const float *values, const uint8_t *mask, float *means,
                   int64_t sentences, int64_t rows, int64_t slots, int64_t heads, int64_t groups, int64_t width,
                   int64_t key_sentence, int64_t key_slot, int64_t value_sentence, int64_t value_slot, int64_t mask_sentence,
                   int64_t mask_row);
void EXPORT(add_norm)(const float *x, const float *y, const float *gain, const float *bias, float epsilon, float *out,
                      int64_t rows, int64_t width);
void EXPORT(norm)(const float *x, const float *gain, float epsilon, float *out, int64_t rows, int64_t width);
void EXPORT(add)(const float *x, const float *y, float *out, int64_t count);
void EXPORT(rotate)(const float *x, const float *turn, float *out, int64_t rows, int64_t turns, int64_t heads, int64_t width);
void EXPORT(gated)(const float *gate, const float *input, float *out, int64_t first, int64_t end);
void EXPORT(ssru)(const float *forget, const float *input, float *state, float *out, int64_t rows, int64_t steps, int64_t width);
int EXPORT(linear_int8)(const float *x, const int8_t *weights, const int32_t *shift, const float *scales, const float *bias,
                        float *out, int64_t rows, int64_t inputs, int64_t outputs, float minimum);
void EXPORT(linear_float32)(const float *x, const float *weights, const float *bias, float *out, int64_t rows, int64_t inputs,
                            int64_t outputs, float minimum);

#define KERNEL(name) NAMED(LEVEL, name)

/* Write the keys or values of a step into the slots of its rows. */
static void cache(const Batch *batch, const float *workspace, Input from, float *to, int64_t written, int64_t across)
{
    int64_t each = batch->rows / batch->sentences;
    for (int64_t row = 0; row < batch->rows; row++) {
        const float *new = workspace + from.start * batch->rows + row * from.step + from.offset;
        int64_t slot = written + row % each, sentence = row / each;
        memcpy(to + (slot * batch->sentences + sentence) * across, new, across * sizeof *to);
    }
}

static int attend_target(const Operation *operation, const Layer *layer, const Batch *batch, float *workspace)
{
    int64_t each = batch->rows / batch->sentences, slots = layer->written + each, across = operation->groups * operation->width;
    cache(batch, workspace, operation->inputs[1], layer->keys, layer->written, across);
    cache(batch, workspace, operation->inputs[2], layer->values, layer->written, across);
    return KERNEL(attend)(workspace + operation->inputs[0].start * batch->rows, layer->keys, layer->values, batch->visible,
                          workspace + operation->out * batch->rows, batch->sentences, each, slots, operation->heads,
                          operation->groups, operation->width, across, batch->sentences * across, across,
                          batch->sentences * across, each * slots, slots);
}

static int attend_source(const Operation *operation, const Layer *layer, const Batch *batch, float *workspace)
{
    return KERNEL(attend)(workspace + operation->inputs[0].start * batch->rows, layer->source_keys, layer->source_values,
                          batch->source_mask, workspace + operation->out * batch->rows, batch->sentences,
                          batch->rows / batch->sentences, batch->source_slots, operation->heads, operation->groups,
                          operation->width, layer->key_sentence, layer->key_slot, layer->value_sentence, layer->value_slot,
                          batch->source_slots, 0);
}

/* Store the queries of the first head. */
static void store_queries(const Operation *operation, const Batch *batch, const float *queries)
{
    for (int64_t row = 0; row < batch->rows; row++)
        memcpy(batch->queries + row * operation->width, queries + row * operation->inputs[0].step, operation->width * sizeof *queries);
}

static int linear(const Operation *operation, const float *x, float *out, int64_t rows)
{
    const void *const *constants = operation->constants;
    if (operation->kind == LINEAR_INT8)
        return KERNEL(linear_int8)(x, constants[0], constants[1], constants[2], constants[3], out, rows, operation->width,
                                   operation->outputs, operation->number);
    KERNEL(linear_float32)(x, constants[0], constants[1], out, rows, operation->width, operation->outputs, operation->number);
    return 0;
}

static int run(const Operation *operation, const Layer *layers, const Batch *batch, float *workspace)
{
    const float *x = workspace + operation->inputs[0].start * batch->rows, *y = workspace + operation->inputs[1].start * batch->rows;
    float *out = workspace + operation->out * batch->rows;
    int64_t rows = batch->rows, width = operation->width;
    const void *const *constants = operation->constants;
    switch (operation->kind) {
    case LINEAR_INT8:
    case LINEAR_FLOAT32:
        return linear(operation, x, out, rows);
    case ADD_NORM:
        KERNEL(add_norm)(x, y, constants[0], constants[1], operation->number, out, rows, width);
        return 0;
    case NORM:
        KERNEL(norm)(x, constants[0], operation->number, out, rows, width);
        return 0;
    case ADD:
        KERNEL(add)(x, y, out, rows * width);
        return 0;
    case ROTATE:
        KERNEL(rotate)(x, batch->rotations + batch->position * width, out, rows, 1, operation->heads, width);
        return 0;
    case GATED:
        KERNEL(gated)(x, y, out, 0, rows * width);
        return 0;
    case SSRU:
        KERNEL(ssru)(x, y, layers[operation->layer].state, out, rows, 1, width);
        return 0;
    case STORE_QUERIES:
        store_queries(operation, batch, x);
        return 0;
    case ATTEND_TARGET:
        return attend_target(operation, layers + operation->layer, batch, workspace);
    default:
        return attend_source(operation, layers + operation->layer, batch, workspace);
    }
}

static int run_all(const Operation *operations, int64_t count, const Layer *layers, const Batch *batch, float *workspace)
{
    int failed = 0;
    for (int64_t index = 0; index < count && !failed; index++) failed = run(operations + index, layers, batch, workspace);
    return failed;
}

/* Run `count` operations on x (rows, width), which is copied to the start of the workspace, and store the output of the last
 * one, (rows, width). The workspace has space for `floats` per row. Return 1 if out of memory. */
int EXPORT(decoder_step)(const Operation *operations, int64_t count, const Layer *layers, const Batch *batch, const float *x,
                         float *out, int64_t width, int64_t floats)
{
    float *workspace = malloc(batch->rows * floats * sizeof *workspace);
    int failed = !workspace;
    if (!failed) memcpy(workspace, x, batch->rows * width * sizeof *x);
    failed = failed || run_all(operations, count, layers, batch, workspace);
    if (!failed) memcpy(out, workspace + operations[count - 1].out * batch->rows, batch->rows * width * sizeof *out);
    free(workspace);
    return failed;
}

/* Let row r see what row parents[r] saw, and its own new slot of the `each` that are added for its sentence. */
static void extend_visible(Search *search, const int64_t *parents, int64_t slots, int64_t each)
{
    uint8_t *before = search->visible, *after = search->spare;
    for (int64_t row = 0; row < search->rows; row++) {
        uint8_t *slot = after + row * (slots + each);
        memcpy(slot, before + (parents ? parents[row] : row) * slots, slots);
        memset(slot + slots, 0, each);
        slot[slots + row % each] = 1;
    }
    search->visible = after, search->spare = before;
}

/* Let row r of each recurrent layer take over the state of row parents[r]. Return 1 if out of memory. */
static int reorder_states(Search *search, const int64_t *parents, int64_t width)
{
    int64_t size = search->rows * width * sizeof(float);
    float *before = 0;
    for (Layer *layer = search->layers; layer < search->layers + search->num_layers; layer++) {
        if (!layer->state) continue;
        if (!before) before = malloc(size);
        if (!before) return 1;
        memcpy(before, layer->state, size);
        for (int64_t row = 0; row < search->rows; row++)
            memcpy(layer->state + row * width, before + parents[row] * width, width * sizeof(float));
    }
    free(before);
    return 0;
}

/* Embed a token at a position: table[token] * scale + positions[position]. Two loops, so that no compiler fuses the product
 * and the sum into one operation, which would round differently from PyTorch's two. */
static void embed(const Decoder *decoder, int64_t token, int64_t position, float *x)
{
    const float *row = decoder->table + token * decoder->width, *shift = decoder->positions + position * decoder->width;
    for (int64_t index = 0; index < decoder->width; index++) x[index] = row[index] * decoder->scale;
    for (int64_t index = 0; index < decoder->width && decoder->positions; index++) x[index] += shift[index];
}

/* Feed a token to each row, after row r took over the state of row parents[r] of its sentence (null: none did), and store the
 * logits (rows, vocabulary) of the next tokens, or what a decoder that copies needs instead. There must be space for the new slots. Return 1 if out of memory. */
int EXPORT(decoder_logits)(const Decoder *decoder, Search *search, const int64_t *tokens, const int64_t *parents, float *logits)
{
    int64_t each = search->rows / search->sentences, slots = search->layers->written;
    float *workspace = malloc(search->rows * decoder->floats * sizeof *workspace);
    if (!workspace) return 1;
    extend_visible(search, parents, slots, each);
    if (parents && reorder_states(search, parents, decoder->width)) return free(workspace), 1;
    int sees_all = slots + each == search->position + 1; /* a single row per sentence, never reordered */
    Batch batch = {search->rows, search->sentences, sees_all ? 0 : search->visible, search->source_mask, search->source_slots,
                   search->position, decoder->rotations, search->queries};
    int64_t size = search->rows * decoder->width * sizeof *workspace;
    for (int64_t row = 0; row < search->rows; row++) embed(decoder, tokens[row], search->position, workspace + row * decoder->width);
    if (search->embedded) memcpy(search->embedded, workspace, size);
    int failed = run_all(decoder->operations, decoder->count, search->layers, &batch, workspace);
    const float *features = workspace + decoder->operations[decoder->count - 1].out * search->rows;
    if (!failed && search->features)
        memcpy(search->features, features, size);
    else
        failed = failed || linear(decoder->output, features, logits, search->rows);
    free(workspace);
    search->position++;
    for (int64_t layer = 0; layer < search->num_layers; layer++) search->layers[layer].written += each;
    return failed;
}
