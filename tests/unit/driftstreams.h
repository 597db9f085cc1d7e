/* driftstreams.h - small streams for the tests of drift: what they hold, and comparisons of them. */
#include "base/mem.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) ck_assert_int_eq((call), TSR_OK)

enum { N = 120, C = 6, D = 8, V = 3, MOST = 8 };

static struct tsr_key key[N];
static float logits[N][C], acts[N][D], views[V][N][C];

/* Fills them; the tests' fixture. */
static inline void setup(void)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 1, 0);
    for (int i = 0; i < N; i++) {
        for (size_t b = 0; b < sizeof key[i].b; b++) key[i].b[b] = (uint8_t)tsr_rng_u64(&r);
        for (int c = 0; c < C; c++) logits[i][c] = 2 * tsr_rng_normal(&r);
        for (int d = 0; d < D; d++) acts[i][d] = tsr_rng_normal(&r);
        for (int v = 0; v < V; v++)
            for (int c = 0; c < C; c++) views[v][i][c] = tsr_rng_normal(&r);
    }
}

/* What a stream is to hold. */
struct spec {
    const float *out;        /* [N, cols], or NULL */
    int cols;
    enum tsr_row_kind kind;
    enum tsr_dtype dtype;
    const float *acts;       /* [N, D] of `layer`, or NULL */
    int width;
    const char *layer;
    const float *views;      /* [V, N, cols], or NULL */
    int block;               /* samples of a block */
    int first, step, count;  /* rows first, first + step, ...: another order, fewer of them */
    uint64_t seed;           /* of the views */
    const char *model;
};

/* Logits and one layer, in one block. */
static inline struct spec plain(void)
{
    return (struct spec){.out = &logits[0][0], .cols = C, .kind = TSR_KIND_LOGITS, .dtype = TSR_F32, .acts = &acts[0][0],
                         .width = D, .layer = "fc.1", .block = N, .step = 1, .count = N, .model = "m"};
}

static inline void put_rows(struct tsr_stream_writer *w, const struct spec *s, uint32_t type, int block, int at, int m, int view,
                     const float *x, int cols)
{
    float *rows = malloc((size_t)(m * cols) * sizeof *rows);
    for (int i = 0; i < m; i++)
        memcpy(rows + i * cols, x + ((s->first + (at + i) * s->step) % N) * cols, (size_t)cols * sizeof *x);
    struct tsr_rows r = {.type = type, .layer = type == TSR_ACTS ? s->layer : NULL, .block = block, .count = m,
                         .views = view > 0, .view = view, .n_views = view > 0};
    r.set = tsr_rowset_choose(s->dtype, type == TSR_OUTS ? s->kind : TSR_KIND_NONE, (size_t)m, (size_t)cols, (size_t)cols);
    OK(tsr_rows_put(w, &r, rows, NULL));
    free(rows);
}

static inline void write_stream(const struct spec *s, struct tsr_buf *to)
{
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {.outputs = s->kind};
    OK(tsr_sink_from_memory(to, "test", &sink, NULL));
    OK(tsr_writer_new(sink, 1, &w, NULL));
    OK(tsr_stream_head_set(&h.producer, "test", NULL));
    OK(tsr_stream_head_set(&h.model, s->model, NULL));
    OK(tsr_stream_head_put(w, &h, NULL));
    tsr_stream_head_release(&h);
    if (s->views != NULL) {
        struct tsr_views v = {.kind = TSR_VIEW_VECTOR, .count = V, .seed = s->seed, .gain = 0.1f, .noise = 0.1f};
        struct tsr_json *recipe;
        OK(tsr_views_to_json(&v, &recipe, NULL));
        OK(tsr_writer_put(w, TSR_VIEW, recipe, NULL, 0, NULL));
        tsr_json_free(recipe);
    }
    for (int at = 0, block = 0; at < s->count; at += s->block, block++) {
        int m = s->count - at < s->block ? s->count - at : s->block;
        struct tsr_key k[N];
        for (int i = 0; i < m; i++) k[i] = key[(s->first + (at + i) * s->step) % N];
        struct tsr_block_keys keys = {.block = block, .first = at, .count = (size_t)m, .key = k};
        OK(tsr_keys_put(w, &keys, NULL));
        if (s->out != NULL) put_rows(w, s, TSR_OUTS, block, at, m, 0, s->out, s->cols);
        if (s->acts != NULL) put_rows(w, s, TSR_ACTS, block, at, m, 0, s->acts, s->width);
        for (int v = 1; s->views != NULL && v <= V; v++)
            put_rows(w, s, TSR_OUTS, block, at, m, v, s->views + (v - 1) * N * s->cols, s->cols);
    }
    OK(tsr_writer_finish(w, NULL));
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
}

/* The first stream against the others. */
static inline enum tsr_status compare(struct tsr_buf *stream, size_t n, const struct tsr_drift_options *o, struct tsr_drift **d,
                               struct tsr_error *err)
{
    static const char *const names[MOST] = {"ref", "a", "b", "c", "d", "e", "f", "g"};
    struct tsr_drift_options def = {.top_k = 2, .memory = 1 << 26};
    struct tsr_source *source[MOST];
    struct tsr_drift_input in[MOST];
    enum tsr_status status = TSR_OK;
    size_t opened = 0;
    for (; opened < n && status == TSR_OK; opened += status == TSR_OK) {
        status = tsr_source_from_memory(stream[opened].data, stream[opened].len, names[opened], &source[opened], err);
        in[opened] = (struct tsr_drift_input){.source = source[opened], .name = names[opened]};
    }
    *d = NULL;
    if (status == TSR_OK) status = tsr_drift_compare(&in[0], &in[1], n - 1, o != NULL ? o : &def, d, err);
    for (size_t i = 0; i < opened; i++) tsr_source_close(source[i]);
    return status;
}

/* Compares two specifications; fails the test where that fails. */
static inline struct tsr_drift *drift(const struct spec *ref, const struct spec *x, const struct tsr_drift_options *o)
{
    struct tsr_buf s[2] = {{0}};
    struct tsr_drift *d;
    struct tsr_error err;
    write_stream(ref, &s[0]);
    write_stream(x, &s[1]);
    ck_assert_msg(compare(s, 2, o, &d, &err) == TSR_OK, "%s", err.message);
    tsr_buf_release(&s[0]);
    tsr_buf_release(&s[1]);
    return d;
}
