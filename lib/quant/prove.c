#include "quant/prove.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* What a value between two integer operators stands for; or weights. */
struct grid {
    const struct tsr_tensor *scale, *zero; /* NULL: 1, 0 */
    enum tsr_dtype type;
};

/* One layer: weight (c, t) of channel c is q[(c / inner) * outer_step + c % inner * step_c + t * step_t]. */
struct product {
    struct grid x, w, y;
    const struct tsr_tensor *q, *bias; /* q NULL: both operands change */
    int64_t channels, terms, inner, outer_step, step_c, step_t;
    bool ends_on_grid;
};

static bool is(const struct tsr_node *node, const char *op_type)
{
    const bool known = node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0;
    return known && strcmp(node->op_type, op_type) == 0;
}

static const struct tsr_tensor *constant(const struct tsr_graph *g, const struct tsr_node *node, int k)
{
    return k < node->n_in ? tsr_graph_constant(g, node->in[k]) : NULL;
}

static bool is_small(enum tsr_dtype t) { return t == TSR_I8 || t == TSR_U8 || t == TSR_I4 || t == TSR_U4; }
static int32_t lowest_of(enum tsr_dtype t) { return t == TSR_I8 ? -128 : t == TSR_I4 ? -8 : 0; }
static int32_t highest_of(enum tsr_dtype t) { return t == TSR_I8 ? 127 : t == TSR_U8 ? 255 : t == TSR_I4 ? 7 : 15; }

static int64_t zero_at(const struct grid *d, int64_t i)
{
    if (d->zero == NULL) return 0;
    return tsr_load_i64(d->zero->dtype, d->zero->data, tsr_tensor_count(d->zero) > 1 ? i : 0);
}

static double scale_at(const struct grid *d, int64_t i)
{
    return d->scale == NULL ? 1 : (double)((const float *)d->scale->data)[tsr_tensor_count(d->scale) > 1 ? i : 0];
}

/* Scale and zero point in inputs k and k + 1; one of each, or `channels` of them. absent: neither need be there. */
static bool read_grid(const struct tsr_graph *g, const struct tsr_node *node, int scale, int zero, int64_t channels, struct grid *d)
{
    d->scale = scale >= 0 ? constant(g, node, scale) : NULL;
    d->zero = constant(g, node, zero);
    if (scale >= 0 && (d->scale == NULL || d->scale->dtype != TSR_F32)) return false;
    if (d->zero == NULL && zero < node->n_in && node->in[zero] >= 0) return false;
    if (d->zero != NULL) {
        const int64_t n = tsr_tensor_count(d->zero);
        if (!is_small(d->zero->dtype) || (n != 1 && n != channels)) return false;
        d->type = d->zero->dtype;
    }
    const int64_t n = d->scale != NULL ? tsr_tensor_count(d->scale) : 1;
    return n == 1 || n == channels;
}

/* The integers behind the float value v, whose DequantizeLinear it comes from. */
static const struct tsr_node *dequantised(const struct tsr_graph *g, int32_t v)
{
    const struct tsr_node *node = tsr_graph_producer(g, v);
    return node != NULL && is(node, "DequantizeLinear") && tsr_node_int(node, "block_size", 0) == 0 ? node : NULL;
}

static const struct tsr_node *only_reader(const struct tsr_graph *g, int32_t v)
{
    const struct tsr_node *reader = NULL;
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++) {
            if (g->node[i].in[k] != v) continue;
            if (reader != NULL) return NULL;
            reader = &g->node[i];
        }
    return g->value[v].is_output ? NULL : reader;
}

/* ---- what kinds of layers there are --------------------------------------------------------- */

static bool is_conv(const struct tsr_node *node) { return is(node, "Conv") || is(node, "QLinearConv") || is(node, "ConvInteger"); }

