/* einsum.c - Einsum: sums of products in Einstein's notation, with ellipses, repeated letters and the
 * implicit form. Dimensions of one element broadcast, as in numpy. Products are taken from left to
 * right (ops/contract.h). */
#include "base/mem.h"
#include "ops/contract.h"
#include "ops/families.h"

#include <ctype.h>
#include <string.h>

enum { MAX_TERMS = 32, DOTS = 52 }; /* labels: A to Z, a to z, then the dimensions of the ellipsis, the last one last */

struct equation {
    int n;
    struct tsr_term in[MAX_TERMS], out;
    int64_t dim[TSR_LABELS]; /* of each label; -1: it does not occur */
    bool repeats[MAX_TERMS]; /* a letter twice in one term: its diagonal is read */
};

static int label_of(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c - 'a' + 26; }

/* The labels of one term of the text over a tensor of `rank` dimensions, which may repeat; *end: behind
 * the term. rank < 0 (the output): the ellipsis stands for the dimensions that `dim` knows. */
static enum tsr_status read_term(struct tsr_op_ctx *ctx, const char *p, int rank, const int64_t *dim,
                                 uint8_t label[TSR_LABELS], int *n, const char **end)
{
    int letters = 0, dots = -1;
    *n = 0;
    for (*end = p; **end && **end != ',' && **end != '-'; ++*end) letters += isalpha((unsigned char)**end) != 0;
    for (; p < *end; p++) {
        if (*p == ' ') continue;
        if (*n >= TSR_MAX_RANK)
            return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "a term of the equation has more than %d dimensions", TSR_MAX_RANK);
        if (isalpha((unsigned char)*p)) {
            label[(*n)++] = (uint8_t)label_of(*p);
            continue;
        }
        if (strncmp(p, "...", 3) != 0 || dots >= 0)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the equation cannot be understood at '%.20s'", p);
        p += 2;
        dots = rank - letters;
        for (int i = DOTS; i < DOTS + TSR_MAX_RANK && *n < TSR_MAX_RANK; i++)
            if (rank < 0 ? dim[i] >= 0 : i >= DOTS + TSR_MAX_RANK - dots) label[(*n)++] = (uint8_t)i;
    }
    if (rank >= 0 && *n != rank)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "a term of the equation names %d dimensions, its input has %d", letters, rank);
    return TSR_OK;
}

/* Sizes of the labels, from input i. */
static enum tsr_status note_sizes(struct tsr_op_ctx *ctx, struct equation *e, int i, const uint8_t *label)
{
    const struct tsr_shape *s = &ctx->in[i]->shape;
    for (int k = 0; k < s->rank; k++) {
        int64_t *known = &e->dim[label[k]], d = s->dim[k];
        if (*known < 0 || *known == 1) *known = d;
        else if (d != 1 && d != *known)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d of input %d is %lld where the equation needs %lld", k, i,
                               (long long)d, (long long)*known);
    }
    return TSR_OK;
}

/* Input i as a term: repeated labels become the diagonal, dimensions that broadcast drop out. */
static enum tsr_status view_input(struct tsr_op_ctx *ctx, struct equation *e, int i, const uint8_t *label)
{
    const struct tsr_tensor *x = ctx->in[i];
    struct tsr_term *t = &e->in[i];
    int64_t stride[TSR_MAX_RANK];
    tsr_arg_strides(&x->shape, stride);
    t->data = x->data;
    for (int k = 0; k < x->shape.rank; k++) {
        int at = tsr_term_find(t, label[k]);
        if (at >= 0 && x->shape.dim[k] != t->dim[at])
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "the diagonal of input %d runs over sizes %lld and %lld", i,
                               (long long)t->dim[at], (long long)x->shape.dim[k]);
        if (at >= 0) {
            t->stride[at] += stride[k];
            e->repeats[i] = true;
        } else {
            t->label[t->rank] = label[k];
            t->dim[t->rank] = x->shape.dim[k];
            t->stride[t->rank++] = stride[k];
        }
    }
    int kept = 0;
    for (int k = 0; k < t->rank; k++) {
        if (t->dim[k] != e->dim[t->label[k]]) continue;
        t->label[kept] = t->label[k];
        t->dim[kept] = t->dim[k];
        t->stride[kept++] = t->stride[k];
    }
    t->rank = kept;
    return TSR_OK;
}

