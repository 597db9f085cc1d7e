/* make-stream-fixtures DIR - writes the token streams of testdata/stream: what a reader must
 * accept (good-*), refuse (bad-*) or call unsupported (unsupported-*). Each damaged one is sound
 * in every respect but one: checksums behind the damage are made right again. */
#include "tessera.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tsr_error err;
static const char *directory;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "make-stream-fixtures: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void save(const char *name, const struct tsr_buf *b)
{
    char path[4096];
    struct tsr_sink *sink;
    snprintf(path, sizeof path, "%s/%s.tsr", directory, name);
    must(tsr_sink_open(path, &sink, &err));
    must(tsr_sink_write(sink, b->data, b->len, &err));
    must(tsr_sink_close(sink, &err));
}

/* ---- making streams ---- */

enum { ROWS = 6, WIDTH = 4, CLASSES = 3, VIEWS = 2 };

struct maker {
    struct tsr_buf b;
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
};

static void begin(struct maker *m)
{
    *m = (struct maker){0};
    must(tsr_sink_from_memory(&m->b, "memory", &m->sink, &err));
    must(tsr_writer_new(m->sink, TSR_LEVEL_AUTO, &m->w, &err));
}

static void keep(struct maker *m, const char *name) /* closes and saves */
{
    tsr_writer_free(m->w);
    must(tsr_sink_close(m->sink, &err));
    if (name != NULL) save(name, &m->b);
}

static void put_head(struct maker *m)
{
    struct tsr_stream_head h = {.outputs = TSR_KIND_LOGITS, .classes = CLASSES};
    struct tsr_shape shape = {.rank = 1, .dim = {WIDTH}};
    must(tsr_stream_head_set(&h.producer, "make-stream-fixtures 1", &err));
    must(tsr_stream_head_set(&h.model, "small.onnx", &err));
    must(tsr_stream_head_add_input(&h, "x", TSR_F32, &shape, &err));
    must(tsr_stream_head_put(m->w, &h, &err));
    tsr_stream_head_release(&h);
}

static void put_keys(struct maker *m, int64_t block)
{
    struct tsr_key key[ROWS];
    struct tsr_block_keys k = {.block = block, .first = block * ROWS, .count = ROWS, .key = key};
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < TSR_KEY_LEN; j++) key[i].b[j] = (uint8_t)(17 * i + 3 * j + 40 * block);
    must(tsr_keys_put(m->w, &k, &err));
}

static void put_view(struct maker *m, int count)
{
    struct tsr_json *o;
    must(tsr_json_object(&o, &err));
    must(tsr_json_set_int(o, "count", count, &err));
    must(tsr_json_set_string(o, "kind", "vector", &err));
    must(tsr_json_set_int(o, "seed", 1, &err));
    must(tsr_writer_put(m->w, TSR_VIEW, o, NULL, 0, &err));
    tsr_json_free(o);
}

static float number(size_t i) { return (float)((i * 37 + 11) % 64) / 8.0f - 4.0f; }

static void put_rows(struct maker *m, uint32_t type, int64_t block, bool views, size_t cols, enum tsr_dtype dtype)
{
    float x[ROWS * VIEWS * 8];
    size_t rows = ROWS * (views ? VIEWS : 1);
    struct tsr_rows r = {.type = type, .layer = type == TSR_OUTS ? NULL : "fc1", .block = block, .count = ROWS,
                         .views = views, .view = 1, .n_views = VIEWS};
    for (size_t i = 0; i < rows * cols; i++) x[i] = number(i);
    r.set = tsr_rowset_choose(dtype, type == TSR_OUTS ? TSR_KIND_LOGITS : TSR_KIND_NONE, rows, cols, cols);
    must(tsr_rows_put(m->w, &r, x, &err));
}

static void put_base(struct maker *m)
{
    float u[ROWS * 2];
    char hub[TSR_DIGEST_TEXT];
    struct tsr_basis b = {.layer = "fc1", .hub = hub, .dim = 2048, .anchors = ROWS, .rank = 2, .lambda = 0.25};
    memset(hub, '7', sizeof hub - 1);
    hub[sizeof hub - 1] = '\0';
    for (size_t i = 0; i < ROWS * 2; i++) u[i] = number(i);
    must(tsr_basis_put(m->w, &b, TSR_F32, u, &err));
}

