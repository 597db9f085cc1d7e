/* npz.h - NumPy's .npz archives (zip files of .npy members, stored or deflated), through libzip.
 *
 * An archive and the sources of its members belong to one thread at a time. */
#ifndef TSR_IO_NPZ_H
#define TSR_IO_NPZ_H

#include "io/source.h"

struct tsr_npz;

#define TSR_NPZ_MEMORY_MAX ((size_t)4 << 30) /* of an archive that cannot be read from a file */

/* Whether these first bytes are those of a zip archive. */
bool tsr_npz_is_magic(const uint8_t *p, size_t n);

/* Opens an archive that is a regular file. TSR_E_IO, TSR_E_FORMAT (not a zip archive, or one
 * without .npy members), TSR_E_CORRUPT, TSR_E_NOMEM; *out is NULL then. */
enum tsr_status tsr_npz_open(const char *path, struct tsr_npz **out, struct tsr_error *err) TSR_MUST_USE;
/* Reads an archive from a pipe or memory, as a whole; the source is not needed afterwards.
 * TSR_E_LIMIT above TSR_NPZ_MEMORY_MAX. */
enum tsr_status tsr_npz_from_source(struct tsr_source *source, struct tsr_npz **out,
                                    struct tsr_error *err) TSR_MUST_USE;
void tsr_npz_close(struct tsr_npz *z); /* NULL allowed */

/* The arrays, in the archive's order, by their names without ".npy". */
size_t tsr_npz_count(const struct tsr_npz *z);
const char *tsr_npz_name(const struct tsr_npz *z, size_t i);

/* The bytes of one .npy member, unpacked as they are read; the checksum is compared at the end.
 * `name` with or without ".npy"; NULL: the only one. TSR_E_NOT_FOUND names those there are.
 * Close the source before the archive. */
enum tsr_status tsr_npz_member(struct tsr_npz *z, const char *name, struct tsr_source **out,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
