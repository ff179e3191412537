/* What the kernels share. Sums run in LANES columns, so that a compiler may keep them in one register. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

#define UNROLL _Pragma("GCC unroll 32")

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float Half __attribute__((vector_size(2 * LANES)));
typedef float Quarter __attribute__((vector_size(LANES)));

/* Lanes of two vectors: lane l of the result is lane from(l, size) of both, one behind the other. */
#define EACH(from, size) \
    from(0, size), from(1, size), from(2, size), from(3, size), from(4, size), from(5, size), from(6, size), from(7, size), \
    from(8, size), from(9, size), from(10, size), from(11, size), from(12, size), from(13, size), from(14, size), from(15, size)
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
    Lanes lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = value;
    return lanes;
}

INLINE Lanes larger(Lanes one, Lanes other)
{
    Bits first = one > other;
    return (Lanes)((first & (Bits)one) | (~first & (Bits)other));
}

/* e^x of each lane, for x <= 0, within two units in the last place; not a number for what is none. */
INLINE Lanes exponentials(Lanes x)
{
    const float nearest = 12582912.0f; /* added, it leaves no place for a fraction */
    Bits low = x < -87.0f;
    x = (Lanes)((low & (Bits)all(-87.0f)) | (~low & (Bits)x));
    Lanes power = (x * 1.44269504f + nearest) - nearest;
    Lanes rest = x - power * 0.693359375f + power * 2.12194440e-4f;
    Lanes series = rest * (1.0f / 720) + 1.0f / 120;
    series = series * rest + 1.0f / 24;
    series = series * rest + 1.0f / 6;
    series = series * rest + 0.5f;
    series = series * rest * rest + rest + 1.0f;
    return series * (Lanes)((__builtin_convertvector(power, Bits) + 127) << 23);
}

INLINE float exponential(float x)
{
    return exponentials(all(x))[0];
}

INLINE float sum_of(Lanes lanes)
{
    Half half[2];
    Quarter quarter[2];
    memcpy(half, &lanes, sizeof lanes);
    half[0] += half[1];
    memcpy(quarter, half, sizeof *half);
    quarter[0] += quarter[1];
    return (quarter[0][0] + quarter[0][1]) + (quarter[0][2] + quarter[0][3]);
}

INLINE float most_of(Lanes lanes)
{
    Half half[2];
    memcpy(half, &lanes, sizeof lanes);
    float most = -INFINITY;
    for (int lane = 0; lane < LANES / 2; lane++) {
        float one = half[0][lane] > half[1][lane] ? half[0][lane] : half[1][lane];
        most = one > most ? one : most;
    }
    return most;
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

