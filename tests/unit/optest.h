/* optest.h - the bench on which an operator is tested alone, without a graph.
 *
 *     struct optest t;
 *     ot_init(&t, "Softmax", 13);
 *     ot_int(&t, "axis", 1);
 *     ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
 *     ot_run(&t);
 *     ot_expect(&t, 0, OT_S(2, 3), OT_V(...), 1e-6);
 *     ot_gradcheck(&t);          finite differences in double, every float input
 *     ot_float_agrees(&t, 1e-5); float32 against float64, outputs and gradients
 *     ot_threads_agree(&t);      the same bytes for one, two and three threads
 *     ot_free(&t);
 *
 * Every check is a Check assertion. Outputs and gradients are filled with NaN before the operator
 * runs, so what it forgets to write is seen.
 */
#ifndef TSR_TESTS_OPTEST_H
#define TSR_TESTS_OPTEST_H

#include "suite.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "ops/op.h"

#define OT_FN static __attribute__((unused))
#define OT_MAX_IN 16
#define OT_MAX_OUT 16
#define OT_MAX_ATTR 24

struct optest {
    /* Set these between ot_init and the checks where the defaults do not fit. */
    bool no_grad[OT_MAX_IN];   /* leave that input out of the gradient checks */
    bool skip_out[OT_MAX_OUT]; /* output not wanted (absent) */
    bool zero_gout[OT_MAX_OUT]; /* its gradient is NULL ("zero") in the backward pass */
    int n_out;                 /* outputs the node lists; ot_init says the operator's max_out */
    bool train_stats;
    double step;               /* finite differences: step h (default 2^-11); h and 2h are used */
    double grad_tol;           /* default 1e-6, against max(1, |g|) */
    struct tsr_pool *pool;

    /* Results of ot_run, ot_backward. */
    struct tsr_tensor out[OT_MAX_OUT];
    struct tsr_tensor gin[OT_MAX_IN];
    struct tsr_error err;

    /* Internals. */
    const struct tsr_op *op;
    struct tsr_node node;
    struct tsr_tensor in[OT_MAX_IN]; /* as given; dtype TSR_NONE: absent */
    struct tsr_tensor now[OT_MAX_IN]; /* as the operator sees them */
    const struct tsr_tensor *in_ptr[OT_MAX_IN];
    struct tsr_tensor gout[OT_MAX_OUT];
    const struct tsr_tensor *gout_ptr[OT_MAX_OUT];
    bool want_out[OT_MAX_OUT], want_gin[OT_MAX_IN];
    struct tsr_tensor saved[TSR_OP_MAX_SAVED];
    void *state;
    void (*state_free)(void *);
    int n_in;
    uint64_t seed;
    bool training;
    struct tsr_op_ctx ctx;
};

/* Shapes and values spelt out: OT_S(2, 3), OT_SCALAR, OT_V(1, 2, 3), OT_I(1, 2, 3). */
#define OT_S(...) ot_shape((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})
#define OT_SCALAR ot_shape(0, NULL)
#define OT_V(...) ((const double[]){__VA_ARGS__})
#define OT_I(...) ((const int64_t[]){__VA_ARGS__})

OT_FN struct tsr_shape ot_shape(int rank, const int64_t *dim)
{
    struct tsr_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++) s.dim[i] = dim[i];
    return s;
}

OT_FN void *ot_have(void *p)
{
    ck_assert_msg(p != NULL, "the test itself is short of memory");
    return p;
}

/* ---- building ------------------------------------------------------------------------------- */