static void put_inputs(struct maker *m)
{
    float x[ROWS * WIDTH];
    struct tsr_inputs in = {.name = "x", .count = ROWS, .dtype = TSR_F32, .shape = {.rank = 1, .dim = {WIDTH}}};
    for (size_t i = 0; i < ROWS * WIDTH; i++) x[i] = number(3 * i);
    must(tsr_inputs_put(m->w, &in, x, &err));
}

/* The stream that most damaged ones are made from: HEAD KEYS OUTS ENDS. */
static void put_small(struct maker *m, enum tsr_dtype dtype)
{
    put_head(m);
    put_keys(m, 0);
    put_rows(m, TSR_OUTS, 0, false, CLASSES, dtype);
    must(tsr_writer_finish(m->w, &err));
}

/* ---- changing streams ---- */

/* Where the i-th record begins (-1: ENDS), and its lengths. */
static uint8_t *record(struct tsr_buf *b, int i, size_t *meta, size_t *stored)
{
    uint8_t *p = b->data + TSR_MAGIC_LEN;
    for (int k = 0;; k++) {
        *meta = tsr_get_le32(p + 24);
        *stored = (size_t)tsr_get_le64(p + 40);
        uint8_t *next = p + TSR_HEADER_LEN + *meta + *stored;
        if (k == i || (i < 0 && next == b->data + b->len)) return p;
        p = next;
    }
}

static void reseal_header(uint8_t *p) { tsr_put_le32(p + 60, tsr_crc32c(0, p, 60)); }

static void reseal(uint8_t *p)
{
    size_t n = tsr_get_le32(p + 24) + (size_t)tsr_get_le64(p + 40);
    tsr_put_le32(p + 48, tsr_crc32c(0, p + TSR_HEADER_LEN, n));
    reseal_header(p);
}

/* Replaces the JSON and body of record i. NULL keeps one. */
static void replace(struct tsr_buf *b, int i, const char *json, const void *body, size_t plain)
{
    size_t meta, stored;
    uint8_t *p = record(b, i, &meta, &stored);
    struct tsr_record_header h;
    struct tsr_buf rest = {0}, out = {0};
    struct tsr_codec *codec;
    must(tsr_record_header_get(p, &h, &err));
    must(tsr_buf_append(&rest, json ? (const uint8_t *)json : p + TSR_HEADER_LEN, json ? strlen(json) : meta, &err));
    h.meta_len = (uint32_t)rest.len;
    if (body == NULL)
        must(tsr_buf_append(&rest, p + TSR_HEADER_LEN + meta, stored, &err));
    else {
        must(tsr_codec_new(&codec, &err));
        must(tsr_frame_pack(codec, TSR_LEVEL_AUTO, body, plain, &rest, &err));
        tsr_codec_free(codec);
        h.plain_len = plain;
    }
    h.stored_len = rest.len - h.meta_len;
    h.crc = tsr_crc32c(0, rest.data, rest.len);
    must(tsr_buf_append(&out, b->data, (size_t)(p - b->data), &err));
    must(tsr_buf_reserve(&out, TSR_HEADER_LEN, &err));
    tsr_record_header_put(&h, out.data + out.len);
    out.len += TSR_HEADER_LEN;
    must(tsr_buf_append(&out, rest.data, rest.len, &err));
    must(tsr_buf_append(&out, p + TSR_HEADER_LEN + meta + stored, b->len - (size_t)(p - b->data) - TSR_HEADER_LEN - meta - stored, &err));
    tsr_buf_release(&rest);
    tsr_buf_release(b);
    *b = out;
}

/* A fresh small stream in b. */
static void small(struct tsr_buf *b, enum tsr_dtype dtype)
{
    struct maker m;
    tsr_buf_release(b);
    begin(&m);
    put_small(&m, dtype);
    keep(&m, NULL);
    *b = m.b;
}

/* The example of tessera-stream(5). */
static void make_example(void)
{
    struct maker m;
    struct tsr_key key;
    struct tsr_stream_head h = {0};
    struct tsr_block_keys k = {.count = 1, .key = &key};
    for (int i = 0; i < TSR_KEY_LEN; i++) key.b[i] = (uint8_t)i;
    begin(&m);
    must(tsr_stream_head_set(&h.producer, "x", &err));
    must(tsr_stream_head_put(m.w, &h, &err));
    must(tsr_keys_put(m.w, &k, &err));
    must(tsr_writer_finish(m.w, &err));
    tsr_stream_head_release(&h);
    keep(&m, "good-example"), tsr_buf_release(&m.b);
}

