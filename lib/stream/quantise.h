/* quantise.h - the two codes of int8 and int4 matrices; used by rowset.c, which checks sizes
 * and arranges the codes. `head` are the bytes in front of the elements, `codes` one byte a
 * value in C order (0 .. 255 or 0 .. 15). Thread-safe. */
#ifndef TSR_STREAM_QUANTISE_H
#define TSR_STREAM_QUANTISE_H

#include "stream/rowset.h"

/* x ~ low + scale * code; low the column's minimum, scale its range over 255 or 15. */
void tsr_affine_encode(const struct tsr_rowset *s, const float *x, uint8_t *head, uint8_t *codes);
enum tsr_status tsr_affine_decode(const struct tsr_rowset *s, const uint8_t *head, const uint8_t *codes, float *x,
                                  struct tsr_error *err) TSR_MUST_USE;

/* x - max(row) ~ level[code], the row's first maximum being the only one to take the last level. */
enum tsr_status tsr_softmax_encode(const struct tsr_rowset *s, const float *x, uint8_t *head, uint8_t *codes,
                                   struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_softmax_decode(const struct tsr_rowset *s, const uint8_t *head, const uint8_t *codes, float *x,
                                   struct tsr_error *err) TSR_MUST_USE;

#endif