OT_FN void ot_init_domain(struct optest *t, const char *op_type, const char *domain, int opset)
{
    memset(t, 0, sizeof *t);
    t->op = tsr_op_find(domain, op_type);
    ck_assert_msg(t->op != NULL, "there is no operator '%s'", op_type);
    t->node.name = ot_have(tsr_strdup("n"));
    t->node.op_type = ot_have(tsr_strdup(op_type));
    t->node.domain = ot_have(tsr_strdup(domain));
    t->node.opset = opset;
    t->node.op = t->op;
    t->node.in = ot_have(tsr_calloc(OT_MAX_IN, sizeof(int32_t)));
    t->node.out = ot_have(tsr_calloc(OT_MAX_OUT, sizeof(int32_t)));
    t->node.attr = ot_have(tsr_calloc(OT_MAX_ATTR, sizeof(struct tsr_attr)));
    t->n_out = t->op->max_out > 0 && t->op->max_out <= OT_MAX_OUT ? t->op->max_out : 1;
    t->step = 1.0 / 2048;
    t->grad_tol = 1e-6;
    t->seed = 12345;
}
OT_FN void ot_init(struct optest *t, const char *op_type, int opset) { ot_init_domain(t, op_type, "", opset); }

OT_FN void ot_drop_results(struct optest *t)
{
    for (int i = 0; i < OT_MAX_OUT; i++) tsr_tensor_release(&t->out[i]), tsr_tensor_release(&t->gout[i]);
    for (int i = 0; i < OT_MAX_IN; i++) tsr_tensor_release(&t->gin[i]), tsr_tensor_release(&t->now[i]);
    for (int i = 0; i < TSR_OP_MAX_SAVED; i++) tsr_tensor_release(&t->saved[i]);
    if (t->state && t->state_free) t->state_free(t->state);
    t->state = NULL;
    t->state_free = NULL;
}

OT_FN void ot_free(struct optest *t)
{
    ot_drop_results(t);
    for (int i = 0; i < OT_MAX_IN; i++) tsr_tensor_release(&t->in[i]);
    tsr_node_release(&t->node);
    memset(t, 0, sizeof *t);
}

OT_FN struct tsr_attr *ot_attr(struct optest *t, const char *name, enum tsr_attr_type type, size_t n)
{
    ck_assert(t->node.n_attr < OT_MAX_ATTR);
    struct tsr_attr *a = &t->node.attr[t->node.n_attr++];
    a->name = ot_have(tsr_strdup(name));
    a->type = type;
    a->n = n;
    return a;
}
OT_FN void ot_int(struct optest *t, const char *name, int64_t v) { ot_attr(t, name, TSR_ATTR_INT, 1)->i = v; }
OT_FN void ot_float(struct optest *t, const char *name, double v) { ot_attr(t, name, TSR_ATTR_FLOAT, 1)->f = (float)v; }
OT_FN void ot_string(struct optest *t, const char *name, const char *v)
{
    ot_attr(t, name, TSR_ATTR_STRING, 1)->s = ot_have(tsr_strdup(v));
}
/* ot_ints(&t, "axes", 2, 0, 1): n plain ints follow. */
OT_FN void ot_ints(struct optest *t, const char *name, int n, ...)
{
    va_list ap;
    struct tsr_attr *a = ot_attr(t, name, TSR_ATTR_INTS, (size_t)n);
    a->ints = ot_have(tsr_calloc((size_t)n + 1, sizeof(int64_t)));
    va_start(ap, n);
    for (int i = 0; i < n; i++) a->ints[i] = va_arg(ap, int);
    va_end(ap);
}
/* n doubles follow: write 1.0, not 1. */
OT_FN void ot_floats(struct optest *t, const char *name, int n, ...)
{
    va_list ap;
    struct tsr_attr *a = ot_attr(t, name, TSR_ATTR_FLOATS, (size_t)n);
    a->floats = ot_have(tsr_calloc((size_t)n + 1, sizeof(float)));
    va_start(ap, n);
    for (int i = 0; i < n; i++) a->floats[i] = (float)va_arg(ap, double);
    va_end(ap);
}
OT_FN void ot_strings(struct optest *t, const char *name, int n, ...)
{
    va_list ap;
    struct tsr_attr *a = ot_attr(t, name, TSR_ATTR_STRINGS, (size_t)n);
    a->strings = ot_have(tsr_calloc((size_t)n + 1, sizeof(char *)));
    va_start(ap, n);
    for (int i = 0; i < n; i++) a->strings[i] = ot_have(tsr_strdup(va_arg(ap, const char *)));
    va_end(ap);
}