static void make_good(void)
{
    struct maker m;
    begin(&m), put_head(&m), must(tsr_writer_finish(m.w, &err)), keep(&m, "good-only-head"), tsr_buf_release(&m.b);
    begin(&m), put_small(&m, TSR_F32), keep(&m, "good-outputs"), tsr_buf_release(&m.b);
    begin(&m), put_small(&m, TSR_I4), put_small(&m, TSR_F16), keep(&m, "good-two-segments"), tsr_buf_release(&m.b);
    begin(&m);
    put_head(&m), put_view(&m, VIEWS), put_base(&m);
    for (int64_t block = 0; block < 2; block++) {
        put_keys(&m, block);
        if (block == 0) put_inputs(&m);
        put_rows(&m, TSR_ACTS, block, false, WIDTH, TSR_BF16);
        put_rows(&m, TSR_ACTS, block, true, WIDTH, TSR_I8);
        put_rows(&m, TSR_OUTS, block, false, CLASSES, TSR_I8);
        put_rows(&m, TSR_OUTS, block, true, CLASSES, TSR_I4);
        put_rows(&m, TSR_HUBT, block, false, 2, TSR_I8);
    }
    put_rows(&m, TSR_FPRT, 0, false, 8, TSR_F32);
    must(tsr_writer_put(m.w, TSR_AUDT, NULL, "an audit entry", 14, &err));
    must(tsr_writer_finish(m.w, &err));
    keep(&m, "good-all-types"), tsr_buf_release(&m.b);
    begin(&m);
    put_head(&m);
    must(tsr_writer_put(m.w, TSR_TYPE('x', 't', 'r', 'a'), NULL, "whatever", 8, &err));
    must(tsr_writer_finish(m.w, &err));
    keep(&m, "good-unknown-ancillary"), tsr_buf_release(&m.b);
}

/* Version 1.1 with a field and an ancillary flag that 1.0 does not know; the root is made anew. */
static void make_newer_minor(void)
{
    struct tsr_buf b = {0};
    struct tsr_tally t;
    struct tsr_json *meta;
    struct tsr_buf text = {0};
    size_t n, stored;
    small(&b, TSR_F32);
    b.data[7] = 1;
    replace(&b, 0, "{\"format\":\"1.1\",\"inputs\":[],\"lineage\":[],\"model\":null,\"novelty\":{\"a\":[1,2.5]},"
                   "\"outputs\":{\"classes\":3,\"kind\":\"logits\"},\"producer\":\"of 2031\"}", NULL, 0);
    uint8_t *p = record(&b, 0, &n, &stored);
    tsr_put_le32(p + 12, 0x10000);
    reseal_header(p);
    tsr_tally_clear(&t);
    uint8_t *ends = record(&b, -1, &n, &stored);
    for (p = b.data + TSR_MAGIC_LEN; p != ends;) {
        size_t rest = tsr_get_le32(p + 24) + (size_t)tsr_get_le64(p + 40);
        must(tsr_tally_add(&t, tsr_get_le32(p + 8), p, TSR_HEADER_LEN, p + TSR_HEADER_LEN, rest, &err));
        p += TSR_HEADER_LEN + rest;
    }
    must(tsr_tally_meta(&t, &meta, &err));
    must(tsr_meta_write(meta, &text, &err));
    must(tsr_buf_append(&text, "", 1, &err));
    tsr_json_free(meta);
    replace(&b, -1, (const char *)text.data, NULL, 0);
    save("good-newer-minor", &b);
    tsr_buf_release(&text);
    tsr_buf_release(&b);
}

