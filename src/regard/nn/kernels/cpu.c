/* Report which levels this CPU can run. Compiled for any CPU of its architecture. */
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>
#endif

#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
/* Return a set of bits: 1 for v3, 2 for v4, 4 for dotprod, 8 for v3vnni. */
int regard_cpu_levels(void)
{
    int levels = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) levels |= 1;
    if (levels && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        levels |= 2;
    unsigned eax, ebx, ecx, edx; /* not all compilers know the name avxvnni */
    if (levels && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 4 & 1) levels |= 8;
#elif defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) levels |= 4;
#elif defined(__aarch64__) && defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    if (!sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) && has) levels |= 4;
#endif
    return levels;
}