OT_FN struct tsr_tensor *ot_in_new(struct optest *t, enum tsr_dtype dtype, struct tsr_shape shape)
{
    ck_assert(t->n_in < OT_MAX_IN);
    struct tsr_tensor *x = &t->in[t->n_in++];
    ck_assert_msg(tsr_tensor_new(x, dtype, &shape, NULL, &t->err) == TSR_OK, "%s", t->err.message);
    return x;
}
/* The next input. */
OT_FN void ot_in_absent(struct optest *t) { t->n_in++; }
OT_FN void ot_in(struct optest *t, enum tsr_dtype dtype, struct tsr_shape shape, const double *v)
{
    struct tsr_tensor *x = ot_in_new(t, dtype, shape);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++) tsr_store_f64(dtype, x->data, i, v[i]);
}
OT_FN void ot_in_i64(struct optest *t, struct tsr_shape shape, const int64_t *v)
{
    struct tsr_tensor *x = ot_in_new(t, TSR_I64, shape);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++) tsr_store_i64(TSR_I64, x->data, i, v[i]);
}
/* Uniform in [lo, hi), values that float32 holds; another sequence for every input. */
OT_FN void ot_in_random(struct optest *t, enum tsr_dtype dtype, struct tsr_shape shape, double lo, double hi)
{
    struct tsr_rng r;
    tsr_rng_init(&r, t->seed, (uint64_t)t->n_in + 1);
    struct tsr_tensor *x = ot_in_new(t, dtype, shape);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++)
        tsr_store_f64(dtype, x->data, i, (double)(float)(lo + (hi - lo) * tsr_rng_double(&r)));
}
/* For operators with kinks (Relu, Max, MaxPool): shuffled points of an even grid of [lo, hi], so
 * all differ by (hi - lo) / count and none is nearer to 0 than half of that (lo = -hi or lo >= 0). */
