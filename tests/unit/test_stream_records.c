/* The typed records: HEAD, KEYS, INPT, rows, BASE; and the checker of what belongs together. */
#include "base/mem.h"
#include "stream/basis.h"
#include "stream/check.h"
#include "stream/codec.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "suite.h"

#include <stdlib.h>

static struct tsr_error err;

#define OK(expression) ck_assert_msg((expression) == TSR_OK, "%s", err.message)
#define ROWS 20
#define VIEWS 3

/* What make() may do wrong. */
enum fault {
    NONE, NO_KEYS, WRONG_BLOCK, WRONG_COUNT, NO_VIEW, TOO_MANY_VIEWS, TWO_VIEWS, WRONG_KIND, WRONG_CLASSES,
    NO_BASE, WRONG_RANK, TWO_BASES, REPEATED_BLOCK, WRONG_REFERENCE, FAULTS
};

static struct tsr_key key[ROWS];
static float numbers[ROWS * VIEWS * 8];

static void put_head(struct tsr_stream_writer *w, enum fault fault)
{
    struct tsr_stream_head h = {.outputs = TSR_KIND_LOGITS, .classes = fault == WRONG_CLASSES ? 4 : 5,
                                .reference_count = fault == WRONG_REFERENCE ? ROWS + 1 : ROWS};
    struct tsr_shape shape = {.rank = 3, .dim = {1, 4, 4}};
    struct tsr_sha256 sha;
    uint8_t digest[TSR_SHA256_LEN];
    tsr_sha256_init(&sha);
    tsr_sha256_update(&sha, key, sizeof key);
    tsr_sha256_final(&sha, digest);
    tsr_hex(digest, sizeof digest, h.reference_digest);
    OK(tsr_stream_head_set(&h.producer, "tessera-test 1", &err));
    OK(tsr_stream_head_set(&h.blas, "Prescott", &err));
    OK(tsr_stream_head_set(&h.model, "net.onnx", &err));
    tsr_hex(digest, sizeof digest, h.model_digest);
    OK(tsr_stream_head_add_input(&h, "x", TSR_F32, &shape, &err));
    OK(tsr_stream_head_add_lineage(&h, h.model_digest, &err));
    OK(tsr_stream_head_put(w, &h, &err));
    tsr_stream_head_release(&h);
}

static void put_view(struct tsr_stream_writer *w, enum fault fault)
{
    struct tsr_json *meta;
    OK(tsr_json_object(&meta, &err));
    OK(tsr_json_set_int(meta, "count", fault == TOO_MANY_VIEWS ? VIEWS - 1 : VIEWS, &err));
    OK(tsr_json_set_string(meta, "kind", "vector", &err));
    OK(tsr_writer_put(w, TSR_VIEW, meta, NULL, 0, &err));
    tsr_json_free(meta);
}

static void put_base(struct tsr_stream_writer *w)
{
    char hub[TSR_DIGEST_TEXT];
    memset(hub, 'a', sizeof hub - 1);
    hub[sizeof hub - 1] = '\0';
    struct tsr_basis b = {.layer = "fc1", .hub = hub, .dim = 2048, .anchors = ROWS, .rank = 6, .lambda = 0.125};
    OK(tsr_basis_put(w, &b, TSR_F32, numbers, &err));
}

static void put_rows(struct tsr_stream_writer *w, uint32_t type, bool views, size_t cols, enum fault fault)
{
    size_t rows = ROWS * (views ? VIEWS : 1);
    struct tsr_rows r = {.type = type, .layer = type == TSR_OUTS ? NULL : "fc1", .count = ROWS, .views = views,
                         .view = 1, .n_views = VIEWS, .block = fault == WRONG_BLOCK};
    if (fault == WRONG_COUNT) r.count = ROWS / 2, rows /= 2;
    r.set = tsr_rowset_choose(TSR_I8, type != TSR_OUTS ? TSR_KIND_NONE : fault == WRONG_KIND ? TSR_KIND_REGRESSION : TSR_KIND_LOGITS,
                              rows, cols, cols);
    if (type == TSR_ACTS) r.rank = 2, r.shape[0] = 2, r.shape[1] = (int64_t)cols / 2;
    OK(tsr_rows_put(w, &r, numbers, &err));
}

