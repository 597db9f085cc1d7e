/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4): reflected 0x82F63B78, initial and
 * final complement. Uses the SSE4.2 instruction where there is one. Thread-safe. */
#ifndef TSR_BASE_CRC32C_H
#define TSR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to start) over n bytes. tsr_crc32c(0, "123456789", 9) == 0xE3069283. */
uint32_t tsr_crc32c(uint32_t crc, const void *data, size_t n);

#endif