OT_FN void ot_in_apart(struct optest *t, enum tsr_dtype dtype, struct tsr_shape shape, double lo, double hi)
{
    struct tsr_rng r;
    tsr_rng_init(&r, t->seed, (uint64_t)t->n_in + 1);
    struct tsr_tensor *x = ot_in_new(t, dtype, shape);
    int64_t n = tsr_tensor_count(x), even = n + (n & 1);
    uint32_t *order = ot_have(tsr_malloc((size_t)n + 1, sizeof *order));
    for (int64_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    tsr_rng_shuffle(&r, order, (size_t)n);
    for (int64_t i = 0; i < n; i++)
        tsr_store_f64(dtype, x->data, i, (double)(float)(lo + (hi - lo) * (order[i] + 0.5) / (double)even));
    tsr_free(order);
}

/* ---- running -------------------------------------------------------------------------------- */

OT_FN void ot_fill_nan(struct tsr_tensor *x)
{
    if (x->data && tsr_tensor_count(x) > 0) memset(x->data, 0xFF, tsr_tensor_bytes(x));
}

OT_FN bool ot_is_real(enum tsr_dtype d) { return d == TSR_F32 || d == TSR_F64; }

/* Gives the operator its inputs; float32/float64 ones as `real` where that is not TSR_NONE. */
OT_FN void ot_load(struct optest *t, enum tsr_dtype real)
{
    for (int i = 0; i < t->n_in; i++) {
        enum tsr_dtype d = t->in[i].dtype;
        tsr_tensor_release(&t->now[i]);
        t->in_ptr[i] = NULL;
        if (d == TSR_NONE) continue;
        if (real != TSR_NONE && ot_is_real(d)) d = real;
        ck_assert_msg(tsr_tensor_cast(&t->now[i], d, &t->in[i], &t->err) == TSR_OK, "%s", t->err.message);
        t->in_ptr[i] = &t->now[i];
    }
}

/* infer and forward over the loaded inputs, with fresh outputs; says what the operator says. */
OT_FN enum tsr_status ot_forward(struct optest *t, bool training)
{
    struct tsr_op_ctx *c = &t->ctx;
    for (int i = 0; i < OT_MAX_OUT; i++) tsr_tensor_release(&t->out[i]);
    for (int i = 0; i < TSR_OP_MAX_SAVED; i++) tsr_tensor_release(&t->saved[i]);
    if (t->state && t->state_free) t->state_free(t->state);
    t->state = NULL;
    t->node.n_in = t->n_in;
    t->node.n_out = t->n_out;
    for (int i = 0; i < t->n_in; i++) t->node.in[i] = t->in_ptr[i] ? i : -1;
    for (int i = 0; i < t->n_out; i++) {
        t->want_out[i] = !t->skip_out[i];
        t->node.out[i] = t->want_out[i] ? OT_MAX_IN + i : -1;
    }
    memset(c, 0, sizeof *c);
    c->node = &t->node;
    c->in = t->in_ptr;
    c->out = t->out;
    c->want_out = t->want_out;
    c->training = training;
    c->train_stats = t->train_stats;
    c->seed = t->seed;
    c->saved = t->saved;
    c->state = &t->state;
    c->state_free = &t->state_free;
    c->pool = t->pool;
    c->err = &t->err;
    if (t->op->flags & TSR_OP_DYNAMIC) {
        TSR_TRY(t->op->forward(c));
        for (int i = 0; i < t->n_out; i++)
            ck_assert_msg(!t->want_out[i] || t->out[i].dtype != TSR_NONE, "forward did not make output %d", i);
        return TSR_OK;
    }
    TSR_TRY(t->op->infer(c));
    for (int i = 0; i < t->n_out; i++) {
        struct tsr_tensor o = t->out[i];
        if (!t->want_out[i]) continue;
        ck_assert_msg(o.dtype != TSR_NONE, "infer did not set output %d", i);
        if (i == 0 && (t->op->flags & TSR_OP_VIEW)) {
            t->out[0] = tsr_tensor_share(t->in_ptr[0]);
            t->out[0].dtype = o.dtype;
            t->out[0].shape = o.shape;
            ck_assert_int_eq(tsr_shape_count(&o.shape), tsr_tensor_count(t->in_ptr[0]));
            continue;
        }
        TSR_TRY(tsr_tensor_new(&t->out[i], o.dtype, &o.shape, NULL, &t->err));
        ot_fill_nan(&t->out[i]);
    }
    if (t->op->flags & TSR_OP_VIEW) return TSR_OK;
    return t->op->forward(c);
}

/* Pseudo-random weight of element k of output i in the loss: 0.5 to 1.5, either sign. */
OT_FN double ot_weight(int i, int64_t k)
{
    uint64_t x = ((uint64_t)k + 1) * 0x9E3779B97F4A7C15u + (uint64_t)(i + 1) * 0xD1B54A32D192ED03u;
    x ^= x >> 31, x *= 0xBF58476D1CE4E5B9u, x ^= x >> 29;
    double u = (double)(x >> 40) / 16777216.0;
    return (x & 1) ? 0.5 + u : -0.5 - u;
}

OT_FN bool ot_in_loss(const struct optest *t, int i)
{
    return t->want_out[i] && !t->zero_gout[i] && ot_is_real(t->out[i].dtype);
}

/* backward after ot_forward(training): loss = weighted sum over the float outputs. */
OT_FN enum tsr_status ot_backward(struct optest *t)
{
    struct tsr_op_ctx *c = &t->ctx;
    for (int i = 0; i < t->n_out; i++) {
        tsr_tensor_release(&t->gout[i]);
        t->gout_ptr[i] = NULL;
        if (!ot_in_loss(t, i)) continue;
        TSR_TRY(tsr_tensor_new(&t->gout[i], t->out[i].dtype, &t->out[i].shape, NULL, &t->err));
        for (int64_t k = 0; k < tsr_tensor_count(&t->gout[i]); k++)
            tsr_store_f64(t->gout[i].dtype, t->gout[i].data, k, (double)(float)ot_weight(i, k));
        t->gout_ptr[i] = &t->gout[i];
    }
    for (int i = 0; i < t->n_in; i++) {
        tsr_tensor_release(&t->gin[i]);
        t->want_gin[i] = t->in_ptr[i] && ot_is_real(t->in_ptr[i]->dtype) && !t->no_grad[i];
        if (!t->want_gin[i]) continue;
        TSR_TRY(tsr_tensor_new(&t->gin[i], t->in_ptr[i]->dtype, &t->in_ptr[i]->shape, NULL, &t->err));
        ot_fill_nan(&t->gin[i]);
    }
    c->gout = t->gout_ptr;
    c->gin = t->gin;
    c->want_gin = t->want_gin;
    if (!t->op->backward && (t->op->flags & TSR_OP_VIEW)) {
        if (t->want_gin[0] && t->gout_ptr[0] && tsr_tensor_count(&t->gin[0]) > 0)
            memcpy(t->gin[0].data, t->gout[0].data, tsr_tensor_bytes(&t->gin[0]));
        return TSR_OK;
    }
    ck_assert_msg(t->op->backward != NULL, "%s has no backward", t->op->op_type);
    return t->op->backward(c);
}

#define OT_DONE(t, e) ck_assert_msg((e) == TSR_OK, "%s: %s", (t)->op->op_type, (t)->err.message)

/* Forward with the inputs as given; must succeed. */
OT_FN void ot_run(struct optest *t)
{
    ot_load(t, TSR_NONE);
    OT_DONE(t, ot_forward(t, false));
}

/* Forward must fail with that status and a message that contains `part` (NULL: any). */
OT_FN void ot_fails(struct optest *t, enum tsr_status status, const char *part)
{
    ot_load(t, TSR_NONE);
    memset(&t->err, 0, sizeof t->err);
    enum tsr_status s = ot_forward(t, false);
    ck_assert_msg(s == status, "%s: status %s instead of %s: %s", t->op->op_type, tsr_status_name(s),
                  tsr_status_name(status), t->err.message);
    ck_assert_msg(t->err.message[0] != 0, "%s fails without a message", t->op->op_type);
    if (part) ck_assert_msg(strstr(t->err.message, part) != NULL, "'%s' lacks '%s'", t->err.message, part);
}

/* ---- checking ------------------------------------------------------------------------------- */

/* Both NaN, both the same infinity, or |a - b| <= tol * max(1, |b|). */
OT_FN bool ot_close(double a, double b, double tol)
{
    if (isnan(b)) return isnan(a);
    if (isinf(b)) return a == b;
    return fabs(a - b) <= tol * fmax(1, fabs(b));
}

OT_FN void ot_expect_shape(struct optest *t, int i, enum tsr_dtype dtype, struct tsr_shape shape)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    ck_assert_msg(t->out[i].dtype == dtype, "%s: output %d is %s, not %s", t->op->op_type, i,
                  tsr_dtype_name(t->out[i].dtype), tsr_dtype_name(dtype));
    ck_assert_msg(tsr_shape_equal(&t->out[i].shape, &shape), "%s: output %d has shape %s, not %s", t->op->op_type, i,
                  tsr_shape_text(&t->out[i].shape, a, sizeof a), tsr_shape_text(&shape, b, sizeof b));
}
OT_FN void ot_expect_tensor(const struct optest *t, const char *what, int i, const struct tsr_tensor *x,
                            const double *v, double tol)
{
    for (int64_t k = 0; k < tsr_tensor_count(x); k++) {
        double got = tsr_load_f64(x->dtype, x->data, k);
        ck_assert_msg(ot_close(got, v[k], tol), "%s: %s %d [%lld] is %.9g, not %.9g", t->op->op_type, what, i,
                      (long long)k, got, v[k]);
    }
}
/* Output i has that shape and those values; any type. */
OT_FN void ot_expect(struct optest *t, int i, struct tsr_shape shape, const double *v, double tol)
{
    ot_expect_shape(t, i, t->out[i].dtype, shape);
    ot_expect_tensor(t, "output", i, &t->out[i], v, tol);
}
OT_FN void ot_expect_i64(struct optest *t, int i, struct tsr_shape shape, const int64_t *v)
{
    ot_expect_shape(t, i, t->out[i].dtype, shape);
    for (int64_t k = 0; k < tsr_tensor_count(&t->out[i]); k++)
        ck_assert_int_eq(tsr_load_i64(t->out[i].dtype, t->out[i].data, k), v[k]);
}

