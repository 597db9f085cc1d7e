/* unroll.h - how the loops of a kernel over its tile are compiled. Private to tensor/.
 *
 *   KERNEL        before a function whose loops have constant bounds once it is inlined
 *   UNROLL        before those loops; UNROLL_STEPS and UNROLL_TWO before the long loop around them
 *
 * Instrumented, hundreds of unrolled tiles keep a compiler busy for many minutes. A build with a sanitizer has
 * one copy of the loops, not unrolled, in which every access is checked; the results are the same. */
#ifndef TSR_TENSOR_UNROLL_H
#define TSR_TENSOR_UNROLL_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TSR_ONE_COPY
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TSR_ONE_COPY
#endif

#ifdef TSR_ONE_COPY
#define KERNEL static __attribute__((noinline))
#define UNROLL
#define UNROLL_STEPS
#define UNROLL_TWO
#else
#define KERNEL static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#define UNROLL_STEPS _Pragma("unroll 4")
#define UNROLL_TWO _Pragma("unroll 2")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_STEPS _Pragma("GCC unroll 4") /* short loops are foreseen to their end */
#define UNROLL_TWO _Pragma("GCC unroll 2")
#endif
#endif

#endif
