#include "quant/measure.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "graph/fuse.h"
#include "graph/head.h"
#include "graph/session.h"
#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

struct tsr_tensor tsr_quant_slice(const struct tsr_quant_samples *s, size_t k, int64_t first, int64_t n)
{
    struct tsr_tensor t = s->x[k];
    size_t each = s->rows > 0 ? tsr_tensor_bytes(&s->x[k]) / (size_t)s->rows : 0;
    t.storage = NULL;
    t.data = (char *)t.data + each * (size_t)first;
    t.shape.dim[0] = n;
    return t;
}

/* Whether the last axis is that of classes: a softmax goes over it, or there is none and it may be, which of an image
 * per sample it is not. */
static bool has_classes_last(const struct tsr_tensor *t, const struct tsr_logits *l)
{
    if (l->softmax < 0) return t->shape.rank == 2 || t->shape.rank == 3;
    return t->shape.rank > 1 && (l->axis == -1 || l->axis == t->shape.rank - 1);
}

static enum tsr_status append(const struct tsr_tensor *t, int64_t samples, const struct tsr_logits *l,
                              struct tsr_quant_outputs *out, size_t *room, struct tsr_error *err)
{
    const bool classes = has_classes_last(t, l), probabilities = classes && l->softmax >= 0 && !l->log;
    char shape[TSR_SHAPE_TEXT];
    int64_t count = tsr_tensor_count(t), columns = classes ? t->shape.dim[t->shape.rank - 1] : 1;
    if (t->shape.rank < 1 || t->shape.dim[0] != samples || columns < 1 || !tsr_dtype_is_float(t->dtype))
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the model's first output is %s%s for %lld samples: no row of floating-point numbers "
                        "for each", tsr_dtype_name(t->dtype), tsr_shape_text(&t->shape, shape, sizeof shape), (long long)samples);
    if (out->rows > 0 && out->columns != columns)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the model's first output changes its width");
    TSR_TRY(tsr_grow(&out->z, room, (size_t)(out->rows * columns + count), sizeof *out->z, err));
    float *to = out->z + out->rows * columns;
    tsr_convert(TSR_F32, to, t->dtype, t->data, count);
    for (int64_t i = 0; probabilities && i < count; i++) to[i] = logf(fmaxf(to[i], 1e-30f));
    out->columns = columns;
    out->rows += count / columns;
    return TSR_OK;
}

enum tsr_status tsr_quant_run(const struct tsr_graph *g, const struct tsr_quant_samples *s, int64_t first, int64_t n,
                              struct tsr_pool *pool, struct tsr_quant_outputs *out, struct tsr_error *err)
{
    struct tsr_session_options so = {.pool = pool};
    struct tsr_graph *fused = NULL;
    struct tsr_session *session = NULL;
    size_t room = 0;
    *out = (struct tsr_quant_outputs){0};
    const struct tsr_logits logits = tsr_graph_logits(g);
    const int32_t want = logits.scores;
    enum tsr_status status = tsr_graph_fuse(g, &want, 1, 0, &fused, err);
    if (status == TSR_OK) status = tsr_session_new(fused, &so, &session, err);
    struct tsr_tensor part[TSR_QUANT_INPUTS], value;
    int64_t batch = 1;
    for (size_t k = 0; k < s->n_inputs; k++) part[k] = tsr_quant_slice(s, k, first, n);
    if (status == TSR_OK && n > 0) status = tsr_batch_choose(session, fused, part, s->n_inputs, &want, 1, &batch, err);
    for (int64_t at = 0, m; at < n && status == TSR_OK; at += m) {
        m = n - at < batch ? n - at : batch;
        for (size_t k = 0; k < s->n_inputs && status == TSR_OK; k++)
            status = tsr_batch_input(session, fused, g->input[k], &part[k], at, m, err);
        if (status == TSR_OK) status = tsr_session_run(session, &want, 1, err);
        if (status == TSR_OK) status = tsr_batch_value(session, fused, want, m, &value, err);
        if (status == TSR_OK) status = append(&value, m, &logits, out, &room, err);
    }
    tsr_session_free(session);
    tsr_graph_free(fused);
    if (status != TSR_OK) {
        tsr_free(out->z);
        out->z = NULL;
    }
    return status;
}

static double row_kl(const float *a, const float *b, int64_t n)
{
    double la = tsr_log_sum_exp(n, a), lb = tsr_log_sum_exp(n, b), kl = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = (double)a[i] - la;
        kl += exp(p) * (p - ((double)b[i] - lb));
    }
    return kl;
}

double tsr_quant_divergence(const struct tsr_quant_outputs *a, const struct tsr_quant_outputs *b)
{
    double sum = 0, mean = 0, var = 0;
    int64_t n = a->rows;
    if (n == 0 || b->rows != n || b->columns != a->columns) return NAN;
    if (a->columns > 1) {
        for (int64_t i = 0; i < n; i++) sum += row_kl(a->z + i * a->columns, b->z + i * a->columns, a->columns);
        return sum / (double)n;
    }
    for (int64_t i = 0; i < n; i++) mean += (double)a->z[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a->z[i] - (double)b->z[i], v = (double)a->z[i] - mean;
        sum += d * d;
        var += v * v;
    }
    return var > 0 ? sum / var / 2 : sum;
}