static void make_bad_container(void)
{
    struct tsr_buf b = {0};
    size_t meta, stored, n;
    uint8_t *p;
    save("bad-empty", &b);
    must(tsr_buf_append(&b, "{\"this\":\"is no token stream\"}\n", 30, &err)), save("bad-foreign", &b);
    small(&b, TSR_F32), memmove(b.data + 4, b.data + 5, --b.len - 4), save("bad-text-mode", &b);
    small(&b, TSR_F32), n = b.len, b.len = 5, save("bad-cut-in-magic", &b);
    b.len = TSR_MAGIC_LEN, save("bad-cut-after-magic", &b);
    b.len = TSR_MAGIC_LEN + 30, save("bad-cut-in-header", &b);
    b.len = TSR_MAGIC_LEN + TSR_HEADER_LEN + 20, save("bad-cut-in-json", &b);
    b.len = n, p = record(&b, 2, &meta, &stored), b.len = (size_t)(p - b.data) + TSR_HEADER_LEN + meta + stored / 2, save("bad-cut-in-body", &b);
    b.len = n, p = record(&b, -1, &meta, &stored), b.len = (size_t)(p - b.data), save("bad-no-end", &b);
    small(&b, TSR_F32), b.data[TSR_MAGIC_LEN + 41] ^= 1, save("bad-header-checksum", &b);
    small(&b, TSR_F32), p = record(&b, 2, &meta, &stored), p[TSR_HEADER_LEN + meta + 12] ^= 1, save("bad-body-checksum", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), p[54] = 1, reseal_header(p), save("bad-reserved-byte", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), p[8] = '4', reseal_header(p), save("bad-type-letters", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), p[16] = 3, reseal_header(p), save("bad-sequence", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), memcpy(p + 8, "HEAD", 4), reseal_header(p), save("bad-second-head", &b);
    small(&b, TSR_F32), p = record(&b, 0, &meta, &stored), memcpy(p + 8, "KEYS", 4), reseal_header(p), save("bad-no-head", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), tsr_put_le64(p + 32, TSR_MAX_BODY), tsr_put_le64(p + 40, TSR_MAX_BODY), reseal_header(p), save("bad-claims-256-mib", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), tsr_put_le64(p + 32, UINT64_MAX), tsr_put_le64(p + 40, UINT64_MAX), reseal_header(p), save("bad-claims-2-to-64", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), tsr_put_le32(p + 24, UINT32_MAX), reseal_header(p), save("bad-json-too-long", &b);
    small(&b, TSR_F32), p = record(&b, 2, &meta, &stored), tsr_put_le32(p + TSR_HEADER_LEN + meta, 7), reseal(p), save("bad-frame-length", &b);
    small(&b, TSR_F32), p = record(&b, 2, &meta, &stored), tsr_put_le32(p + TSR_HEADER_LEN + meta + 4, 0x184d2a50), reseal(p), save("bad-frame-skippable", &b);
    small(&b, TSR_F32), p = record(&b, 2, &meta, &stored), tsr_put_le64(p + 32, tsr_get_le64(p + 32) + 4), reseal_header(p), save("bad-plain-length", &b);
    small(&b, TSR_F32), p = record(&b, -1, &meta, &stored), p[TSR_HEADER_LEN + meta - 5] ^= 1, reseal(p), save("bad-root", &b);
    small(&b, TSR_F32), p = record(&b, -1, &meta, &stored), *(uint8_t *)memmem(p, meta + TSR_HEADER_LEN, "KEYS\":1", 7) += 1, reseal(p), save("bad-count-of-types", &b);
    small(&b, TSR_F32), must(tsr_buf_append(&b, "\n", 1, &err)), save("bad-trailing-byte", &b);
    small(&b, TSR_F32), must(tsr_buf_append(&b, "\x89TSR", 4, &err)), save("bad-cut-in-second-magic", &b);
    tsr_buf_release(&b);
}

static void bad_head(const char *name, const char *json)
{
    struct tsr_buf b = {0};
    small(&b, TSR_F32), replace(&b, 0, json, NULL, 0), save(name, &b);
    tsr_buf_release(&b);
}

static void bad_outs(const char *name, const char *fields, const void *body, size_t plain)
{
    struct tsr_buf b = {0};
    char json[600];
    snprintf(json, sizeof json, "{\"block\":0,%s}", fields);
    small(&b, TSR_F32), replace(&b, 2, json, body, plain), save(name, &b);
    tsr_buf_release(&b);
}