/* The output's labels: those behind "->", or the ellipsis and all letters that occur once, sorted. */
static enum tsr_status read_output(struct tsr_op_ctx *ctx, struct equation *e, const char *p, const int *times)
{
    uint8_t label[TSR_LABELS];
    int n = 0;
    uint64_t seen = 0;
    if (*p == '-') {
        if (p[1] != '>') return tsr_op_fail(ctx, TSR_E_CORRUPT, "the equation cannot be understood at '%.20s'", p);
        const char *end;
        TSR_TRY(read_term(ctx, p + 2, -1, e->dim, label, &n, &end));
        if (*end) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the equation has more than one output");
    } else {
        for (int i = DOTS; i < DOTS + TSR_MAX_RANK; i++)
            if (e->dim[i] >= 0) label[n++] = (uint8_t)i;
        for (int i = 0; i < DOTS; i++)
            if (times[i] == 1) label[n++] = (uint8_t)i;
    }
    if (n > TSR_MAX_RANK) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the output has more than %d dimensions", TSR_MAX_RANK);
    int64_t stride = 1;
    for (int i = n - 1; i >= 0; i--) {
        if (e->dim[label[i]] < 0)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the output of the equation names a letter that no input has");
        if (seen >> label[i] & 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the output of the equation names a letter twice");
        seen |= (uint64_t)1 << label[i];
        e->out.label[i] = label[i];
        e->out.dim[i] = e->dim[label[i]];
        e->out.stride[i] = stride;
        if (e->out.dim[i] > 0 && __builtin_mul_overflow(stride, e->out.dim[i], &stride))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "the output is too large");
    }
    e->out.rank = n;
    return TSR_OK;
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct equation *e)
{
    const char *p = tsr_node_string(ctx->node, "equation", NULL);
    uint8_t label[MAX_TERMS][TSR_LABELS];
    int times[DOTS + TSR_MAX_RANK] = {0};
    memset(e, 0, sizeof *e);
    for (int i = 0; i < TSR_LABELS; i++) e->dim[i] = -1;
    e->n = ctx->node->n_in;
    if (!p) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'equation' is missing");
    if (e->n > MAX_TERMS) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "%d inputs are more than %d", e->n, MAX_TERMS);
    for (int i = 0; i < e->n; i++) {
        int n;
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL | TSR_MASK_INT));
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
        if (i > 0 && *p++ != ',') return tsr_op_fail(ctx, TSR_E_MISMATCH, "the equation has fewer terms than there are inputs");
        TSR_TRY(read_term(ctx, p, ctx->in[i]->shape.rank, NULL, label[i], &n, &p));
        TSR_TRY(note_sizes(ctx, e, i, label[i]));
        for (int k = 0; k < n; k++) times[label[i][k]]++;
    }
    if (*p == ',') return tsr_op_fail(ctx, TSR_E_MISMATCH, "the equation has more terms than there are inputs");
    for (int i = 0; i < e->n; i++) TSR_TRY(view_input(ctx, e, i, label[i]));
    return read_output(ctx, e, p, times);
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct equation e;
    TSR_TRY(describe(ctx, &e));
    struct tsr_shape s = {.rank = e.out.rank};
    memcpy(s.dim, e.out.dim, sizeof s.dim);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct equation e;
    TSR_TRY(describe(ctx, &e));
    e.out.data = ctx->out[0].data;
    return tsr_contract(ctx, ctx->in[0]->dtype, e.n, e.in, &e.out);
}

/* The gradient of input i: the output's, times all other inputs, over the labels of input i; spread
 * over those labels that only input i has. */
static enum tsr_status gradient(struct tsr_op_ctx *ctx, const struct equation *e, int i)
{
    struct tsr_term term[MAX_TERMS], part = {0};
    const struct tsr_term *mine = &e->in[i];
    const enum tsr_dtype dtype = ctx->in[i]->dtype;
    struct tsr_tensor *g = &ctx->gin[i];
    uint64_t have = tsr_term_labels(&e->out);
    int n = 1;
    term[0] = e->out;
    term[0].data = ctx->gout[0]->data;
    for (int k = 0; k < e->n; k++)
        if (k != i) {
            have |= tsr_term_labels(&e->in[k]);
            term[n++] = e->in[k];
        }
    int64_t size = 1;
    for (int k = mine->rank - 1; k >= 0; k--) {
        if (!(have >> mine->label[k] & 1)) continue;
        part.label[part.rank] = mine->label[k];
        part.dim[part.rank] = mine->dim[k];
        part.stride[part.rank++] = size;
        size *= mine->dim[k];
    }
    const size_t bytes = tsr_dtype_bytes(dtype, size);
    part.data = tsr_op_scratch(ctx, bytes);
    if (!part.data) return tsr_nomem(ctx->err, bytes);
    enum tsr_status status = tsr_contract(ctx, dtype, n, term, &part);
    if (status == TSR_OK) {
        struct tsr_copy c = {.dtype = dtype, .rank = mine->rank, .dst = g->data, .src = part.data};
        for (int k = 0; k < mine->rank; k++) {
            int at = tsr_term_find(&part, mine->label[k]);
            c.dim[k] = mine->dim[k];
            c.ds[k] = mine->stride[k];
            c.ss[k] = at >= 0 ? part.stride[at] : 0;
        }
        if (e->repeats[i]) memset(g->data, 0, tsr_tensor_bytes(g));
        tsr_copy_run(ctx->pool, &c);
    }
    tsr_op_scratch_free(ctx, part.data, bytes);
    return status;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct equation e;
    TSR_TRY(describe(ctx, &e));
    for (int i = 0; i < e.n; i++) {
        if (!ctx->want_gin[i] || tsr_tensor_count(&ctx->gin[i]) == 0) continue;
        if (!ctx->gout[0]) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
        else TSR_TRY(gradient(ctx, &e, i));
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_einsum[] = {
    {"Einsum", "", TSR_OP_WIDEN, 1, -1, 1, infer, forward, backward, 0xFFFFFFFFu},
};
const size_t tsr_n_ops_einsum = sizeof tsr_ops_einsum / sizeof *tsr_ops_einsum;
