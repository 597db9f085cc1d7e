/* recycler.h - an allocator that keeps freed blocks for the next run of the same graph. Blocks
 * are rounded up to one of four sizes per power of two. Not thread-safe. */
#ifndef TSR_GRAPH_RECYCLER_H
#define TSR_GRAPH_RECYCLER_H

#include "tensor/tensor.h"

#define TSR_RECYCLER_CLASSES 256

struct tsr_recycler {
    struct tsr_recycled *free_list[TSR_RECYCLER_CLASSES];
    size_t live, kept, peak; /* bytes handed out, kept in lists, most ever handed out */
    size_t limit;            /* more live bytes than this are "short of memory"; 0: none */
    struct tsr_allocator allocator;
};

void tsr_recycler_init(struct tsr_recycler *r);
/* Frees what is in the lists; blocks still handed out must have come back. */
void tsr_recycler_release(struct tsr_recycler *r);

#endif
