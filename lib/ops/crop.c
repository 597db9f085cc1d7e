/* crop.c - CenterCropPad: the middle of a tensor, or the tensor in the middle of zeros. */
#include "ops/families.h"
#include "ops/tape.h"

static enum tsr_status body(struct tsr_tape *t)
{
    struct tsr_op_ctx *ctx = tsr_tape_ctx(t);
    int64_t axes[TSR_MAX_RANK], want[TSR_MAX_RANK], pads[2 * TSR_MAX_RANK] = {0};
    int n_axes, n_want;
    bool pad = false, seen[TSR_MAX_RANK] = {false};
    tsr_ref x = tsr_tape_in(t, 0);
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    TSR_TRY(tsr_arg_ints(ctx, "axes", -1, axes, TSR_MAX_RANK, &n_axes));
    TSR_TRY(tsr_arg_ints(ctx, NULL, 1, want, TSR_MAX_RANK, &n_want));
    if (n_want != (n_axes < 0 ? s.rank : n_axes)) return tsr_tape_fail(t, TSR_E_MISMATCH, "there is not one size for each axis");
    for (int i = 0; i < n_want; i++) {
        int axis = i;
        if (n_axes >= 0) TSR_TRY(tsr_op_axis(ctx, axes[i], s.rank, &axis));
        if (want[i] < 0 || seen[axis]) return tsr_tape_fail(t, TSR_E_CORRUPT, "axis %d is named twice or gets a negative size", axis);
        seen[axis] = true;
        const int64_t more = want[i] - s.dim[axis];
        if (more < 0) x = tsr_tape_slice(t, x, axis, -more / 2, -more / 2 + want[i]);
        if (more > 0) pads[axis] = more / 2, pads[s.rank + axis] = more - more / 2, pad = true;
    }
    if (pad) x = tsr_tape_op(t, "Pad", x, tsr_tape_ints(t, 2 * s.rank, pads));
    tsr_tape_out(t, 0, x);
    return tsr_tape_status(t);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, body); }

const struct tsr_op tsr_ops_crop[] = {
    {"CenterCropPad", "", TSR_OP_DYNAMIC, 2, 2, 1, NULL, forward, tsr_tape_backward, 0},
};
const size_t tsr_n_ops_crop = sizeof tsr_ops_crop / sizeof *tsr_ops_crop;
