#include "stream/requantise.h"

#include "base/mem.h"
#include "stream/head.h"
#include "tensor/vmath.h"

#include <math.h>

/* How the rows of this record will be stored. */
static struct tsr_rowset target(const struct tsr_rows *r, enum tsr_dtype to)
{
    if (r->set.kind == TSR_KIND_ARGMAX) return r->set;
    if (r->type == TSR_BASE && to == TSR_I4) to = TSR_I8;
    return tsr_rowset_choose(to, r->set.kind, r->set.rows, r->set.cols, r->set.cols);
}

static double relative_error(const float *x, const float *y, size_t n)
{
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)y[i];
        error += d * d;
        power += (double)x[i] * (double)x[i];
    }
    return error == 0 ? 0 : sqrt(error / (power > 0 ? power : 1));
}

static double divergence(const float *x, const float *y, const struct tsr_rowset *s)
{
    double total = 0;
    for (size_t r = 0; r < s->rows; r++, x += s->cols, y += s->cols) {
        bool logits = s->kind == TSR_KIND_LOGITS;
        const int64_t n = (int64_t)s->cols;
        double lx = logits ? tsr_log_sum_exp(n, x) : 0, ly = logits ? tsr_log_sum_exp(n, y) : 0;
        for (size_t c = 0; c < s->cols; c++) {
            double p = logits ? (double)x[c] - lx : log(fmax((double)x[c], 1e-30));
            double q = logits ? (double)y[c] - ly : log(fmax((double)y[c], 1e-30));
            total += exp(p) * (p - q);
        }
    }
    return total / (double)s->rows;
}

/* Softmax codes carry logits without their row's maximum; the error is that of the rest. */
static void subtract_maxima(float *x, const struct tsr_rowset *s)
{
    for (size_t r = 0; r < s->rows; r++, x += s->cols) {
        float top = x[0];
        for (size_t c = 1; c < s->cols; c++)
            if (x[c] > top) top = x[c];
        for (size_t c = 0; c < s->cols; c++) x[c] -= top;
    }
}

/* What the new encoding makes of x. */
static enum tsr_status measure(struct tsr_requantised *what, float *x, struct tsr_error *err)
{
    const struct tsr_rowset *s = &what->to.set;
    size_t n = s->rows * s->cols;
    struct tsr_buf body = {0};
    float *y = tsr_malloc(n, sizeof *y);
    if (y == NULL) return tsr_nomem(err, n * sizeof *y);
    enum tsr_status status = tsr_rowset_encode(s, x, &body, err);
    if (status == TSR_OK) status = tsr_rowset_decode(s, body.data, body.len, y, err);
    if (status == TSR_OK) {
        bool softmax = s->cols >= 2 && (s->kind == TSR_KIND_LOGITS || s->kind == TSR_KIND_PROBABILITIES);
        what->kl = softmax ? divergence(x, y, s) : 0;
        if (s->kind == TSR_KIND_LOGITS && s->code == TSR_CODE_SOFTMAX) {
            subtract_maxima(x, s);
            for (size_t i = 0; i < n; i++)
                if (x[i] < -15) x[i] = -15;
        }
        what->error = relative_error(x, y, n);
    }
    tsr_buf_release(&body);
    tsr_free(y);
    return status;
}

static enum tsr_status recode(struct tsr_stream *from, const struct tsr_record *rec, const struct tsr_rows *r,
                              const struct tsr_rowset *as, struct tsr_stream_writer *to,
                              const struct tsr_requantise *how, struct tsr_error *err)
{
    struct tsr_requantised what = {.record = rec, .from = *r, .to = *r};
    struct tsr_json *meta = NULL;
    float *x = NULL;
    what.to.set = *as;
    /* The fields are the old ones, those of later versions included, but for the encoding. */
    enum tsr_status status = tsr_json_parse(rec->meta_text, rec->meta_len, TSR_MAX_META, "its JSON", &meta, err);
    if (status == TSR_OK) status = tsr_rows_get(from, r, &x, err);
    if (status == TSR_OK) {
        what.to.info = NULL; /* is in meta already */
        status = tsr_rows_put_with(to, &what.to, meta, x, err);
        if (status != TSR_OK) (void)tsr_record_failed(rec, status, err);
    }
    if (status == TSR_OK && how->done != NULL) {
        status = measure(&what, x, err);
        if (status == TSR_OK) status = how->done(how->arg, &what, err);
    }
    tsr_free(x);
    tsr_json_free(meta);
    return status;
}

static enum tsr_status take(struct tsr_stream *from, const struct tsr_record *rec, struct tsr_stream_writer *to,
                            const struct tsr_requantise *how, struct tsr_error *err)
{
    if (rec->type == TSR_ENDS) return tsr_writer_finish(to, err);
    if (rec->type == TSR_HEAD) return tsr_stream_head_derive(to, rec, how->producer, err);
    if (!tsr_rows_addressed(rec->type) && rec->type != TSR_BASE) return tsr_stream_copy(from, to, err);
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    struct tsr_rowset as = target(&r, how->to);
    if (as.dtype == r.set.dtype && as.code == r.set.code) return tsr_stream_copy(from, to, err);
    return recode(from, rec, &r, &as, to, how, err);
}

enum tsr_status tsr_stream_requantise(struct tsr_stream *from, struct tsr_stream_writer *to,
                                      const struct tsr_requantise *how, struct tsr_error *err)
{
    const struct tsr_record *rec;
    if (how->to != TSR_F32 && how->to != TSR_F16 && how->to != TSR_BF16 && how->to != TSR_I8 && how->to != TSR_I4)
        return tsr_fail(err, TSR_E_USAGE, "streams are not re-encoded as %s", tsr_dtype_name(how->to));
    for (;;) {
        TSR_TRY(tsr_stream_next(from, &rec, err));
        if (rec == NULL) return TSR_OK;
        TSR_TRY(take(from, rec, to, how, err));
    }
}