/* Where the weights are, and how many channels and terms that makes. */
static bool lay_out(const struct tsr_node *node, const struct tsr_tensor *q, struct product *p)
{
    const struct tsr_shape *s = &q->shape;
    const bool turned = is(node, "Gemm") && tsr_node_int(node, "transB", 0) != 0;
    if (!is_small(q->dtype) || s->rank < 2) return false;
    p->q = q;
    const int64_t n = tsr_tensor_count(q);
    if (is_conv(node) || turned) {
        p->channels = p->inner = s->dim[0];
        p->terms = p->channels > 0 ? n / p->channels : 0;
        p->step_c = p->terms, p->step_t = 1;
    } else { /* [..., terms, channels] */
        p->inner = s->dim[s->rank - 1], p->terms = s->dim[s->rank - 2];
        p->outer_step = p->inner * p->terms, p->step_c = 1, p->step_t = p->inner;
        p->channels = p->outer_step > 0 ? n / p->terms : 0;
    }
    return p->channels > 0 && p->terms > 0;
}

static bool by_channel(const struct product *p, const struct tsr_tensor *t) { return t == NULL || tsr_tensor_count(t) == 1 || p->channels == p->inner; }

/* QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger. */
static bool from_integers(const struct tsr_graph *g, const struct tsr_node *node, struct product *p)
{
    const bool linear = is(node, "QLinearConv") || is(node, "QLinearMatMul");
    const int w = linear ? 3 : 1;
    const struct tsr_tensor *q = constant(g, node, w);
    if (q != NULL && !lay_out(node, q, p)) return false;
    if (q == NULL) p->channels = p->inner = 1;
    if (q != NULL) p->w.type = q->dtype;
    if (is_small(g->value[node->in[0]].dtype)) p->x.type = g->value[node->in[0]].dtype;
    if (linear && !read_grid(g, node, 1, 2, 1, &p->x)) return false;
    if (linear && !read_grid(g, node, 4, 5, p->inner, &p->w)) return false;
    if (linear && !read_grid(g, node, 6, 7, 1, &p->y)) return false;
    if (!linear && (!read_grid(g, node, -1, 2, 1, &p->x) || !read_grid(g, node, -1, 3, p->inner, &p->w))) return false;
    p->ends_on_grid = linear;
    p->bias = is(node, "QLinearConv") ? constant(g, node, 8) : NULL;
    if (is(node, "QLinearConv") && node->n_in > 8 && node->in[8] >= 0 && p->bias == NULL) return false;
    return true;
}

/* The grid that the output of a float operator goes to, over a Relu or Clip at most. */
static void find_end(const struct tsr_graph *g, const struct tsr_node *node, struct product *p)
{
    const struct tsr_node *next = only_reader(g, node->out[0]);
    if (next != NULL && (is(next, "Relu") || is(next, "Clip"))) next = only_reader(g, next->out[0]);
    p->ends_on_grid = next != NULL && is(next, "QuantizeLinear") && read_grid(g, next, 1, 2, 1, &p->y);
}

/* Conv, Gemm and MatMul between DequantizeLinear. */
static bool from_floats(const struct tsr_graph *g, const struct tsr_node *node, struct product *p)
{
    const struct tsr_node *x = dequantised(g, node->in[0]), *w = dequantised(g, node->in[1]);
    if (x == NULL || w == NULL) return false;
    const struct tsr_tensor *q = constant(g, w, 0);
    if (is(node, "Gemm") && (q == NULL || (double)tsr_node_float(node, "alpha", 1) != 1 || (double)tsr_node_float(node, "beta", 1) != 1 ||
                             tsr_node_int(node, "transA", 0) != 0))
        return false;
    if (q != NULL ? !lay_out(node, q, p) : !is(node, "MatMul")) return false;
    if (q == NULL) p->channels = p->inner = 1;
    p->w.type = q != NULL ? q->dtype : TSR_U8;
    p->x.type = TSR_U8;
    if (!read_grid(g, x, 1, 2, 1, &p->x) || !read_grid(g, w, 1, 2, p->inner, &p->w)) return false;
    if (node->n_in > 2 && node->in[2] >= 0) {
        const struct tsr_node *b = dequantised(g, node->in[2]);
        p->bias = b != NULL ? constant(g, b, 0) : NULL;
        if (p->bias == NULL) return false;
    }
    find_end(g, node, p);
    return true;
}

