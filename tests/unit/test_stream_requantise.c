/* Streams in other element types: errors, idempotence, and what a stream of views may weigh. */
#include "base/mem.h"
#include "base/rng.h"
#include "stream/check.h"
#include "stream/codec.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/requantise.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct tsr_error err;

#define OK(expression) ck_assert_msg((expression) == TSR_OK, "%s", err.message)

enum { SAMPLES = 400, VIEWS = 40, CLASSES = 10 };

/* Answers of a trained network to samples and to views, half of which mix two samples. */
static void answers(float *x)
{
    static float base[SAMPLES][CLASSES];
    struct tsr_rng g;
    tsr_rng_init(&g, 3, 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t top = (size_t)tsr_rng_below(&g, CLASSES);
        float height = 6.0f + 6.0f * tsr_rng_float(&g);
        for (size_t c = 0; c < CLASSES; c++) base[i][c] = 2.0f * tsr_rng_normal(&g) + (c == top ? height : 0);
    }
    for (size_t v = 0; v <= VIEWS; v++)
        for (size_t i = 0; i < SAMPLES; i++) {
            size_t other = (size_t)tsr_rng_below(&g, SAMPLES);
            float mix = v % 2 ? tsr_rng_float(&g) : 0;
            for (size_t c = 0; c < CLASSES; c++)
                *x++ = (1 - mix) * base[i][c] + mix * base[other][c] + (v ? tsr_rng_normal(&g) : 0);
        }
}

static struct tsr_buf make(const float *x)
{
    static struct tsr_key key[SAMPLES];
    struct tsr_rng g;
    tsr_rng_init(&g, 4, 0);
    for (size_t i = 0; i < SAMPLES; i++)
        for (size_t k = 0; k < TSR_KEY_LEN; k++) key[i].b[k] = (uint8_t)tsr_rng_u64(&g);
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {.outputs = TSR_KIND_LOGITS, .classes = CLASSES};
    struct tsr_block_keys k = {.count = SAMPLES, .key = key};
    struct tsr_rows r = {.type = TSR_OUTS, .count = SAMPLES, .view = 1, .n_views = VIEWS};
    struct tsr_json *view;
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, &err));
    OK(tsr_stream_head_set(&h.producer, "test", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    OK(tsr_json_object(&view, &err));
    OK(tsr_json_set_int(view, "count", VIEWS, &err));
    OK(tsr_writer_put(w, TSR_VIEW, view, NULL, 0, &err));
    tsr_json_free(view);
    OK(tsr_keys_put(w, &k, &err));
    r.set = tsr_rowset_choose(TSR_F32, TSR_KIND_LOGITS, SAMPLES, CLASSES, CLASSES);
    OK(tsr_rows_put(w, &r, x, &err));
    r.views = true;
    r.set = tsr_rowset_choose(TSR_F32, TSR_KIND_LOGITS, SAMPLES * VIEWS, CLASSES, CLASSES);
    OK(tsr_rows_put(w, &r, x + SAMPLES * CLASSES, &err));
    OK(tsr_writer_finish(w, &err));
    tsr_stream_head_release(&h);
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    return b;
}

struct worst {
    double kl, error;
    int records;
};

static enum tsr_status keep_worst(void *arg, const struct tsr_requantised *what, struct tsr_error *e)
{
    struct worst *w = arg;
    (void)e;
    w->records++;
    w->kl = fmax(w->kl, what->kl);
    w->error = fmax(w->error, what->error);
    return TSR_OK;
}

static struct tsr_buf convert(const struct tsr_buf *in, enum tsr_dtype to, struct worst *worst)
{
    struct tsr_buf out = {0};
    struct tsr_source *src;
    struct tsr_sink *sink;
    struct tsr_stream *s;
    struct tsr_stream_writer *w;
    struct tsr_stream_check *c;
    const struct tsr_record *rec;
    struct tsr_requantise how = {.producer = "test", .to = to, .done = keep_worst, .arg = worst};
    *worst = (struct worst){0};
    OK(tsr_source_from_memory(in->data, in->len, "memory", &src, &err));
    OK(tsr_sink_from_memory(&out, "memory", &sink, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    OK(tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, &err));
    OK(tsr_stream_requantise(s, w, &how, &err));
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));

    OK(tsr_source_from_memory(out.data, out.len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    OK(tsr_stream_check_new(&c, &err));
    for (;;) {
        OK(tsr_stream_next(s, &rec, &err));
        if (rec == NULL) break;
        OK(tsr_stream_check_record(c, s, rec, &err));
    }
    tsr_stream_check_free(c);
    tsr_stream_close(s);
    tsr_source_close(src);
    return out;
}

START_TEST(size_and_divergence)
{
    static float x[(1 + VIEWS) * SAMPLES * CLASSES];
    static const struct {
        enum tsr_dtype to;
        size_t bytes;
        double kl;
    } bar[] = {{TSR_F16, 330000, 1e-6}, {TSR_BF16, 330000, 1e-4}, {TSR_I8, 165000, 5e-5}, {TSR_I4, 60 * 1024, 1e-2}};
    answers(x);
    struct tsr_buf b = make(x);
    for (size_t i = 0; i < sizeof bar / sizeof *bar; i++) {
        struct worst worst;
        struct tsr_buf q = convert(&b, bar[i].to, &worst);
        printf("%-9s %7zu bytes, KL %.2e nats a row\n", tsr_dtype_name(bar[i].to), q.len, worst.kl);
        ck_assert_int_eq(worst.records, 2);
        ck_assert_msg(q.len <= bar[i].bytes, "%zu bytes", q.len);
        ck_assert_msg(worst.kl <= bar[i].kl, "KL %g", worst.kl);
        struct worst again;
        struct tsr_buf r = convert(&q, bar[i].to, &again);
        ck_assert_int_eq(again.records, 0); /* what is so already passes untouched */
        ck_assert_uint_lt(r.len, q.len + 200);
        tsr_buf_release(&r);
        r = convert(&q, TSR_F32, &again);
        ck_assert_int_eq(again.records, 2);
        ck_assert(again.kl < 1e-7 && again.error == 0);
        tsr_buf_release(&r);
        tsr_buf_release(&q);
    }
    tsr_buf_release(&b);
}
END_TEST

START_TEST(refusals)
{
    struct tsr_requantise how = {.producer = "test", .to = TSR_F64};
    ck_assert_int_eq(tsr_stream_requantise(NULL, NULL, &how, &err), TSR_E_USAGE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_requantise");
    TCase *t = tcase_create("requantise");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, size_and_divergence);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return run_suite(s);
}
