/* Products of rows with weights, for int8.c and float32.c. Before they include this file, they define:
 *
 * Weight, Activation          types of a weight and of an input
 * PANEL, DEPTH                the layout of weights: (outputs / PANEL, inputs / DEPTH, PANEL, DEPTH)
 * TILE                        rows whose sums are in registers at the same time, at most 12
 * STEP                        inputs that are added at a time, a multiple of DEPTH
 * Sums, SUMS                  a register of sums of SUMS outputs; floats(sums, out) stores them as floats
 * Repeated, repeat(in)        STEP inputs for each of SUMS outputs
 * Weights, WEIGHTS(from, part), ADD(sums, repeated, weights)
 * Panel                       what belongs to the weights of a panel, with `weights` and `minimum`
 * panel_at(panel, first, row, inputs)   the panel of output `first` for a row, given that of output 0 and row 0
 * START(panel, part), finish(sums, panel, row, at)   sums before the first input, and outputs from LANES sums
 */
#define PARTS (PANEL / SUMS)
#define GROUP 131072 /* bytes of weights that are multiplied with all rows in turn, and stay in the second level's cache */

/* Each sum is a separate variable: compilers would keep an array in memory. */
#if PARTS == 2
#define EACH_PART(DO, row) DO(row, 0) DO(row, 1)
#else
#define EACH_PART(DO, row) DO(row, 0) DO(row, 1) DO(row, 2) DO(row, 3)
#endif
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define PREFETCH_ROW(row) \
    if (row < rows) __builtin_prefetch(out + row * outputs, 1), __builtin_prefetch(out + row * outputs + PANEL - 1, 1);
#define START_PART(row, part) Sums sums##row##_##part = START(panel, part);
#define START_ROW(row) EACH_PART(START_PART, row)
#define LOAD_PART(row, part) Weights weights##part = WEIGHTS(weights, part);
#define ADD_PART(row, part) ADD(sums##row##_##part, activation, weights##part);
#define ADD_ROW(row) \
    if (row < rows) { \
        Repeated activation = repeat(activations + row * inputs + at); \
        EACH_PART(ADD_PART, row) \
    }
#define FLOATS_PART(row, part) floats(sums##row##_##part, values + part * SUMS);
#define FINISH_ROW(row) \
    if (row < rows) { \
        EACH_PART(FLOATS_PART, row) \
        store(values, panel, row, out + row * outputs, remaining); \
    }

/* Store the first `remaining` outputs of a row's panel, but at least the minimum. */
INLINE void store(float *values, const Panel *panel, int row, float *out, int64_t remaining)
{
    for (int at = 0; at < PANEL; at += LANES) {
        Lanes chunk = finish(load(values + at), panel, row, at);
        Bits is_below = chunk < panel->minimum; /* false for NaN, which is kept */
        chunk = (Lanes)((is_below & (Bits)broadcast(panel->minimum)) | (~is_below & (Bits)chunk));
        memcpy(values + at, &chunk, sizeof chunk);
    }
    if (remaining >= PANEL)
        memcpy(out, values, PANEL * sizeof *values);
    else
        memcpy(out, values, remaining * sizeof *values);
}

/* Multiply `rows` rows, at most TILE and a constant for the compiler, with the first `remaining` outputs of a panel. */
INLINE void tile(const int rows, const Activation *activations, const Panel *panel, float *out, int64_t inputs,
                 int64_t outputs, int64_t remaining)
{
    float values[PANEL];
    const Weight *weights = panel->weights;
    EACH_ROW(PREFETCH_ROW)
    EACH_ROW(START_ROW)
    for (int64_t at = 0; at < inputs; at += STEP, weights += PANEL * STEP) {
        EACH_PART(LOAD_PART, 0)
        EACH_ROW(ADD_ROW)
    }
    EACH_ROW(FINISH_ROW)
}

/* Multiply `rows` rows with the outputs from `first` to `end`. */
INLINE void tiles(const int rows, const Activation *activations, Panel all, float *out, int64_t row, int64_t inputs,
                  int64_t outputs, int64_t first, int64_t end)
{
    for (; first < end; first += PANEL) {
        Panel panel = panel_at(all, first, row, inputs);
        tile(rows, activations + row * inputs, &panel, out + row * outputs + first, inputs, outputs, outputs - first);
    }
}

/* Multiply activations (rows, inputs) with the weights of all outputs, and store out (rows, outputs). */
INLINE void multiply(const Activation *activations, Panel all, float *out, int64_t rows, int64_t inputs, int64_t outputs)
{
    int64_t panels = GROUP / (PANEL * (int64_t)sizeof(Weight) * (inputs ? inputs : 1)), group = PANEL * (panels ? panels : 1);
    for (int64_t first = 0; first < outputs; first += group) {
        int64_t end = first + group < outputs ? first + group : outputs;
        for (int64_t row = 0; row < rows;) {
#define ROWS(n) tiles(n, activations, all, out, row, inputs, outputs, first, end), row += n
            int64_t left = rows - row;
            if (left >= TILE) ROWS(TILE);
#if TILE > 8
            else if (left >= 8) ROWS(8);
#endif
#if TILE > 5
            else if (left >= 5) ROWS(5); /* a beam */
#endif
#if TILE > 4
            else if (left >= 4) ROWS(4);
#endif
            else if (left >= 2) ROWS(2);
            else ROWS(1);
        }
    }
}