/* Sum of weights times (outputs now - outputs in `base`); differences first, for precision. */
OT_FN double ot_loss_difference(const struct optest *t, const struct tsr_tensor *base)
{
    double sum = 0;
    for (int i = 0; i < t->n_out; i++)
        for (int64_t k = 0; ot_in_loss(t, i) && k < tsr_tensor_count(&t->out[i]); k++)
            sum += (double)(float)ot_weight(i, k) *
                   (((const double *)t->out[i].data)[k] - ((const double *)base[i].data)[k]);
    return sum;
}

OT_FN double ot_central(struct optest *t, double *x, double h)
{
    struct tsr_tensor base[OT_MAX_OUT];
    double x0 = *x, lo = x0 - h, hi = x0 + h;
    *x = lo;
    OT_DONE(t, ot_forward(t, false));
    memcpy(base, t->out, sizeof base);
    memset(t->out, 0, sizeof t->out);
    *x = hi;
    OT_DONE(t, ot_forward(t, false));
    double d = ot_loss_difference(t, base) / (hi - lo);
    for (int i = 0; i < OT_MAX_OUT; i++) tsr_tensor_release(&base[i]);
    *x = x0;
    return d;
}

/* Gradients of every float input not excluded, against central differences in double with one
 * step of Richardson extrapolation (error O(h^4)). Needs inputs more than 2h away from kinks. */
