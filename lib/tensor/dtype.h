/* dtype.h - element types. The values are those of ONNX's TensorProto.DataType. */
#ifndef TSR_TENSOR_DTYPE_H
#define TSR_TENSOR_DTYPE_H

#include "base/status.h"

enum tsr_dtype {
    TSR_NONE = 0,
    TSR_F32 = 1,
    TSR_U8 = 2,
    TSR_I8 = 3,
    TSR_U16 = 4,
    TSR_I16 = 5,
    TSR_I32 = 6,
    TSR_I64 = 7,
    TSR_STRING = 8, /* known by name only: no tensor of strings can be made */
    TSR_BOOL = 9,   /* one byte, 0 or 1 */
    TSR_F16 = 10,   /* IEEE 754 binary16 */
    TSR_F64 = 11,
    TSR_U32 = 12,
    TSR_U64 = 13,
    TSR_BF16 = 16, /* the upper half of a binary32 */
    TSR_F8E4M3FN = 17, /* the formats of 8 and 4 bits: tensor/minifloat.h */
    TSR_F8E4M3FNUZ = 18,
    TSR_F8E5M2 = 19,
    TSR_F8E5M2FNUZ = 20,
    TSR_U4 = 21,   /* two elements a byte, the first in the low nibble */
    TSR_I4 = 22,
    TSR_F4E2M1 = 23, /* two a byte, likewise */
    TSR_F8E8M0 = 24,
    TSR_U2 = 25,   /* four elements a byte, the first in the low bits */
    TSR_I2 = 26
};

/* "float32", "int8", ... ; "unknown" for values that are none of the above. Static storage. */
const char *tsr_dtype_name(enum tsr_dtype t);
/* The type of that name; TSR_NONE where there is none. */
enum tsr_dtype tsr_dtype_of(const char *name);
/* Bits of one element; 0 for TSR_NONE, TSR_STRING and unknown values. */
int tsr_dtype_bits(enum tsr_dtype t);
bool tsr_dtype_is_float(enum tsr_dtype t);  /* F16 BF16 F32 F64: what can be computed with */
bool tsr_dtype_is_int(enum tsr_dtype t);    /* signed and unsigned integers; not BOOL */
bool tsr_dtype_is_signed(enum tsr_dtype t); /* signed integers and floats */

/* Conversions of single values; to 16 bits round half to even, NaN stays NaN. */
float tsr_f16_to_f32(uint16_t h);
uint16_t tsr_f32_to_f16(float f);
uint16_t tsr_f64_to_f16(double d); /* rounds once */
float tsr_bf16_to_f32(uint16_t h);
uint16_t tsr_f32_to_bf16(float f);
uint16_t tsr_f64_to_bf16(double d); /* rounds once */

/* One element of an array of type t, as a number. Integers beyond 2^53 lose bits here: use the
 * i64 pair for them. Stores to an integer type truncate towards zero and wrap; to BOOL, != 0.
 * Not for TSR_STRING. */
double tsr_load_f64(enum tsr_dtype t, const void *data, int64_t i);
void tsr_store_f64(enum tsr_dtype t, void *data, int64_t i, double v);
/* The same for integers (and floats, truncated): U64 is carried in the bits of an int64. */
int64_t tsr_load_i64(enum tsr_dtype t, const void *data, int64_t i);
void tsr_store_i64(enum tsr_dtype t, void *data, int64_t i, int64_t v);

/* n elements from one type to another, as ONNX Cast does for the types above (no saturation, but to 8
 * and 4 bits); float to narrower float rounds half to even, float to integer truncates. */
void tsr_convert(enum tsr_dtype to, void *dst, enum tsr_dtype from, const void *src, int64_t n);

#endif
