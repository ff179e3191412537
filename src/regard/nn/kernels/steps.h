/* What the programs of steps.c consist of, and the state of the beam in search.c. operations.py has the same structs. */
#include <stdint.h>

enum { LINEAR_INT8, LINEAR_FLOAT32, ADD_NORM, NORM, ADD, ROTATE, GATED, SSRU, ATTEND_TARGET, ATTEND_SOURCE, STORE_QUERIES };

typedef struct {
    int64_t start, step, offset; /* row r of an input is at start * rows + r * step + offset */
} Input;

typedef struct {
    int64_t kind;
    int64_t layer;                /* of attention and of an SSRU */
    Input inputs[3];              /* x; x and y; queries, keys and values; queries; gate and input; forget and input; queries.
                                   * All but keys and values are contiguous. */
    int64_t out;                  /* where the output starts */
    int64_t width, outputs;       /* of an input row and an output row; for attention and rotation: of a head */
    int64_t heads, groups;        /* of attention, as in `attend`; of a rotation */
    const void *constants[4];     /* weights, shift, scales and bias; weights and bias; gain and bias; gain */
    float number;                 /* minimum; or epsilon */
} Operation;

typedef struct {
    float *keys, *values;         /* the cache (slots, sentences, groups, width), of which `written` slots are written */
    int64_t written;
    const float *source_keys, *source_values;
    int64_t key_sentence, key_slot, value_sentence, value_slot; /* strides of the source */
    float *state;                 /* of a recurrent layer, which has no cache: (rows, width) */
} Layer;

/* A decoder: the embedding of its target, its layers and its output layer. */
typedef struct {
    const float *table, *positions; /* (vocabulary, width) and (positions, width); no positions: null */
    float scale;                  /* of the embedding */
    int64_t width, vocabulary;
    const Operation *operations;  /* the layers */
    int64_t count, floats;        /* the number of operations; the space in the workspace for each row */
    const Operation *output;      /* the output layer; its place in the workspace does not matter */
    const float *rotations;       /* as in Batch */
} Decoder;

/* The decoder's state of a search. */
typedef struct {
    Layer *layers;
    int64_t num_layers;
    int64_t rows, sentences;
    int64_t position;             /* of the next token */
    uint8_t *visible, *spare;     /* (rows, slots) the slots that each row sees; as much space */
    const uint8_t *source_mask;   /* (sentences, source_slots) */
    int64_t source_slots;
    /* For a decoder that copies, otherwise null: space for what the layers read, (rows, width), the queries that they store,
     * and what they return, (rows, width). The logits are not computed then. */
    float *embedded, *queries, *features;
} Search;

/* The rows of a step. */
typedef struct {
    int64_t rows, sentences;
    const uint8_t *visible;       /* (rows, written + rows / sentences) the slots that each row sees; null: all */
    const uint8_t *source_mask;   /* (sentences, source_slots), contiguous */
    int64_t source_slots;
    int64_t position;
    const float *rotations;       /* (positions, head width / 2, 2) cosines and sines, for rotary positions; null: none */
    float *queries;               /* (rows, width) the queries of the first head that STORE_QUERIES stores */
} Batch;

/* The state of a beam search over `sentences` with `size` prefixes and hypotheses each.
 * Arrays are (sentences, size) or (sentences). */
typedef struct {
    int64_t sentences, size;
    int64_t width;               /* the live prefixes of each sentence before the step */
    int64_t top;                 /* the hypotheses that are asked for */
    double enough;               /* hypotheses with which a sentence is done */
    float *total;                /* live prefixes: log-probabilities, -INFINITY for empty places */
    int64_t *token, *parent;     /* their last tokens, and the nodes before them */
    int64_t *beam, *row;         /* the rows of those nodes in the step, counted within the sentence and in all */
    float *score, *end_total;    /* the best hypotheses, best first: -INFINITY for empty places */
    int64_t *end_token, *end_parent;
    int64_t *ended;              /* the number of all hypotheses */
    uint8_t *is_done;
    const int64_t *limit;
    const float *limit_divisor;  /* the length penalty of the limit */
} Beam;
