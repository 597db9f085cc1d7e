/* op.c - what the operator families share. */
#include "ops/op.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tsr_op_set(struct tsr_op_ctx *ctx, int i, enum tsr_dtype dtype, const struct tsr_shape *shape)
{
    if (i >= ctx->node->n_out) return;
    ctx->out[i].dtype = dtype;
    ctx->out[i].shape = *shape;
}

void *tsr_op_scratch(struct tsr_op_ctx *ctx, size_t bytes)
{
    if (bytes == 0) bytes = 1;
    return ctx->alloc ? ctx->alloc->get(ctx->alloc->self, bytes) : tsr_aligned(bytes);
}

void tsr_op_scratch_free(struct tsr_op_ctx *ctx, void *p, size_t bytes)
{
    if (!p) return;
    if (bytes == 0) bytes = 1;
    if (ctx->alloc) ctx->alloc->put(ctx->alloc->self, p, bytes);
    else tsr_free(p);
}

void *tsr_op_keep(struct tsr_op_ctx *ctx, int i, size_t bytes)
{
    if (ctx->constant == NULL || !ctx->constant[i] || ctx->spare == NULL || bytes > *ctx->spare) return NULL;
    void *p = tsr_aligned(bytes);
    if (p == NULL) return NULL;
    if (*ctx->state != NULL) (*ctx->state_free)(*ctx->state);
    *ctx->state = p;
    *ctx->state_free = tsr_free;
    *ctx->spare -= bytes;
    return p;
}

enum tsr_status tsr_op_save(struct tsr_op_ctx *ctx, int i, enum tsr_dtype dtype, const struct tsr_shape *shape)
{
    if (i < 0 || i >= TSR_OP_MAX_SAVED)
        return tsr_op_fail(ctx, TSR_E_INTERNAL, "place %d for a saved tensor does not exist", i);
    tsr_tensor_release(&ctx->saved[i]);
    return tsr_tensor_new(&ctx->saved[i], dtype, shape, ctx->alloc, ctx->err);
}

enum tsr_status tsr_op_fail_at(struct tsr_op_ctx *ctx, enum tsr_status status, const char *format, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, format);
    int k = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return tsr_fail(ctx->err, status, "node '%.80s' (%.40s): %s", ctx->node->name ? ctx->node->name : "",
                    ctx->node->op_type, k < 0 ? "" : text);
}

/* "float32, int64" for the types in the mask. */
static const char *mask_text(uint32_t mask, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (int t = 1; t < 32 && at + 1 < size; t++) {
        if (!(mask >> t & 1)) continue;
        int k = snprintf(buf + at, size - at, "%s%s", at ? ", " : "", tsr_dtype_name((enum tsr_dtype)t));
        if (k < 0) break;
        at += (size_t)k;
    }
    return buf;
}

enum tsr_status tsr_op_need(struct tsr_op_ctx *ctx, int i, uint32_t dtypes)
{
    char text[200];
    const struct tsr_tensor *t = i < ctx->node->n_in ? ctx->in[i] : NULL;
    if (!t) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d is missing", i);
    if ((unsigned)t->dtype > 31 || !(dtypes >> t->dtype & 1))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "input %d is of type %s; supported: %s", i,
                           tsr_dtype_name(t->dtype), mask_text(dtypes, text, sizeof text));
    return TSR_OK;
}

enum tsr_status tsr_op_axis(struct tsr_op_ctx *ctx, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %" PRId64 " is outside a tensor of %d dimensions", axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return TSR_OK;
}