static bool describe(const struct tsr_graph *g, const struct tsr_node *node, struct product *p)
{
    *p = (struct product){.x.type = TSR_U8, .w.type = TSR_U8, .y.type = TSR_U8};
    const bool fits = is(node, "Conv") || is(node, "Gemm") || is(node, "MatMul") ? from_floats(g, node, p) : from_integers(g, node, p);
    if (!fits || !by_channel(p, p->w.scale) || !by_channel(p, p->w.zero)) return false;
    return p->bias == NULL || (p->bias->dtype == TSR_I32 && tsr_tensor_count(p->bias) == p->channels);
}

/* ---- sums ----------------------------------------------------------------------------------- */

struct bounds {
    int64_t lo, hi;                  /* of the sums in any order, with the bias */
    int64_t up_terms, down_terms;    /* with a positive and a negative weight */
};

static struct bounds channel_bounds(const struct product *p, int64_t c)
{
    struct bounds b = {0};
    const int64_t zx = zero_at(&p->x, 0), zw = zero_at(&p->w, c % p->inner), low = lowest_of(p->x.type) - zx, high = highest_of(p->x.type) - zx;
    const int64_t base = c / p->inner * p->outer_step + c % p->inner * p->step_c;
    const int64_t bias = p->bias != NULL ? ((const int32_t *)p->bias->data)[c] : 0;
    for (int64_t t = 0; t < p->terms; t++) {
        const int64_t w = tsr_load_i64(p->q->dtype, p->q->data, base + t * p->step_t) - zw;
        b.hi += w > 0 ? w * high : w * low;
        b.lo += w > 0 ? w * low : w * high;
        b.up_terms += w > 0, b.down_terms += w < 0;
    }
    b.hi += bias > 0 ? bias : 0;
    b.lo += bias < 0 ? bias : 0;
    return b;
}

static bool in_32(int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; }

static void note_bounds(struct tsr_proof_layer *l, int64_t c, const struct bounds *b)
{
    const bool negative = -b->lo > b->hi;
    const int64_t most = negative ? -b->lo : b->hi, before = -l->lowest > l->highest ? -l->lowest : l->highest;
    if (c == 0 || most > before) {
        l->channel = c, l->negative = negative;
        l->ups = negative ? b->down_terms : b->up_terms, l->downs = negative ? b->up_terms : b->down_terms;
    }
    if (c == 0 || b->lo < l->lowest) l->lowest = b->lo;
    if (c == 0 || b->hi > l->highest) l->highest = b->hi;
    l->wraps = l->wraps || !in_32(b->lo) || !in_32(b->hi);
}

/* ---- to the grid ---------------------------------------------------------------------------- */

struct ending {
    float factor;  /* fl(fl(x_scale * w_scale) / y_scale) */
    double exact;  /* without rounding */
    double lo, hi; /* of the output, less its zero point */
};

