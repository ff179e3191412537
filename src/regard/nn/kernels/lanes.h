/* Shared by all kernels: vectors of LANES floats, where LANES is the number of floats in a register of the level.
 *
 * Each source is compiled once per level (see native.py), with LEVEL in the names that it exports. Callers depend on UNIT
 * only: widths that must be multiples of a number are multiples of UNIT.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define REGISTERS 32
#elif defined(__AVX__)
#define LANES 8
#define REGISTERS 16
#elif defined(__aarch64__)
#define LANES 4
#define REGISTERS 32
#else
#define LANES 4
#define REGISTERS 16
#endif

#define UNIT 16 /* a multiple of LANES on every level */

#define JOINED(level, name) regard_##level##_##name
#define NAMED(level, name) JOINED(level, name)
#ifdef _WIN32
#define EXPORT(name) __declspec(dllexport) NAMED(LEVEL, name)
#else
#define EXPORT(name) __attribute__((visibility("default"))) NAMED(LEVEL, name)
#endif

#define INLINE static inline __attribute__((always_inline))

#define UNROLL _Pragma("GCC unroll 32")

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));

/* Shuffle two vectors: lane l of the result is lane from(l, size) of their concatenation. */
#if LANES == 4
#define EACH_LANE(from, size) from(0, size), from(1, size), from(2, size), from(3, size)
#elif LANES == 8
#define EACH_LANE(from, size) \
    from(0, size), from(1, size), from(2, size), from(3, size), from(4, size), from(5, size), from(6, size), from(7, size)
#else
#define EACH_LANE(from, size) \
    from(0, size), from(1, size), from(2, size), from(3, size), from(4, size), from(5, size), from(6, size), from(7, size), \
    from(8, size), from(9, size), from(10, size), from(11, size), from(12, size), from(13, size), from(14, size), from(15, size)
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED(a, b, from, size) __builtin_shufflevector(a, b, EACH_LANE(from, size))
#else
#define SHUFFLED(a, b, from, size) __builtin_shuffle(a, b, (Bits){EACH_LANE(from, size)})
#endif

INLINE Lanes load(const float *from)
{
    Lanes vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

INLINE Lanes broadcast(float value)
{
    return value - (Lanes){0}; /* minus: compilers drop it, unlike plus, which changes -0 */
}

INLINE Lanes maximum(Lanes a, Lanes b)
{
    Bits first = a > b;
    return (Lanes)((first & (Bits)a) | (~first & (Bits)b));
}

/* Return e^x of each lane, for x <= 0, within two units in the last place: 0 below -87, NaN for NaN. */
INLINE Lanes exponentials(Lanes x)
{
    const float nearest = 12582912.0f; /* 1.5 x 2^23: adding it rounds to an integer */
    Bits low = x < -87.0f;
    x = (Lanes)((low & (Bits)broadcast(-87.0f)) | (~low & (Bits)x));
    Lanes power = (x * 1.44269504f + nearest) - nearest;
    Lanes rest = x - power * 0.693359375f + power * 2.12194440e-4f;
    Lanes series = rest * (1.0f / 720) + 1.0f / 120;
    series = series * rest + 1.0f / 24;
    series = series * rest + 1.0f / 6;
    series = series * rest + 0.5f;
    series = series * rest * rest + rest + 1.0f;
    Lanes exponential = series * (Lanes)((__builtin_convertvector(power, Bits) + 127) << 23);
    return (Lanes)(~low & (Bits)exponential);
}

INLINE float exponential(float x)
{
    return exponentials(broadcast(x))[0];
}

/* Return 1 / (1 + e^-x) for each lane. */
INLINE Lanes logistic(Lanes x)
{
    Bits is_negative = x < 0.0f;
    Lanes part = exponentials((Lanes)((is_negative & (Bits)x) | (~is_negative & (Bits)-x)));
    Lanes above = 1 / (1 + part);
    return (Lanes)((is_negative & (Bits)(part * above)) | (~is_negative & (Bits)above));
}

typedef float Four __attribute__((vector_size(16)));
typedef int32_t FourBits __attribute__((vector_size(16)));
#if LANES == 16
typedef float Half __attribute__((vector_size(32)));
typedef int32_t HalfBits __attribute__((vector_size(32)));
#endif

INLINE Four maximum_of_four(Four a, Four b)
{
    FourBits first = a > b;
    return (Four)((first & (FourBits)a) | (~first & (FourBits)b));
}

/* Return the sum of the lanes; max_of returns the largest. Halves are folded until four lanes remain. */
INLINE float sum_of(Lanes vector)
{
    Four four[LANES / 4];
#if LANES == 16
    Half half[2];
    memcpy(half, &vector, sizeof vector);
    half[0] += half[1];
    memcpy(four, half, sizeof *half);
#else
    memcpy(four, &vector, sizeof vector);
#endif
    if (LANES > 4) four[0] += four[1];
    return (four[0][0] + four[0][1]) + (four[0][2] + four[0][3]);
}

INLINE float max_of(Lanes vector)
{
    Four four[LANES / 4];
#if LANES == 16
    Half half[2];
    memcpy(half, &vector, sizeof vector);
    HalfBits first = half[0] > half[1];
    half[0] = (Half)((first & (HalfBits)half[0]) | (~first & (HalfBits)half[1]));
    memcpy(four, half, sizeof *half);
#else
    memcpy(four, &vector, sizeof vector);
#endif
    if (LANES > 4) four[0] = maximum_of_four(four[0], four[1]);
    float low = four[0][0] > four[0][1] ? four[0][0] : four[0][1];
    float high = four[0][2] > four[0][3] ? four[0][2] : four[0][3];
    return low > high ? low : high;
}

INLINE float max_in(const float *values, int64_t count)
{
    Lanes vector = broadcast(-INFINITY);
    int64_t index = 0;
    for (; index + LANES <= count; index += LANES) vector = maximum(load(values + index), vector);
    float largest = max_of(vector);
    for (; index < count; index++) largest = values[index] > largest ? values[index] : largest;
    return largest;
}