OT_FN void ot_gradcheck(struct optest *t)
{
    ot_load(t, TSR_F64);
    OT_DONE(t, ot_forward(t, true));
    OT_DONE(t, ot_backward(t));
    for (int i = 0; i < t->n_in; i++) {
        if (!t->want_gin[i]) continue;
        double *x = t->now[i].data;
        const double *g = t->gin[i].data;
        ck_assert_int_eq(t->gin[i].dtype, TSR_F64);
        for (int64_t k = 0; k < tsr_tensor_count(&t->gin[i]); k++) {
            double h = t->step * fmax(1, fabs(x[k]));
            double fd = (4 * ot_central(t, &x[k], h) - ot_central(t, &x[k], 2 * h)) / 3;
            double err = fabs(g[k] - fd) / fmax(1, fabs(fd));
            ck_assert_msg(err <= t->grad_tol, "%s: gradient of input %d [%lld] is %.12g, finite differences say %.12g (error %.2g)",
                          t->op->op_type, i, (long long)k, g[k], fd, err);
        }
    }
}

OT_FN void ot_agree(const struct optest *t, const char *what, int i, const struct tsr_tensor *a,
                    const struct tsr_tensor *b, double tol)
{
    ck_assert_msg(tsr_shape_equal(&a->shape, &b->shape), "%s: the shape of %s %d differs between types", t->op->op_type, what, i);
    double top = 1;
    for (int64_t k = 0; k < tsr_tensor_count(b); k++) {
        double v = fabs(tsr_load_f64(b->dtype, b->data, k));
        if (isfinite(v) && v > top) top = v;
    }
    for (int64_t k = 0; k < tsr_tensor_count(a); k++) {
        double x = tsr_load_f64(a->dtype, a->data, k), y = tsr_load_f64(b->dtype, b->data, k);
        bool ok = isfinite(y) ? fabs(x - y) <= tol * top : ot_close(x, y, tol);
        ck_assert_msg(ok, "%s: %s %d [%lld] is %.9g in float32 and %.9g in float64", t->op->op_type, what, i, (long long)k, x, y);
    }
}

/* The float32 kernels against the float64 ones: outputs, and gradients where the operator has
 * them; absolute error within tol * max(1, largest magnitude of the tensor). */
