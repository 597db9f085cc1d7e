/* clones.h - TSR_CLONES before a function makes the compiler build it for several x86-64 levels
 * and choose at run time. For plain loops only: the arithmetic is the same in all of them
 * (contraction is off), so are the results. Off under sanitizers, whose run-time is not up yet
 * when the choice is made. */
#ifndef TSR_BASE_CLONES_H
#define TSR_BASE_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define TSR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TSR_CLONES
#endif

#endif