static void put_inputs(struct tsr_stream_writer *w)
{
    struct tsr_inputs in = {.name = "x", .count = ROWS, .dtype = TSR_I16, .shape = {.rank = 2, .dim = {2, 3}}};
    OK(tsr_inputs_put(w, &in, numbers, &err));
    in.dtype = TSR_F64;
    in.name = "y";
    OK(tsr_inputs_put(w, &in, numbers, &err));
}

static struct tsr_buf make(enum fault fault)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_block_keys k = {.count = ROWS, .key = key};
    for (int i = 0; i < ROWS; i++) memset(key[i].b, i, TSR_KEY_LEN);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) numbers[i] = (float)(i * 7 % 31) - 11;
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, &err));
    put_head(w, fault);
    if (fault != NO_VIEW) put_view(w, fault);
    if (fault == TWO_VIEWS) put_view(w, fault);
    if (fault != NO_BASE) put_base(w);
    if (fault == TWO_BASES) put_base(w);
    if (fault != NO_KEYS) OK(tsr_keys_put(w, &k, &err));
    if (fault == REPEATED_BLOCK) OK(tsr_keys_put(w, &k, &err));
    put_inputs(w);
    put_rows(w, TSR_ACTS, false, 8, fault);
    put_rows(w, TSR_OUTS, false, 5, fault);
    put_rows(w, TSR_OUTS, true, 5, fault);
    put_rows(w, TSR_HUBT, true, fault == WRONG_RANK ? 7 : 6, fault);
    OK(tsr_writer_finish(w, &err));
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    return b;
}

