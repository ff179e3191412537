/* Linear layers in float32, with weights in the order in which they are read. The outputs of a row do not depend on the
 * other rows: its products are added in the order of the inputs. */
#include "lanes.h"

#define PANEL (2 * LANES) /* outputs whose sums are in registers at the same time */
#define DEPTH 1
#define STEP 1
#if LANES == 16
#define TILE 12
#else
#define TILE 6
#endif
typedef float Weight;
typedef float Activation;
typedef Lanes Sums;
typedef Lanes Weights;
typedef Lanes Repeated;
#define SUMS LANES
#define WEIGHTS(from, part) load((from) + (part) * LANES)
#define ADD(sums, repeat, weights) sums += (repeat) * (weights)
INLINE Repeated repeat(const Activation *in)
{
    return broadcast(*in);
}

typedef struct {
    const float *weights, *bias;
    float minimum;
} Panel;
#define START(panel, part) load((panel)->bias + (part) * LANES)

INLINE Panel panel_at(Panel panel, int64_t first, int64_t row, int64_t inputs)
{
    return (void)row, (Panel){panel.weights + first * inputs, panel.bias + first, panel.minimum};
}

INLINE void floats(Sums sums, float *out)
{
    memcpy(out, &sums, sizeof sums);
}

INLINE Lanes finish(Lanes sums, const Panel *panel, int row, int at)
{
    return (void)panel, (void)row, (void)at, sums;
}

#include "tile.h"

/* The layout of weights is (outputs / panel, inputs, panel). */
int EXPORT(float32_panel)(void) { return PANEL; }

/* Multiply x (rows, inputs) with weights (outputs, inputs) in the layout of float32_panel, add a bias, and store
 * out (rows, outputs). The bias has a value for each output of each panel. Outputs below `minimum` are raised to it. */
void EXPORT(linear_float32)(const float *x, const float *weights, const float *bias, float *out, int64_t rows, int64_t inputs,
                            int64_t outputs, float minimum)
{
    multiply(x, (Panel){weights, bias, minimum}, out, rows, inputs, outputs);
}
