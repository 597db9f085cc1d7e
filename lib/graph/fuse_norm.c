/* fuse_norm.c - LayerNormalization and Gelu as exporters spell them out for old opsets. */
#include <math.h>
#include <string.h>

#include "graph/fuse_impl.h"

/* ReduceMean over the last axis, kept: the value it averages, or -1. */
static int32_t mean_of(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_node *mean = tsr_fuse_producer(f, v, "ReduceMean");
    int64_t axis;
    int n;
    if (!mean || tsr_node_int(mean, "keepdims", 1) != 1 || !tsr_fuse_hidden(f, v)) return -1;
    if (!tsr_fuse_ints(f, mean, "axes", 1, &axis, 1, &n) || n != 1) return -1;
    return axis == -1 || axis == tsr_fuse_rank(f, mean->in[0]) - 1 ? mean->in[0] : -1;
}

/* v = x - mean(x): x, or -1. */
static int32_t centred(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_node *sub = tsr_fuse_producer(f, v, "Sub");
    if (!sub || !tsr_fuse_hidden(f, v)) return -1;
    return mean_of(f, sub->in[1]) == sub->in[0] ? sub->in[0] : -1;
}

/* v = d^2 for a centred d: x, or -1. */
static int32_t centred_square(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_node *pow = tsr_fuse_producer(f, v, "Pow"), *mul = tsr_fuse_producer(f, v, "Mul");
    if (!tsr_fuse_hidden(f, v)) return -1;
    if (pow && tsr_fuse_is(f, pow->in[1], 2)) return centred(f, pow->in[0]);
    if (mul && mul->in[0] == mul->in[1]) return centred(f, mul->in[0]);
    return -1;
}

/* v = sqrt(var(x) + epsilon): x, or -1. */
static int32_t deviation(const struct tsr_fuse *f, int32_t v, double *epsilon)
{
    const struct tsr_node *root = tsr_fuse_producer(f, v, "Sqrt");
    if (!root || !tsr_fuse_hidden(f, v) || !tsr_fuse_hidden(f, root->in[0])) return -1;
    const struct tsr_node *add = tsr_fuse_producer(f, root->in[0], "Add");
    if (!add) return -1;
    int32_t var = tsr_fuse_scalar(f, add->in[1], epsilon) ? add->in[0] : tsr_fuse_scalar(f, add->in[0], epsilon) ? add->in[1] : -1;
    int32_t square = mean_of(f, var);
    return square < 0 ? -1 : centred_square(f, square);
}

static bool is_row(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_tensor *t = tsr_fuse_weight(f, v);
    return t && t->shape.rank == 1 && t->shape.dim[0] >= 2;
}

/* Anchored at the division; gamma must follow, beta may. */
enum tsr_status tsr_fuse_layernorm(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    double epsilon;
    if (strcmp(node->op_type, "Div") != 0 || node->domain[0]) return TSR_OK;
    int32_t x = centred(f, node->in[0]);
    if (x < 0 || deviation(f, node->in[1], &epsilon) != x) return TSR_OK;
    const struct tsr_node *mul = tsr_fuse_reader(f, node->out[0], "Mul");
    if (!mul) return TSR_OK;
    int32_t in[3] = {x, tsr_fuse_other(mul, node->out[0]), -1};
    if (!is_row(f, in[1])) return TSR_OK;
    const struct tsr_node *last = mul, *add = tsr_fuse_reader(f, mul->out[0], "Add");
    if (add) {
        in[2] = tsr_fuse_other(add, mul->out[0]);
        if (is_row(f, in[2]) && f->g->value[in[2]].init.shape.dim[0] == f->g->value[in[1]].init.shape.dim[0]) last = add;
    }
    TSR_TRY(tsr_fuse_begin(f, "LayerNormalization", "", last == add ? 3 : 2, in, last->out[0]));
    TSR_TRY(tsr_graph_attr_int(f->g, "axis", -1, f->err));
    TSR_TRY(tsr_graph_attr_float(f->g, "epsilon", (float)epsilon, f->err));
    *done = true;
    return tsr_fuse_commit(f, last);
}

/* ---- Gelu ----------------------------------------------------------------------------------- */

