#include "ops/window.h"

#include <inttypes.h>
#include <string.h>

enum { SPATIAL = 3 };
static const int64_t largest = INT64_C(1) << 31; /* of any attribute: products of three fit */

/* Reads an integer list of `per` values a dimension into a[], led by `fill`. */
static enum tsr_status read_list(struct tsr_op_ctx *ctx, const char *name, int rank, int64_t least, int64_t fill,
                                 int64_t a[3])
{
    size_t n;
    const int64_t *v = tsr_node_ints(ctx->node, name, &n);
    for (int d = 0; d < SPATIAL; d++) a[d] = fill;
    if (v == NULL || n == 0) return TSR_OK;
    if (n != (size_t)rank)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "%s has %zu values for %d spatial dimensions", name, n, rank);
    for (int d = 0; d < rank; d++) {
        if (v[d] < least || v[d] > largest)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "%s holds %" PRId64, name, v[d]);
        a[SPATIAL - rank + d] = v[d];
    }
    return TSR_OK;
}

static enum tsr_status read_pads(struct tsr_op_ctx *ctx, struct tsr_window *w)
{
    size_t n;
    const int64_t *v = tsr_node_ints(ctx->node, "pads", &n);
    if (v == NULL || n == 0) return TSR_OK;
    if (n != (size_t)w->rank * 2)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "pads has %zu values for %d spatial dimensions", n, w->rank);
    for (int d = 0; d < w->rank; d++) {
        if (v[d] < 0 || v[d + w->rank] < 0 || v[d] > largest || v[d + w->rank] > largest)
            return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "pads hold a negative or huge number");
        w->pad[SPATIAL - w->rank + d] = v[d];
        w->pad_end[SPATIAL - w->rank + d] = v[d + w->rank];
    }
    return TSR_OK;
}

static enum tsr_status read_auto_pad(struct tsr_op_ctx *ctx, char *mode)
{
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *s = tsr_node_string(ctx->node, "auto_pad", "NOTSET");
    for (size_t i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) {
            *mode = "NVUL"[i];
            return TSR_OK;
        }
    return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "auto_pad is '%.40s'", s);
}

enum tsr_status tsr_window_attributes(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const int64_t *kernel,
                                      struct tsr_window *w, char *auto_pad)
{
    char text[TSR_SHAPE_TEXT];
    memset(w, 0, sizeof *w);
    w->rank = x->rank - 2;
    if (w->rank < 1)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, size...], not %s",
                           tsr_shape_text(x, text, sizeof text));
    if (w->rank > SPATIAL)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "%d spatial dimensions; at most %d are supported", w->rank, SPATIAL);
    TSR_TRY(read_list(ctx, "kernel_shape", w->rank, 1, 1, w->kernel));
    TSR_TRY(read_list(ctx, "strides", w->rank, 1, 1, w->stride));
    TSR_TRY(read_list(ctx, "dilations", w->rank, 1, 1, w->dilation));
    TSR_TRY(read_auto_pad(ctx, auto_pad));
    if (*auto_pad == 'N') TSR_TRY(read_pads(ctx, w));
    size_t listed;
    bool has_shape = tsr_node_ints(ctx->node, "kernel_shape", &listed) != NULL && listed > 0;
    if (kernel == NULL && !has_shape) return tsr_op_fail(ctx, TSR_E_CORRUPT, "kernel_shape is missing");
    w->n = x->dim[0];
    w->c = x->dim[1];
    w->in_size = w->kernel_size = 1;
    for (int d = 0; d < SPATIAL; d++) {
        int i = d - (SPATIAL - w->rank);
        w->in[d] = i >= 0 ? x->dim[2 + i] : 1;
        if (kernel != NULL && i >= 0) {
            if (has_shape && w->kernel[d] != kernel[i])
                return tsr_op_fail(ctx, TSR_E_MISMATCH, "kernel_shape says %" PRId64 " where the weights have %" PRId64,
                                   w->kernel[d], kernel[i]);
            w->kernel[d] = kernel[i];
        }
        if (w->kernel[d] < 1 || w->kernel[d] > largest)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "a window of size %" PRId64, w->kernel[d]);
        if (w->in[d] > largest) return tsr_op_fail(ctx, TSR_E_LIMIT, "a spatial size of %" PRId64, w->in[d]);
        if (__builtin_mul_overflow(w->in_size, w->in[d], &w->in_size) ||
            __builtin_mul_overflow(w->kernel_size, w->kernel[d], &w->kernel_size))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "the window is too large");
    }
    return TSR_OK;
}

enum tsr_status tsr_window_init(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const int64_t *kernel,
                                struct tsr_window *w)
{
    char mode;
    TSR_TRY(tsr_window_attributes(ctx, x, kernel, w, &mode));
    bool ceiling = mode == 'N' && tsr_node_int(ctx->node, "ceil_mode", 0) != 0;
    w->out_size = 1;
    for (int d = 0; d < SPATIAL; d++) {
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1, s = w->stride[d];
        if (mode == 'U' || mode == 'L') {
            w->out[d] = (w->in[d] + s - 1) / s;
            int64_t total = (w->out[d] - 1) * s + reach - w->in[d];
            if (total < 0) total = 0;
            w->pad[d] = mode == 'U' ? total / 2 : total - total / 2;
            w->pad_end[d] = total - w->pad[d];
        } else {
            int64_t room = w->in[d] + w->pad[d] + w->pad_end[d] - reach;
            if (room < 0 && ceiling && room + s > 0 && w->in[d] > 0) room = 0;
            if (room < 0)
                return tsr_op_fail(ctx, TSR_E_MISMATCH,
                                   "the window reaches over %" PRId64 " where the padded input has %" PRId64, reach,
                                   reach + room);
            w->out[d] = (ceiling ? (room + s - 1) / s : room / s) + 1;
            /* A last window that would begin in the padding at the end is left out. */
            if (ceiling && (w->out[d] - 1) * s >= w->in[d] + w->pad[d]) w->out[d]--;
        }
        if (__builtin_mul_overflow(w->out_size, w->out[d], &w->out_size))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "the output is too large");
    }
    return TSR_OK;
}

struct tsr_shape tsr_window_channels_first(const struct tsr_shape *x)
{
    struct tsr_shape s = *x;
    s.dim[1] = x->dim[x->rank - 1];
    for (int i = 1; i + 1 < x->rank; i++) s.dim[i + 1] = x->dim[i];
    return s;
}

struct tsr_shape tsr_window_shape(const struct tsr_window *w, int64_t channels)
{
    struct tsr_shape s = {.rank = w->rank + 2, .dim = {w->n, channels}};
    for (int i = 0; i < w->rank; i++) s.dim[2 + i] = w->out[SPATIAL - w->rank + i];
    return s;
}
