/* recycler.h - the allocator of a session: blocks that one node gives back serve the next one, and the
 * next run. Not thread-safe.
 *
 * Small blocks are kept in lists by size. Large ones lie in a region of address space: a block goes
 * into the smallest gap that holds it, neighbouring gaps are one gap, and only where none is large
 * enough does the region grow. So what a run takes stays close to the most that it needs at once,
 * whatever the sizes of its values. Address space is scarce under a limit on it, and costs an emulator
 * memory: the first region is small, and only what does not fit there goes into a second, large one. */
#ifndef TSR_GRAPH_RECYCLER_H
#define TSR_GRAPH_RECYCLER_H

#include "tensor/tensor.h"

#define TSR_RECYCLER_CLASSES 64

struct tsr_gap {
    size_t at, bytes;
};

struct tsr_region {
    char *base;               /* NULL: not asked for yet, or not to be had */
    bool asked;
    size_t bytes;             /* of address space */
    size_t usable;            /* bytes of it that may be touched so far */
    size_t top;               /* what lies behind was never used, or is free again */
    struct tsr_gap *gap;      /* below top, by address, no two of them adjacent */
    size_t n_gap, cap_gap;
    size_t blocks;            /* handed out of the region */
};

enum { TSR_RECYCLER_REGIONS = 2 };

struct tsr_recycler {
    struct tsr_recycled *free_list[TSR_RECYCLER_CLASSES];
    struct tsr_region region[TSR_RECYCLER_REGIONS]; /* blocks that fit in none are not kept */
    size_t live;              /* bytes asked for and not given back */
    size_t limit;             /* more of them than this are "short of memory"; 0: none */
    struct tsr_allocator allocator;
};

void tsr_recycler_init(struct tsr_recycler *r);
/* Frees what was kept; all blocks must have come back. */
void tsr_recycler_release(struct tsr_recycler *r);

#endif