static enum tsr_status check(const struct tsr_buf *b)
{
    struct tsr_source *src;
    struct tsr_stream *s;
    struct tsr_stream_check *c;
    const struct tsr_record *rec = NULL;
    enum tsr_status status;
    OK(tsr_source_from_memory(b->data, b->len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    OK(tsr_stream_check_new(&c, &err));
    while ((status = tsr_stream_next(s, &rec, &err)) == TSR_OK && rec != NULL)
        if ((status = tsr_stream_check_record(c, s, rec, &err)) != TSR_OK) break;
    tsr_stream_check_free(c);
    tsr_stream_close(s);
    tsr_source_close(src);
    return status;
}

START_TEST(checker)
{
    for (int fault = NONE; fault < FAULTS; fault++) {
        struct tsr_buf b = make((enum fault)fault);
        enum tsr_status status = check(&b);
        ck_assert_msg(status == (fault == NONE ? TSR_OK : TSR_E_CORRUPT), "fault %d: %s", fault,
                      status == TSR_OK ? "not seen" : err.message);
        if (fault != NONE) ck_assert_msg(strstr(err.message, "at byte") != NULL, "fault %d: %s", fault, err.message);
        tsr_buf_release(&b);
    }
}
END_TEST

/* Reads on to the first record of a type. */
static const struct tsr_record *seek(struct tsr_stream *s, uint32_t type)
{
    const struct tsr_record *rec;
    do OK(tsr_stream_next(s, &rec, &err));
    while (rec != NULL && rec->type != type);
    ck_assert_ptr_nonnull(rec);
    return rec;
}

START_TEST(fields_come_back)
{
    struct tsr_buf b = make(NONE);
    struct tsr_source *src;
    struct tsr_stream *s;
    OK(tsr_source_from_memory(b.data, b.len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));

    struct tsr_stream_head h;
    OK(tsr_stream_head_parse(seek(s, TSR_HEAD), &h, &err));
    ck_assert_str_eq(h.producer, "tessera-test 1");
    ck_assert_str_eq(h.blas, "Prescott");
    ck_assert_str_eq(h.model, "net.onnx");
    ck_assert_str_eq(h.model_digest, h.reference_digest);
    ck_assert_int_eq(h.reference_count, ROWS);
    ck_assert_int_eq(h.outputs, TSR_KIND_LOGITS);
    ck_assert_int_eq(h.classes, 5);
    ck_assert_uint_eq(h.n_inputs, 1);
    ck_assert_str_eq(h.input[0].name, "x");
    ck_assert_int_eq(h.input[0].dtype, TSR_F32);
    ck_assert_int_eq(h.input[0].shape.rank, 3);
    ck_assert_int_eq(h.input[0].shape.dim[2], 4);
    ck_assert_uint_eq(h.n_lineage, 1);
    ck_assert_str_eq(h.lineage[0], h.model_digest);
    tsr_stream_head_release(&h);

    struct tsr_basis basis;
    static float u[ROWS * 6];
    const struct tsr_record *rec = seek(s, TSR_BASE);
    OK(tsr_basis_parse(rec, &basis, &err));
    ck_assert_int_eq(basis.rank, 6);
    ck_assert_int_eq(basis.anchors, ROWS);
    ck_assert(basis.lambda == 0.125);
    OK(tsr_basis_load(s, rec, u, &err));
    ck_assert_mem_eq(u, numbers, sizeof u);

    struct tsr_block_keys k = {0};
    OK(tsr_keys_get(s, seek(s, TSR_KEYS), &k, &err));
    ck_assert_uint_eq(k.count, ROWS);
    ck_assert_mem_eq(k.key, key, sizeof key);
    tsr_keys_release(&k);

    struct tsr_inputs in;
    static double data[ROWS * 6];
    OK(tsr_inputs_parse(seek(s, TSR_INPT), &in, &err));
    ck_assert_uint_eq(tsr_inputs_bytes(&in), ROWS * 6 * 2);
    OK(tsr_inputs_load(s, &in, data, &err));
    ck_assert_mem_eq(data, numbers, ROWS * 6 * 2);
    OK(tsr_inputs_parse(seek(s, TSR_INPT), &in, &err));
    ck_assert_str_eq(in.name, "y");
    ck_assert_int_eq(in.layout, TSR_LAYOUT_COLUMNS);
    OK(tsr_inputs_load(s, &in, data, &err));
    ck_assert_mem_eq(data, numbers, sizeof data);

    struct tsr_rows r;
    OK(tsr_rows_parse(seek(s, TSR_ACTS), &r, &err));
    ck_assert_str_eq(r.layer, "fc1");
    ck_assert(!r.views);
    ck_assert_int_eq(r.rank, 2);
    ck_assert_int_eq(r.shape[1], 4);
    OK(tsr_rows_parse(seek(s, TSR_OUTS), &r, &err));
    OK(tsr_rows_parse(seek(s, TSR_OUTS), &r, &err));
    ck_assert(r.views);
    ck_assert_ptr_null(r.layer);
    ck_assert_int_eq(r.view, 1);
    ck_assert_int_eq(r.n_views, VIEWS);
    ck_assert_uint_eq(r.set.rows, ROWS * VIEWS);
    ck_assert_int_eq(r.set.kind, TSR_KIND_LOGITS);
    float *x;
    OK(tsr_rows_get(s, &r, &x, &err));
    tsr_free(x);
    ck_assert_int_eq(tsr_rows_parse(seek(s, TSR_ENDS), &r, &err), TSR_E_USAGE);
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(derived_heads)
{
    struct tsr_buf b = make(NONE), out = {0};
    struct tsr_source *src;
    struct tsr_sink *sink;
    struct tsr_stream *s;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h;
    char digest[TSR_DIGEST_TEXT];
    OK(tsr_source_from_memory(b.data, b.len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    OK(tsr_sink_from_memory(&out, "memory", &sink, &err));
    OK(tsr_writer_new(sink, 0, &w, &err));
    const struct tsr_record *rec = seek(s, TSR_HEAD);
    tsr_record_digest(rec, digest);
    OK(tsr_stream_head_derive(w, rec, "tessera-other 2", &err));
    OK(tsr_writer_finish(w, &err));
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    tsr_stream_close(s);
    tsr_source_close(src);

    OK(tsr_source_from_memory(out.data, out.len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    OK(tsr_stream_head_parse(seek(s, TSR_HEAD), &h, &err));
    ck_assert_str_eq(h.producer, "tessera-other 2");
    ck_assert_uint_eq(h.n_lineage, 2);
    ck_assert_str_eq(h.lineage[1], digest);
    ck_assert_int_eq(h.classes, 5);
    tsr_stream_head_release(&h);
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_buf_release(&b);
    tsr_buf_release(&out);
}
END_TEST

START_TEST(refusals)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {0};
    struct tsr_rows r = {.type = TSR_ACTS, .layer = "conv", .count = 4};
    struct tsr_block_keys k = {.key = key};
    struct tsr_inputs in = {.name = "x", .count = 4, .dtype = TSR_I4, .shape = {.rank = 1, .dim = {3}}};
    static float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_writer_new(sink, 0, &w, &err));
    OK(tsr_stream_head_set(&h.producer, "p", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    ck_assert_int_eq(tsr_stream_head_add_lineage(&h, "ABC", &err), TSR_E_CORRUPT);
    ck_assert_int_eq(tsr_keys_put(w, &k, &err), TSR_E_USAGE);
    k.count = TSR_BLOCK_ROWS + 1;
    ck_assert_int_eq(tsr_keys_put(w, &k, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_inputs_put(w, &in, x, &err), TSR_E_UNSUPPORTED);
    in.dtype = TSR_F64, in.count = 2048, in.shape.dim[0] = 1 << 20;
    ck_assert_int_eq(tsr_inputs_put(w, &in, x, &err), TSR_E_LIMIT);
    r.set = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, 4, 2, 0);
    x[5] = 1.0f / 0.0f;
    ck_assert_int_eq(tsr_rows_put(w, &r, x, &err), TSR_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(err.message, "'conv'"));
    ck_assert_ptr_nonnull(strstr(err.message, "row 2, column 1"));
    x[5] = 0;
    r.rank = 1, r.shape[0] = 3;
    ck_assert_int_eq(tsr_rows_put(w, &r, x, &err), TSR_E_CORRUPT);
    r.rank = 0, r.count = 3;
    ck_assert_int_eq(tsr_rows_put(w, &r, x, &err), TSR_E_CORRUPT);
    r.count = 4, r.set.kind = TSR_KIND_LOGITS;
    ck_assert_int_eq(tsr_rows_put(w, &r, x, &err), TSR_E_CORRUPT);
    r.set.kind = TSR_KIND_NONE;
    OK(tsr_rows_put(w, &r, x, &err));
    tsr_stream_head_release(&h);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(no_memory)
{
    struct tsr_buf b = make(NONE);
    enum tsr_status status = TSR_E_NOMEM;
    for (long n = 1; status != TSR_OK; n++) {
        struct tsr_source *src = NULL;
        struct tsr_stream *s = NULL;
        struct tsr_stream_check *c = NULL;
        const struct tsr_record *rec = NULL;
        tsr_mem_fail_after(n);
        status = tsr_source_from_memory(b.data, b.len, "memory", &src, &err);
        if (status == TSR_OK) status = tsr_stream_open(src, NULL, &s, &err);
        if (status == TSR_OK) status = tsr_stream_check_new(&c, &err);
        while (status == TSR_OK) {
            status = tsr_stream_next(s, &rec, &err);
            if (status != TSR_OK || rec == NULL) break;
            status = tsr_stream_check_record(c, s, rec, &err);
        }
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "allocation %ld: %s", n, err.message);
        tsr_stream_check_free(c);
        tsr_stream_close(s);
        tsr_source_close(src);
        ck_assert_int_lt(n, 3000);
    }
    tsr_buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_records");
    TCase *t = tcase_create("records");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, checker);
    tcase_add_test(t, fields_come_back);
    tcase_add_test(t, derived_heads);
    tcase_add_test(t, refusals);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
