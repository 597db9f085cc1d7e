/* index.h - value names to ids: an open-addressing hash table over borrowed strings. */
#ifndef TSR_GRAPH_INDEX_H
#define TSR_GRAPH_INDEX_H

#include "base/status.h"

struct tsr_index;

enum tsr_status tsr_index_new(struct tsr_index **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_index_free(struct tsr_index *index);
/* The name must outlive the index and must not be in it yet. */
enum tsr_status tsr_index_add(struct tsr_index *index, const char *name, int32_t id,
                              struct tsr_error *err) TSR_MUST_USE;
/* The id, or -1. */
int32_t tsr_index_find(const struct tsr_index *index, const char *name);

#endif