static struct ending ending_of(const struct product *p, int64_t c)
{
    const float sx = (float)scale_at(&p->x, 0), sw = (float)scale_at(&p->w, c % p->inner), sy = (float)scale_at(&p->y, 0);
    const double zero = (double)zero_at(&p->y, 0);
    return (struct ending){.factor = sx * sw / sy, .exact = (double)sx * (double)sw / (double)sy,
                           .lo = lowest_of(p->y.type) - zero, .hi = highest_of(p->y.type) - zero};
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

/* How far the float before rounding is from what is exact, for one sum. NaN counts as endlessly far. */
static double off_by(const struct ending *e, int64_t sum)
{
    const float have = (float)sum * e->factor;
    if (have != have) return INFINITY;
    return fabs(clamp((double)have, e->lo, e->hi) - clamp((double)sum * e->exact, e->lo, e->hi));
}

static void judge(struct tsr_proof_layer *l, const struct product *p, const struct ending *e, int64_t c, int64_t sum)
{
    const double d = off_by(e, sum), want = clamp(rint((double)sum * e->exact), e->lo, e->hi);
    const float v = (float)sum * e->factor;
    const double have = clamp(rint((double)v), e->lo, e->hi);
    if (l->end == TSR_PROOF_BEYOND) return;
    if (v == v && !(fabs(have - want) > 1)) {
        if (d > l->slack) l->slack = d;
        return;
    }
    const double zero = (double)zero_at(&p->y, 0);
    l->end = TSR_PROOF_BEYOND, l->end_channel = c, l->end_sum = sum;
    l->end_have = v == v ? have + zero : NAN, l->end_want = want + zero;
}

/* The difference is linear in the sum, but for the last bits, until one of both is at an end of the grid: it is
 * largest there, or at the last sum there is. */
static void end_channel(struct tsr_proof_layer *l, const struct product *p, int64_t c, const struct bounds *b)
{
    const struct ending e = ending_of(p, c);
    const double lo = (double)(b->lo < INT32_MIN ? INT32_MIN : b->lo), hi = (double)(b->hi > INT32_MAX ? INT32_MAX : b->hi);
    const double factor[2] = {(double)e.factor, e.exact}, stop[2] = {e.lo, e.hi};
    judge(l, p, &e, c, (int64_t)lo);
    judge(l, p, &e, c, (int64_t)hi);
    judge(l, p, &e, c, 0);
    for (int f = 0; f < 2; f++)
        for (int s = 0; s < 2; s++) {
            const double at = stop[s] / factor[f];
            if (at != at) continue;
            judge(l, p, &e, c, (int64_t)clamp(floor(at), lo, hi));
            judge(l, p, &e, c, (int64_t)clamp(ceil(at), lo, hi));
        }
}

/* ---- all layers ----------------------------------------------------------------------------- */

static void prove_constant(struct tsr_proof_layer *l, const struct product *p)
{
    for (int64_t c = 0; c < p->channels; c++) {
        const struct bounds b = channel_bounds(p, c);
        note_bounds(l, c, &b);
        if (p->ends_on_grid) end_channel(l, p, c, &b);
    }
}

/* Two operands that change: how many terms fit, whatever they are. */
static void prove_any(struct tsr_proof_layer *l, const struct product *p)
{
    const int64_t x[2] = {lowest_of(p->x.type) - zero_at(&p->x, 0), highest_of(p->x.type) - zero_at(&p->x, 0)};
    const int64_t w[2] = {lowest_of(p->w.type) - zero_at(&p->w, 0), highest_of(p->w.type) - zero_at(&p->w, 0)};
    int64_t most = 1;
    for (int i = 0; i < 4; i++) {
        const int64_t v = x[i / 2] * w[i % 2];
        most = v > most ? v : -v > most ? -v : most;
    }
    l->terms_that_fit = INT32_MAX / most;
    const struct bounds b = {.lo = -INT32_MAX, .hi = INT32_MAX};
    l->lowest = b.lo, l->highest = b.hi;
    if (p->ends_on_grid) end_channel(l, p, 0, &b);
}

bool tsr_proof_layer_holds(const struct tsr_proof_layer *l) { return !l->wraps && l->end != TSR_PROOF_BEYOND; }

enum tsr_status tsr_prove(const struct tsr_graph *g, struct tsr_proof *p, struct tsr_error *err)
{
    *p = (struct tsr_proof){0};
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        const bool known = is(node, "Conv") || is(node, "Gemm") || is(node, "MatMul");
        struct product what;
        if (!known && !is(node, "QLinearConv") && !is(node, "QLinearMatMul") && !is(node, "ConvInteger") && !is(node, "MatMulInteger")) continue;
        if (!describe(g, node, &what)) {
            if (known) p->in_float++;
            else p->unproven++;
            continue;
        }
        const enum tsr_status status = tsr_grow(&p->layer, &p->cap, p->n + 1, sizeof *p->layer, err);
        if (status != TSR_OK) {
            tsr_proof_release(p);
            return status;
        }
        struct tsr_proof_layer *l = &p->layer[p->n++];
        *l = (struct tsr_proof_layer){.node = node->name[0] != '\0' ? node->name : g->value[node->out[0]].name, .op = node->op_type,
                                      .channels = what.q != NULL ? what.channels : 0, .terms = what.terms,
                                      .x_lo = lowest_of(what.x.type), .x_hi = highest_of(what.x.type),
                                      .end = what.ends_on_grid ? TSR_PROOF_WITHIN : TSR_PROOF_FLOAT};
        if (what.q != NULL) prove_constant(l, &what);
        else prove_any(l, &what);
        p->failed += !tsr_proof_layer_holds(l);
    }
    return TSR_OK;
}