/* v = x * factor, by Mul or by Div with its inverse: x, or -1. */
static int32_t scaled_by(const struct tsr_fuse *f, int32_t v, double factor)
{
    const struct tsr_node *mul = tsr_fuse_producer(f, v, "Mul"), *div = tsr_fuse_producer(f, v, "Div");
    if (!tsr_fuse_hidden(f, v)) return -1;
    if (mul && tsr_fuse_is(f, mul->in[1], factor)) return mul->in[0];
    if (mul && tsr_fuse_is(f, mul->in[0], factor)) return mul->in[1];
    if (div && tsr_fuse_is(f, div->in[1], 1 / factor)) return div->in[0];
    return -1;
}

static bool halves(const struct tsr_fuse *f, const struct tsr_node *node, int32_t v)
{
    if (strcmp(node->op_type, "Div") == 0) return node->in[0] == v && tsr_fuse_is(f, node->in[1], 2);
    return tsr_fuse_is(f, tsr_fuse_other(node, v), 0.5);
}

static const struct tsr_node *times(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_node *mul = tsr_fuse_reader(f, v, "Mul");
    return mul ? mul : tsr_fuse_reader(f, v, "Div");
}

/* From a = 1 + phi to the product 0.5 * x * a, in any order: its last node, or NULL. */
static const struct tsr_node *gelu_tail(const struct tsr_fuse *f, int32_t a, int32_t x)
{
    const struct tsr_node *first = times(f, a);
    if (!first) return NULL;
    int32_t out = first->out[0];
    if (halves(f, first, a)) { /* (0.5 a) x */
        const struct tsr_node *next = tsr_fuse_reader(f, out, "Mul");
        return next && tsr_fuse_other(next, out) == x ? next : NULL;
    }
    if (strcmp(first->op_type, "Mul") != 0) return NULL;
    int32_t other = tsr_fuse_other(first, a);
    if (other == x) { /* (x a) 0.5 */
        const struct tsr_node *next = times(f, out);
        return next && halves(f, next, out) ? next : NULL;
    }
    return other >= 0 && scaled_by(f, other, 0.5) == x ? first : NULL; /* (0.5 x) a */
}

/* u = sqrt(2 / pi) * (x + 0.044715 x^3): x, or -1. */
static int32_t tanh_argument(const struct tsr_fuse *f, int32_t u)
{
    const struct tsr_node *add = tsr_fuse_producer(f, scaled_by(f, u, sqrt(2 / 3.14159265358979323846)), "Add");
    for (int k = 0; add && k < 2; k++) {
        int32_t x = add->in[k], cube = scaled_by(f, add->in[1 - k], 0.044715);
        const struct tsr_node *pow = tsr_fuse_producer(f, cube, "Pow"), *mul = tsr_fuse_producer(f, cube, "Mul");
        if (cube < 0 || !tsr_fuse_hidden(f, cube) || !tsr_fuse_hidden(f, add->out[0])) continue;
        if (pow && pow->in[0] == x && tsr_fuse_is(f, pow->in[1], 3)) return x;
        int32_t square = mul ? tsr_fuse_other(mul, x) : -1;
        const struct tsr_node *inner = tsr_fuse_producer(f, square, "Mul");
        pow = tsr_fuse_producer(f, square, "Pow");
        if (inner && inner->in[0] == x && inner->in[1] == x && tsr_fuse_hidden(f, square)) return x;
        if (pow && pow->in[0] == x && tsr_fuse_is(f, pow->in[1], 2) && tsr_fuse_hidden(f, square)) return x;
    }
    return -1;
}

/* Anchored at Erf or Tanh. */
enum tsr_status tsr_fuse_gelu(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    bool erf = strcmp(node->op_type, "Erf") == 0;
    if (node->domain[0] || (!erf && strcmp(node->op_type, "Tanh") != 0)) return TSR_OK;
    int32_t x = erf ? scaled_by(f, node->in[0], sqrt(0.5)) : tanh_argument(f, node->in[0]);
    const struct tsr_node *add = x < 0 ? NULL : tsr_fuse_reader(f, node->out[0], "Add");
    if (!add || !tsr_fuse_is(f, tsr_fuse_other(add, node->out[0]), 1)) return TSR_OK;
    const struct tsr_node *last = gelu_tail(f, add->out[0], x);
    if (!last || !tsr_op_find("", "Gelu")) return TSR_OK;
    TSR_TRY(tsr_fuse_begin(f, "Gelu", "", 1, &x, last->out[0]));
    TSR_TRY(tsr_graph_attr_string(f->g, "approximate", erf ? "none" : "tanh", f->err));
    *done = true;
    return tsr_fuse_commit(f, last);
}
