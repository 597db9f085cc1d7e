/* qtable.h - functions of one byte, looked up. */
#ifndef TSR_TENSOR_QTABLE_H
#define TSR_TENSOR_QTABLE_H

#include "base/status.h"

/* y[i] = table[x[i]] for n bytes. y may be x exactly, else they must not overlap. The same on every machine.
 * Thread-safe. */
void tsr_qtable(int64_t n, const uint8_t table[256], const uint8_t *x, uint8_t *y);

/* For tests: the widest kernel that may be used: 0 plain C, 1 AVX2 or NEON, 2 AVX-512 VBMI (the default).
 * Returns what the processor allows of it. Not to be called while others compute. */
int tsr_qtable_limit(int level);

#endif