static void make_bad_content(void)
{
    static uint8_t zeros[1024];
    float x[ROWS * CLASSES] = {0};
    bad_head("bad-json-not-canonical", "{\"format\": \"1.0\"}");
    bad_head("bad-json-twice-a-name", "{\"format\":\"1.0\",\"format\":\"1.0\"}");
    bad_head("bad-json-unsorted", "{\"producer\":\"x\",\"format\":\"1.0\"}");
    bad_head("bad-json-array", "[]");
    bad_head("bad-json-not-utf8", "{\"format\":\"1.0\",\"producer\":\"\xc3(\"}");
    bad_head("bad-json-deep", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
    bad_head("bad-head-without-producer", "{\"format\":\"1.0\",\"inputs\":[],\"lineage\":[],\"model\":null}");
    bad_head("bad-head-other-version", "{\"format\":\"1.5\",\"inputs\":[],\"lineage\":[],\"model\":null,\"producer\":\"x\"}");
    bad_head("bad-head-lineage", "{\"format\":\"1.0\",\"inputs\":[],\"lineage\":[\"abc\"],\"model\":null,\"producer\":\"x\"}");
#define OUTS(code, cols, count, dtype, kind, rows)                                                                     \
    "\"code\":\"" code "\",\"cols\":" cols ",\"count\":" count ",\"dtype\":\"" dtype "\",\"kind\":\"" kind             \
    "\",\"layout\":\"rows\",\"rows\":" rows ",\"set\":\"ref\""
    x[4] = NAN;
    bad_outs("bad-rows-nan", OUTS("plain", "3", "6", "float32", "logits", "6"), x, sizeof x);
    bad_outs("bad-rows-length", OUTS("plain", "3", "6", "float32", "logits", "6"), zeros, sizeof x - 4);
    bad_outs("bad-rows-count", OUTS("plain", "3", "5", "float32", "logits", "5"), zeros, 60);
    bad_outs("bad-rows-none", OUTS("plain", "3", "6", "float32", "logits", "0"), zeros, 1);
    bad_outs("bad-rows-overflow", OUTS("plain", "67108864", "6", "float32", "logits", "67108864"), zeros, 1);
    bad_outs("bad-rows-code", OUTS("affine", "3", "6", "float32", "logits", "6"), zeros, sizeof x);
    bad_outs("bad-rows-kind", OUTS("plain", "3", "6", "float32", "regression", "6"), zeros, sizeof x);
    bad_outs("bad-rows-classes", OUTS("plain", "4", "6", "float32", "logits", "6"), zeros, 96);
    bad_outs("bad-levels-no-maximum", OUTS("softmax", "3", "6", "int4", "logits", "6"), zeros, 64 + 9);
    bad_outs("bad-set", "\"code\":\"plain\",\"cols\":3,\"count\":6,\"dtype\":\"float32\",\"kind\":\"logits\",\"layout\":\"rows\",\"rows\":6", zeros, sizeof x);
    bad_outs("bad-view-without-recipe", "\"code\":\"plain\",\"cols\":3,\"count\":6,\"dtype\":\"float32\",\"kind\":\"logits\","
             "\"layout\":\"rows\",\"rows\":6,\"set\":\"view\",\"view\":1,\"views\":1", zeros, sizeof x);
    bad_outs("unsupported-element-type", OUTS("plain", "3", "6", "float8", "logits", "6"), zeros, 18);
    bad_outs("unsupported-code", OUTS("entropy", "3", "6", "int8", "logits", "6"), zeros, 18);
    struct tsr_buf b = {0};
    small(&b, TSR_F32), replace(&b, 1, "{\"block\":0,\"count\":7,\"first\":0}", NULL, 0), save("bad-keys-count", &b);
    small(&b, TSR_F32), replace(&b, 1, "{\"block\":0,\"count\":2049,\"first\":0}", NULL, 0), save("bad-keys-too-many", &b);
    small(&b, TSR_F32), replace(&b, 0, NULL, zeros, 4), save("bad-head-with-body", &b);
    struct maker m;
    begin(&m), put_head(&m), put_keys(&m, 0), put_keys(&m, 0), must(tsr_writer_finish(m.w, &err));
    keep(&m, "bad-keys-repeated"), tsr_buf_release(&m.b);
    tsr_buf_release(&b);
}

static void make_unsupported(void)
{
    struct tsr_buf b = {0};
    size_t meta, stored;
    uint8_t *p;
    small(&b, TSR_F32), b.data[6] = 2, save("unsupported-major", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), p[12] = 1, reseal_header(p), save("unsupported-critical-flag", &b);
    small(&b, TSR_F32), p = record(&b, 1, &meta, &stored), memcpy(p + 8, "Xtra", 4), reseal_header(p), save("unsupported-critical-type", &b);
    tsr_buf_release(&b);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make-stream-fixtures DIR\n");
        return 2;
    }
    directory = argv[1];
    make_example();
    make_good();
    make_newer_minor();
    make_bad_container();
    make_bad_content();
    make_unsupported();
    return 0;
}
