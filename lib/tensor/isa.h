/* isa.h - run-time choice of instruction sets.
 *
 * TSR_CLONES before a function that is one plain loop makes the compiler build it for AVX-512,
 * AVX2 and the baseline and choose when the program starts. Multiplications and additions are not
 * fused (-ffp-contract=off), so all three give the same bits. */
#ifndef TSR_TENSOR_ISA_H
#define TSR_TENSOR_ISA_H

/* Sanitisers and ifunc resolvers do not get along: those builds test the baseline. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&        \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TSR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
/* For loops that say __builtin_fmaf themselves: the machines that have AVX2 have it in hardware. */
#define TSR_CLONES_FMA __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TSR_CLONES
#define TSR_CLONES_FMA
#endif

/* The loop below has no dependence between its turns: arrays are apart or exactly the same. */
#if defined(__GNUC__) && !defined(__clang__)
#define TSR_IVDEP _Pragma("GCC ivdep")
#else
#define TSR_IVDEP
#endif

#endif
