/* jsoncheck.h - the strict grammar behind tsr_json_parse. Thread-safe. */
#ifndef TSR_IO_JSONCHECK_H
#define TSR_IO_JSONCHECK_H

#include "base/status.h"

/* Length of the valid UTF-8 sequence at p (n bytes are there), as Unicode table 3-7 has it: no
 * overlong forms, no surrogates, nothing above U+10FFFF. 0 where it is not valid. */
size_t tsr_utf8_step(const uint8_t *p, size_t n);
/* Whether all n bytes are UTF-8. */
bool tsr_utf8_valid(const void *text, size_t n);

/* NULL where the n bytes are one JSON text as tsr_json_parse wants it (duplicate names apart),
 * else what is wrong, with its position in *at. */
const char *tsr_json_check(const uint8_t *text, size_t n, int depth, size_t *at);

#endif
