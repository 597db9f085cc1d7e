/* conv_plane.h - planes of X laid out so that windows slide over consecutive elements. Private to
 * ops/ (convolutions and pooling).
 *
 * A plane is copied with its padding into `phases`: one plane for every remainder of a coordinate
 * modulo the stride. Then a kernel tap reads consecutive elements for consecutive outputs of a
 * row, whatever the stride; and where output rows are given the length q[2] of a phase's rows
 * ("flat"), a tap is one offset for the whole plane: Y'[j] is made of X'[at[t] + j]. */
#ifndef TSR_OPS_CONV_PLANE_H
#define TSR_OPS_CONV_PLANE_H

#include "ops/conv_walk.h"

#define TSR_PLANE_SLACK 16 /* elements that may be read behind the phases and behind Y' */

/* What of X a phase holds, from its first row and column on; all of it for depth. */
struct tsr_phase {
    int64_t n[3];      /* extent */
    int64_t from, to;  /* offsets of the first element in X and in the phases */
};

struct tsr_plane {
    const struct tsr_window *w; /* the out sizes are at least 1 */
    int64_t q[3];               /* extent of a phase */
    int64_t size, n_phase;      /* elements of a phase; number of phases */
    int64_t all;                /* size * n_phase and slack */
    int64_t lo[3], hi[3];       /* the part of X that windows reach */
    bool covers;                /* ... is all of X */
    int64_t length;             /* of Y': the last output's flat index and 1 */
    int64_t margin;             /* the largest offset within a phase */
    int64_t *at;                /* [taps]: offset of a tap into the phases */
    int64_t *tap, *back;        /* [taps]: the taps ordered by phase, and their negative offsets in it */
    int64_t *phase_taps;        /* [n_phase]: how many taps read that phase */
    struct tsr_phase *phase;    /* [n_phase] */
    void *table;
    size_t table_bytes;
};

/* *w must outlive the plane. TSR_E_LIMIT, TSR_E_NOMEM. Release with tsr_plane_release. */
enum tsr_status tsr_plane_init(struct tsr_op_ctx *ctx, const struct tsr_window *w, struct tsr_plane *g) TSR_MUST_USE;
void tsr_plane_release(struct tsr_op_ctx *ctx, struct tsr_plane *g);

#endif