OT_FN void ot_float_agrees(struct optest *t, double tol)
{
    struct tsr_tensor out[OT_MAX_OUT], gin[OT_MAX_IN];
    bool back = t->op->backward != NULL;
    ot_load(t, TSR_F32);
    OT_DONE(t, ot_forward(t, back));
    if (back) OT_DONE(t, ot_backward(t));
    memcpy(out, t->out, sizeof out), memset(t->out, 0, sizeof t->out);
    memcpy(gin, t->gin, sizeof gin), memset(t->gin, 0, sizeof t->gin);
    ot_load(t, TSR_F64);
    OT_DONE(t, ot_forward(t, back));
    if (back) OT_DONE(t, ot_backward(t));
    for (int i = 0; i < t->n_out; i++)
        if (t->want_out[i]) ot_agree(t, "output", i, &out[i], &t->out[i], tol);
    for (int i = 0; back && i < t->n_in; i++)
        if (t->want_gin[i]) ot_agree(t, "gradient", i, &gin[i], &t->gin[i], tol);
    for (int i = 0; i < OT_MAX_OUT; i++) tsr_tensor_release(&out[i]);
    for (int i = 0; i < OT_MAX_IN; i++) tsr_tensor_release(&gin[i]);
}

OT_FN bool ot_same_bytes(const struct tsr_tensor *a, const struct tsr_tensor *b)
{
    return tsr_tensor_count(a) == 0 || memcmp(a->data, b->data, tsr_tensor_bytes(a)) == 0;
}

/* The same bytes with one, two and three threads, forward and backward. */
OT_FN void ot_threads_agree(struct optest *t)
{
    struct tsr_tensor out[OT_MAX_OUT], gin[OT_MAX_IN];
    bool back = t->op->backward != NULL;
    for (int threads = 1; threads <= 3; threads++) {
        struct tsr_pool *pool = NULL;
        ck_assert(tsr_pool_new(threads, &pool, &t->err) == TSR_OK);
        t->pool = pool;
        ot_load(t, TSR_NONE);
        OT_DONE(t, ot_forward(t, back));
        if (back) OT_DONE(t, ot_backward(t));
        t->pool = NULL;
        tsr_pool_free(pool);
        if (threads == 1) {
            memcpy(out, t->out, sizeof out), memset(t->out, 0, sizeof t->out);
            memcpy(gin, t->gin, sizeof gin), memset(t->gin, 0, sizeof t->gin);
            continue;
        }
        for (int i = 0; i < t->n_out; i++)
            if (t->want_out[i]) ck_assert_msg(ot_same_bytes(&out[i], &t->out[i]),
                                              "%s: output %d depends on the number of threads", t->op->op_type, i);
        for (int i = 0; back && i < t->n_in; i++)
            if (t->want_gin[i]) ck_assert_msg(ot_same_bytes(&gin[i], &t->gin[i]),
                                              "%s: gradient %d depends on the number of threads", t->op->op_type, i);
    }
    for (int i = 0; i < OT_MAX_OUT; i++) tsr_tensor_release(&out[i]);
    for (int i = 0; i < OT_MAX_IN; i++) tsr_tensor_release(&gin[i]);
}

/* Every allocation of forward and backward fails once: the operator says so and leaks nothing
 * (which sanitiser builds see). */
OT_FN void ot_memory_torture(struct optest *t)
{
    ot_load(t, TSR_F32);
    for (long n = 1;; n++) {
        ck_assert(n < 1000);
        tsr_mem_fail_after(n);
        enum tsr_status s = ot_forward(t, true);
        if (s == TSR_OK && t->op->backward) s = ot_backward(t);
        tsr_mem_fail_after(0);
        if (s == TSR_OK) return;
        ck_assert_msg(s == TSR_E_NOMEM, "%s: out of memory gives %s", t->op->op_type, tsr_status_name(s));
    }
}

/* Everything at once, for the usual smooth operator. */
OT_FN void ot_check_all(struct optest *t, double float_tol)
{
    ot_gradcheck(t);
    ot_float_agrees(t, float_tol);
    ot_threads_agree(t);
}

/* main() of a test program: runs the suite, returns non-zero where a test failed. */
OT_FN int ot_main(Suite *suite)
{
    return run_suite(suite);
}

#endif
