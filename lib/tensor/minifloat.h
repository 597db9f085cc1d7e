/* minifloat.h - floating-point numbers of 8 and 4 bits: the OCP formats E4M3 and E5M2 (Micikevicius et al.
 * 2022), their relatives without infinities and negative zero (Noune et al. 2022: "fnuz"), E2M1 and the
 * powers of two E8M0 of the OCP microscaling formats (2023). Thread-safe. */
#ifndef TSR_TENSOR_MINIFLOAT_H
#define TSR_TENSOR_MINIFLOAT_H

#include "tensor/dtype.h"

/* How TSR_F8E8M0 rounds what is no power of two: away from zero, towards it, to the nearer (ties up). The
 * other formats round half to even. */
enum tsr_mini_round { TSR_MINI_UP, TSR_MINI_DOWN, TSR_MINI_NEAREST };

bool tsr_dtype_is_mini(enum tsr_dtype t); /* one of the formats above */
/* The number that a code stands for: exact. The code of TSR_F4E2M1 is in the low 4 bits. */
double tsr_mini_decode(enum tsr_dtype t, uint8_t code);
/* The code of a number, as ONNX Cast has it. saturate: what is too large, infinity too, becomes the largest
 * number; otherwise it becomes infinity, or NaN where the format has none. E2M1 always saturates and turns
 * NaN into a zero. */
uint8_t tsr_mini_encode(enum tsr_dtype t, double v, bool saturate, enum tsr_mini_round round);

#endif
