/* Shared by all kernels: vectors of LANES floats, where LANES is what one register of the level holds.
 *
 * Each source is compiled once for each level (see ../native.py), with LEVEL as part of the names that it exports. Callers
 * of all levels rely on UNIT only: widths that must be multiples of something are multiples of UNIT.
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

/* Shuffle two vectors: lane l of the result is lane from(l, size) of both, concatenated. */
#if LANES == 4
#define EACH(from, size) from(0, size), from(1, size), from(2, size), from(3, size)
#elif LANES == 8
#define EACH(from, size) \
    from(0, size), from(1, size), from(2, size), from(3, size), from(4, size), from(5, size), from(6, size), from(7, size)
#else
#define EACH(from, size) \
    from(0, size), from(1, size), from(2, size), from(3, size), from(4, size), from(5, size), from(6, size), from(7, size), \
    from(8, size), from(9, size), from(10, size), from(11, size), from(12, size), from(13, size), from(14, size), from(15, size)
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED(one, other, from, size) __builtin_shufflevector(one, other, EACH(from, size))
#else
#define SHUFFLED(one, other, from, size) __builtin_shuffle(one, other, (Bits){EACH(from, size)})
#endif

INLINE Lanes load(const float *from)
{
    Lanes lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

INLINE Lanes all(float value)
{
    return (Lanes){0} + value;
}

INLINE Lanes larger(Lanes one, Lanes other)
{
    Bits first = one > other;
    return (Lanes)((first & (Bits)one) | (~first & (Bits)other));
}

/* e^x of each lane, for x <= 0, within two units in the last place; 0 below -87, NaN for NaN. */
INLINE Lanes exponentials(Lanes x)
{
    const float nearest = 12582912.0f; /* 1.5 x 2^23: adding it rounds to a whole number */
    Bits low = x < -87.0f;
    x = (Lanes)((low & (Bits)all(-87.0f)) | (~low & (Bits)x));
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
    return exponentials(all(x))[0];
}

typedef float Four __attribute__((vector_size(16)));
typedef int32_t FourBits __attribute__((vector_size(16)));
#if LANES == 16
typedef float Half __attribute__((vector_size(32)));
typedef int32_t HalfBits __attribute__((vector_size(32)));
#endif

INLINE Four larger_of_four(Four one, Four other)
{
    FourBits first = one > other;
    return (Four)((first & (FourBits)one) | (~first & (FourBits)other));
}

/* The sum of the lanes; most_of: the largest. Halves are folded until four lanes are left. */
INLINE float sum_of(Lanes lanes)
{
    Four four[LANES / 4];
#if LANES == 16
    Half half[2];
    memcpy(half, &lanes, sizeof lanes);
    half[0] += half[1];
    memcpy(four, half, sizeof *half);
#else
    memcpy(four, &lanes, sizeof lanes);
#endif
    if (LANES > 4) four[0] += four[1];
    return (four[0][0] + four[0][1]) + (four[0][2] + four[0][3]);
}

INLINE float most_of(Lanes lanes)
{
    Four four[LANES / 4];
#if LANES == 16
    Half half[2];
    memcpy(half, &lanes, sizeof lanes);
    HalfBits first = half[0] > half[1];
    half[0] = (Half)((first & (HalfBits)half[0]) | (~first & (HalfBits)half[1]));
    memcpy(four, half, sizeof *half);
#else
    memcpy(four, &lanes, sizeof lanes);
#endif
    if (LANES > 4) four[0] = larger_of_four(four[0], four[1]);
    float low = four[0][0] > four[0][1] ? four[0][0] : four[0][1];
    float high = four[0][2] > four[0][3] ? four[0][2] : four[0][3];
    return low > high ? low : high;
}

INLINE float most_in(const float *values, int64_t count)
{
    Lanes lanes = all(-INFINITY);
    int64_t place = 0;
    for (; place + LANES <= count; place += LANES) lanes = larger(load(values + place), lanes);
    float most = most_of(lanes);
    for (; place < count; place++) most = values[place] > most ? values[place] : most;
    return most;
}
