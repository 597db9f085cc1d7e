/* number.h - decimal text to double and back, the same in every locale. Thread-safe. */
#ifndef TSR_IO_NUMBER_H
#define TSR_IO_NUMBER_H

#include "base/status.h"

/* Parses all n bytes as [+-] digits [. digits] [e [+-] digits] (a digit on one side of the point
 * is enough), correctly rounded; too large gives infinity. False where the text is anything else
 * or longer than TSR_NUMBER_MAX. */
#define TSR_NUMBER_MAX 400
bool tsr_number_parse(const char *text, size_t n, double *out);

/* Whether the text is an integer that fits, and which. Same grammar: [+-] digits. */
bool tsr_number_parse_int(const char *text, size_t n, int64_t *out);

/* Writes the shortest decimal text that reads back as the same finite double, laid out as
 * ECMAScript's Number::toString does (and so RFC 8785): no exponent from 1e-6 to below 1e21, no
 * point in integers, -0 as "0". Returns its length. */
#define TSR_NUMBER_TEXT 32
size_t tsr_number_print(double v, char out[TSR_NUMBER_TEXT]);

#endif