void tsr_proof_release(struct tsr_proof *p)
{
    tsr_free(p->layer);
    *p = (struct tsr_proof){0};
}

/* ---- reports -------------------------------------------------------------------------------- */

static enum tsr_status put_witness(struct tsr_json *j, const struct tsr_proof_layer *l, struct tsr_error *err)
{
    struct tsr_json *w;
    TSR_TRY(tsr_json_set_object(j, "witness", &w, err));
    TSR_TRY(tsr_json_set_int(w, "channel", l->channel, err));
    TSR_TRY(tsr_json_set_int(w, "sum", l->negative ? l->lowest : l->highest, err));
    TSR_TRY(tsr_json_set_int(w, "x_where_weight_positive", l->negative ? l->x_lo : l->x_hi, err));
    TSR_TRY(tsr_json_set_int(w, "x_where_weight_negative", l->negative ? l->x_hi : l->x_lo, err));
    TSR_TRY(tsr_json_set_int(w, "terms_at_high", l->ups, err));
    return tsr_json_set_int(w, "terms_at_low", l->downs, err);
}

static enum tsr_status put_end(struct tsr_json *j, const struct tsr_proof_layer *l, struct tsr_error *err)
{
    static const char *const words[] = {"float", "within", "beyond"};
    TSR_TRY(tsr_json_set_string(j, "requantised", words[l->end], err));
    if (l->end == TSR_PROOF_WITHIN) return tsr_json_set_number(j, "slack", l->slack, err);
    if (l->end != TSR_PROOF_BEYOND) return TSR_OK;
    struct tsr_json *w;
    TSR_TRY(tsr_json_set_object(j, "requantise_witness", &w, err));
    TSR_TRY(tsr_json_set_int(w, "channel", l->end_channel, err));
    TSR_TRY(tsr_json_set_int(w, "sum", l->end_sum, err));
    if (isfinite(l->end_have)) TSR_TRY(tsr_json_set_number(w, "have", l->end_have, err));
    else TSR_TRY(tsr_json_set_null(w, "have", err));
    return tsr_json_set_number(w, "want", l->end_want, err);
}

static enum tsr_status put_layer(struct tsr_json *j, const struct tsr_proof_layer *l, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_string(j, "schema", "tessera-inspect.proof/1", err));
    TSR_TRY(tsr_json_set_string(j, "node", l->node, err));
    TSR_TRY(tsr_json_set_string(j, "op", l->op, err));
    TSR_TRY(tsr_json_set_bool(j, "holds", tsr_proof_layer_holds(l), err));
    TSR_TRY(put_end(j, l, err));
    if (l->terms_that_fit > 0) return tsr_json_set_int(j, "terms_that_fit", l->terms_that_fit, err);
    TSR_TRY(tsr_json_set_int(j, "channels", l->channels, err));
    TSR_TRY(tsr_json_set_int(j, "terms", l->terms, err));
    TSR_TRY(tsr_json_set_int(j, "lowest", l->lowest, err));
    TSR_TRY(tsr_json_set_int(j, "highest", l->highest, err));
    TSR_TRY(tsr_json_set_bool(j, "wraps", l->wraps, err));
    return put_witness(j, l, err);
}

enum tsr_status tsr_proof_json(const struct tsr_proof_layer *l, struct tsr_json **out, struct tsr_error *err)
{
    TSR_TRY(tsr_json_object(out, err));
    const enum tsr_status status = put_layer(*out, l, err);
    if (status == TSR_OK) return TSR_OK;
    tsr_json_free(*out);
    *out = NULL;
    return status;
}
