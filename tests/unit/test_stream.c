/* The container: round trips, damage, truncation, concatenation, versions, salvage. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "stream/codec.h"
#include "stream/ends.h"
#include "stream/head.h"
#include "stream/reader.h"
#include "stream/writer.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct tsr_error err;

#define OK(expression) ck_assert_msg((expression) == TSR_OK, "%s", err.message)

#define TSR_DATA TSR_TYPE('A', 'C', 'T', 'S')

/* One segment: HEAD, `n` records with bodies, ENDS. Only the container matters here. */
static void put_segment(struct tsr_stream_writer *w, int n, uint32_t type)
{
    struct tsr_stream_head h = {0};
    struct tsr_json *meta;
    OK(tsr_stream_head_set(&h.producer, "test 1", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    for (int i = 0; i < n; i++) {
        char body[300];
        for (int k = 0; k < 300; k++) body[k] = (char)(k * (i + 3) / 7);
        OK(tsr_json_object(&meta, &err));
        OK(tsr_json_set_int(meta, "n", i, &err));
        OK(tsr_writer_put(w, type, meta, body, (size_t)(i == 0 ? 0 : 300), &err));
        tsr_json_free(meta);
    }
    OK(tsr_writer_finish(w, &err));
    tsr_stream_head_release(&h);
}

static struct tsr_buf make(int segments, int n, uint32_t type)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, &err));
    for (int i = 0; i < segments; i++) put_segment(w, n, type);
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    return b;
}

struct outcome {
    enum tsr_status status;
    size_t records, gaps;
    uint64_t lost_bytes, segments;
};

static void note_gap(void *arg, uint64_t offset, uint64_t bytes, const struct tsr_error *why)
{
    struct outcome *o = arg;
    (void)offset;
    ck_assert_int_ne(why->status, TSR_OK);
    o->gaps++;
    o->lost_bytes += bytes;
}

/* Reads everything, bodies too. */
static struct outcome read_all(const uint8_t *data, size_t n, bool salvage, bool allow)
{
    struct outcome o = {0};
    struct tsr_source *src;
    struct tsr_stream *s;
    const struct tsr_record *rec = NULL;
    struct tsr_stream_options opt = {.salvage = salvage, .allow_unknown = allow, .lost = note_gap, .arg = &o};
    struct tsr_buf body = {0};
    OK(tsr_source_from_memory(data, n, "memory", &src, &err));
    OK(tsr_stream_open(src, &opt, &s, &err));
    while ((o.status = tsr_stream_next(s, &rec, &err)) == TSR_OK && rec != NULL) {
        tsr_buf_clear(&body);
        o.status = tsr_stream_load_body(s, 1 << 22, &body, &err);
        if (o.status != TSR_OK) break;
        ck_assert_uint_eq(body.len, rec->plain_len);
        o.records++;
        o.segments = rec->segment + 1;
    }
    tsr_buf_release(&body);
    tsr_stream_close(s);
    tsr_source_close(src);
    return o;
}

START_TEST(round_trip)
{
    struct tsr_buf b = make(1, 3, TSR_DATA);
    struct tsr_source *src;
    struct tsr_stream *s;
    const struct tsr_record *rec;
    static const char *const names[] = {"HEAD", "ACTS", "ACTS", "ACTS", "ENDS"};
    OK(tsr_source_from_memory(b.data, b.len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    for (uint64_t i = 0; i < 5; i++) {
        OK(tsr_stream_next(s, &rec, &err));
        ck_assert_ptr_nonnull(rec);
        ck_assert_str_eq(rec->name, names[i]);
        ck_assert_uint_eq(rec->sequence, i);
        ck_assert_uint_eq(rec->segment, 0);
        ck_assert(rec->known && rec->critical);
        ck_assert_int_eq(tsr_stream_minor(s), 0);
        if (i == 2) {
            const uint8_t *data;
            size_t n;
            OK(tsr_stream_read_body(s, &data, &n, &err));
            ck_assert_uint_eq(n, 300);
            ck_assert_uint_eq(data[100], 100 * 4 / 7);
            OK(tsr_stream_read_body(s, &data, &n, &err));
            ck_assert_uint_eq(n, 0);
        }
    }
    for (int i = 0; i < 2; i++) {
        OK(tsr_stream_next(s, &rec, &err));
        ck_assert_ptr_null(rec);
    }
    tsr_stream_close(s);
    tsr_source_close(src);
    struct tsr_buf again = make(1, 3, TSR_DATA);
    ck_assert_uint_eq(again.len, b.len);
    ck_assert_mem_eq(again.data, b.data, b.len);
    tsr_buf_release(&again);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(every_flipped_bit_is_detected)
{
    struct tsr_buf b = make(1, 2, TSR_DATA);
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_OK);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum tsr_status status = read_all(b.data, b.len, false, false).status;
        ck_assert_msg(status == TSR_E_CORRUPT || status == TSR_E_FORMAT || status == TSR_E_UNSUPPORTED,
                      "bit %zu of byte %zu: %s", bit % 8, bit / 8, tsr_status_name(status));
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    tsr_buf_release(&b);
}
END_TEST

START_TEST(every_truncation_is_detected)
{
    struct tsr_buf b = make(1, 2, TSR_DATA);
    for (size_t n = 0; n < b.len; n++)
        ck_assert_msg(read_all(b.data, n, false, false).status == TSR_E_TRUNCATED, "%zu of %zu bytes", n, b.len);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(concatenation)
{
    struct tsr_buf b = make(1, 2, TSR_DATA), two = make(2, 2, TSR_DATA);
    size_t one = b.len;
    OK(tsr_buf_reserve(&b, b.len, &err));
    memcpy(b.data + one, b.data, one);
    b.len = 2 * one;
    ck_assert_uint_eq(two.len, b.len);
    ck_assert_mem_eq(two.data, b.data, b.len);
    struct outcome o = read_all(b.data, b.len, false, false);
    ck_assert_int_eq(o.status, TSR_OK);
    ck_assert_uint_eq(o.records, 8);
    ck_assert_uint_eq(o.segments, 2);
    for (size_t n = one + 1; n < 2 * one; n++) ck_assert_int_eq(read_all(b.data, n, false, false).status, TSR_E_TRUNCATED);
    b.data[one] ^= 1; /* what follows is no stream */
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_CORRUPT);
    ck_assert_int_eq(read_all(b.data, one + 1, false, false).status, TSR_E_CORRUPT);
    tsr_buf_release(&b);
    tsr_buf_release(&two);
}
END_TEST

/* A record cut out or doubled, with all checksums right. */
START_TEST(missing_and_repeated_records)
{
    struct tsr_buf b = make(1, 3, TSR_DATA), x = {0};
    size_t at[8], n = 0;
    for (size_t i = TSR_MAGIC_LEN; i < b.len; n++) {
        struct tsr_record_header h;
        OK(tsr_record_header_get(b.data + i, &h, &err));
        at[n] = i;
        i += TSR_HEADER_LEN + h.meta_len + (size_t)h.stored_len;
    }
    ck_assert_uint_eq(n, 5);
    at[5] = b.len;
    for (size_t i = 0; i < n; i++) {
        tsr_buf_clear(&x);
        OK(tsr_buf_append(&x, b.data, at[i], &err));
        OK(tsr_buf_append(&x, b.data + at[i + 1], b.len - at[i + 1], &err));
        enum tsr_status status = read_all(x.data, x.len, false, false).status;
        ck_assert_int_eq(status, i == n - 1 ? TSR_E_TRUNCATED : TSR_E_CORRUPT);
        tsr_buf_clear(&x);
        OK(tsr_buf_append(&x, b.data, at[i + 1], &err));
        OK(tsr_buf_append(&x, b.data + at[i], b.len - at[i], &err));
        ck_assert_int_eq(read_all(x.data, x.len, false, false).status, TSR_E_CORRUPT);
    }
    tsr_buf_release(&x);
    tsr_buf_release(&b);
}
END_TEST

/* Rewrites the header and checksums of the record at `at` after a change to it. */
static void reseal(struct tsr_buf *b, size_t at)
{
    struct tsr_record_header h = {0};
    uint8_t *p = b->data + at;
    size_t n = tsr_get_le32(p + 24) + (size_t)tsr_get_le64(p + 40);
    h.crc = tsr_crc32c(0, p + TSR_HEADER_LEN, n);
    tsr_put_le32(p + 48, h.crc);
    tsr_put_le32(p + 60, tsr_crc32c(0, p, 60));
}

START_TEST(versions)
{
    struct tsr_buf b = make(1, 1, TSR_DATA);
    b.data[6] = 2;
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_UNSUPPORTED);
    b.data[6] = 0;
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_UNSUPPORTED);
    b.data[6] = 1;
    b.data[7] = 1; /* HEAD still says 1.0 */
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_CORRUPT);
    uint8_t *format = memmem(b.data, b.len, "\"1.0\"", 5);
    ck_assert_ptr_nonnull(format);
    format[3] = '1';
    reseal(&b, TSR_MAGIC_LEN);
    /* A newer minor version is read; here only the root no longer fits, as HEAD was changed. */
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "Merkle root"));
    ck_assert_uint_eq(read_all(b.data, b.len, false, false).records, 2);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(critical_flags)
{
    struct tsr_buf b = make(1, 1, TSR_DATA);
    b.data[TSR_MAGIC_LEN + 12] = 1;
    reseal(&b, TSR_MAGIC_LEN);
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_UNSUPPORTED);
    tsr_buf_release(&b);
}
END_TEST

static enum tsr_status filter(const struct tsr_buf *in, bool allow, struct tsr_buf *out)
{
    struct tsr_source *src;
    struct tsr_sink *sink;
    struct tsr_stream *s;
    struct tsr_stream_writer *w;
    const struct tsr_record *rec = NULL;
    enum tsr_status status;
    OK(tsr_source_from_memory(in->data, in->len, "memory", &src, &err));
    OK(tsr_sink_from_memory(out, "memory", &sink, &err));
    OK(tsr_stream_open(src, &(struct tsr_stream_options){.allow_unknown = allow}, &s, &err));
    OK(tsr_writer_new(sink, 1, &w, &err));
    while ((status = tsr_stream_next(s, &rec, &err)) == TSR_OK && rec != NULL) {
        status = rec->type == TSR_ENDS ? tsr_writer_finish(w, &err) : tsr_stream_copy(s, w, &err);
        if (status != TSR_OK) break;
    }
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    return status;
}

START_TEST(unknown_records)
{
    struct tsr_buf known = make(2, 2, TSR_DATA), lower = make(1, 2, TSR_TYPE('x', 'T', 'R', 'A')),
                   upper = make(1, 2, TSR_TYPE('X', 'T', 'R', 'A')), out = {0};
    OK(filter(&known, false, &out));
    ck_assert_uint_eq(out.len, known.len);
    ck_assert_mem_eq(out.data, known.data, out.len);
    tsr_buf_clear(&out);
    OK(filter(&lower, false, &out));
    ck_assert_uint_eq(out.len, lower.len);
    ck_assert_mem_eq(out.data, lower.data, out.len);
    tsr_buf_clear(&out);
    ck_assert_int_eq(filter(&upper, false, &out), TSR_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "XTRA"));
    tsr_buf_clear(&out);
    ck_assert_int_eq(filter(&upper, true, &out), TSR_E_UNSUPPORTED);
    ck_assert_int_eq(read_all(upper.data, upper.len, false, true).status, TSR_OK);
    tsr_buf_release(&known), tsr_buf_release(&lower), tsr_buf_release(&upper), tsr_buf_release(&out);
}
END_TEST

/* A claim of 256 MiB backed by a few bytes must cost a few bytes. */
START_TEST(false_lengths)
{
    struct tsr_buf b = make(1, 1, TSR_DATA);
    uint8_t *p = b.data + TSR_MAGIC_LEN;
    tsr_put_le64(p + 32, TSR_MAX_BODY);
    tsr_put_le64(p + 40, tsr_stored_max(TSR_MAX_BODY));
    tsr_put_le32(p + 60, tsr_crc32c(0, p, 60));
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_TRUNCATED);
    tsr_put_le64(p + 32, 1);
    tsr_put_le64(p + 40, 5);
    tsr_put_le32(p + 60, tsr_crc32c(0, p, 60));
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_E_CORRUPT);
    tsr_buf_release(&b);
}
END_TEST

/* A record whose JSON is replaced, in a segment that is otherwise well-formed. */
static enum tsr_status with_json(const char *json)
{
    struct tsr_buf b = make(1, 0, TSR_DATA), x = {0};
    struct tsr_record_header h;
    uint8_t bytes[TSR_HEADER_LEN];
    OK(tsr_record_header_get(b.data + TSR_MAGIC_LEN, &h, &err));
    size_t behind = TSR_MAGIC_LEN + TSR_HEADER_LEN + h.meta_len;
    h.meta_len = (uint32_t)strlen(json);
    h.crc = tsr_crc32c(0, json, h.meta_len);
    tsr_record_header_put(&h, bytes);
    OK(tsr_buf_append(&x, b.data, TSR_MAGIC_LEN, &err));
    OK(tsr_buf_append(&x, bytes, sizeof bytes, &err));
    OK(tsr_buf_append(&x, json, h.meta_len, &err));
    OK(tsr_buf_append(&x, b.data + behind, b.len - behind, &err));
    struct outcome o = read_all(x.data, x.len, false, false);
    tsr_buf_release(&b);
    tsr_buf_release(&x);
    return o.records > 0 ? TSR_OK : o.status;
}

START_TEST(json_must_be_canonical)
{
    ck_assert_int_eq(with_json("{\"format\":\"1.0\"}"), TSR_OK);
    ck_assert_int_eq(with_json("{\"format\": \"1.0\"}"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{\"format\":\"1.0\",\"format\":\"1.0\"}"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{\"format\":\"1.0\",\"a\":1}"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{\"a\":1,\"format\":\"1.0\"}"), TSR_OK);
    ck_assert_int_eq(with_json("{\"a\":1.0,\"format\":\"1.0\"}"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{\"format\":\"1.0\"}\n"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("[]"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{}"), TSR_E_CORRUPT);
    ck_assert_int_eq(with_json("{\"format\":\"1.0\",\"x\":\"\xff\"}"), TSR_E_CORRUPT);
}
END_TEST

START_TEST(salvage)
{
    struct tsr_buf b = make(2, 3, TSR_DATA);
    struct outcome o = read_all(b.data, b.len, true, false);
    ck_assert_int_eq(o.status, TSR_OK);
    ck_assert_uint_eq(o.records, 10);
    ck_assert_uint_eq(o.gaps, 0);
    for (size_t i = 0; i < b.len; i++) { /* one damaged byte costs at most one record */
        b.data[i] ^= 0x40;
        o = read_all(b.data, b.len, true, false);
        ck_assert_int_eq(o.status, TSR_OK);
        ck_assert_msg(o.records >= 9 && o.records <= 10, "byte %zu: %zu records", i, o.records);
        ck_assert_uint_ge(o.gaps, 1);
        ck_assert_uint_eq(o.segments, 2);
        ck_assert_uint_lt(o.lost_bytes, b.len / 2);
        b.data[i] ^= 0x40;
    }
    for (size_t n = 1; n < b.len; n++) { /* a missing end is a gap too */
        o = read_all(b.data, n, true, false);
        ck_assert_int_eq(o.status, TSR_OK);
        if (n != b.len / 2) ck_assert_uint_ge(o.gaps, 1);
    }
    tsr_buf_release(&b);
}
END_TEST

START_TEST(salvage_behind_rubbish)
{
    struct tsr_buf b = make(1, 2, TSR_DATA), x = {0};
    uint8_t rubbish[5000];
    for (size_t i = 0; i < sizeof rubbish; i++) rubbish[i] = (uint8_t)(i * 37);
    memcpy(rubbish + 1000, tsr_record_sync, TSR_SYNC_LEN); /* a marker without a header */
    tsr_magic_put(rubbish + 2000);                         /* a magic without a segment */
    for (int k = 0; k < 40; k++) OK(tsr_buf_append(&x, rubbish, sizeof rubbish, &err));
    OK(tsr_buf_append(&x, b.data, b.len, &err));
    OK(tsr_buf_append(&x, rubbish, sizeof rubbish, &err));
    struct outcome o = read_all(x.data, x.len, true, false);
    ck_assert_int_eq(o.status, TSR_OK);
    ck_assert_uint_eq(o.records, 4);
    ck_assert_uint_eq(o.gaps, 2);
    ck_assert_uint_eq(o.segments, 1);
    ck_assert_uint_eq(o.lost_bytes, 41 * sizeof rubbish);
    tsr_buf_release(&b);
    tsr_buf_release(&x);
}
END_TEST

START_TEST(writer_order)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {0};
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    ck_assert_int_eq(tsr_writer_new(sink, 77, &w, &err), TSR_E_USAGE);
    OK(tsr_writer_new(sink, 0, &w, &err));
    ck_assert_int_eq(tsr_writer_finish(w, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_put(w, TSR_KEYS, NULL, NULL, 0, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_end(w, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_append(w, "x", 1, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_stream_head_put(w, &h, &err), TSR_E_USAGE);
    OK(tsr_stream_head_set(&h.producer, "p", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    ck_assert_int_eq(tsr_stream_head_put(w, &h, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_put(w, TSR_ENDS, NULL, NULL, 0, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_put(w, 7, NULL, NULL, 0, &err), TSR_E_USAGE);
    OK(tsr_writer_begin(w, TSR_KEYS, NULL, &err));
    ck_assert_int_eq(tsr_writer_begin(w, TSR_KEYS, NULL, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_writer_finish(w, &err), TSR_E_USAGE);
    OK(tsr_writer_end(w, &err));
    OK(tsr_writer_finish(w, &err));
    ck_assert_int_eq(read_all(b.data, b.len, false, false).status, TSR_OK);
    tsr_stream_head_release(&h);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    tsr_buf_release(&b);
}
END_TEST

/* Bodies around the size of a frame, appended in pieces of odd sizes. */
START_TEST(large_bodies)
{
    static const size_t sizes[] = {TSR_FRAME_PLAIN - 1, TSR_FRAME_PLAIN, TSR_FRAME_PLAIN + 1, 3 * TSR_FRAME_PLAIN + 12345};
    uint8_t *plain = tsr_malloc(4 * TSR_FRAME_PLAIN, 1);
    for (size_t i = 0; i < 4 * TSR_FRAME_PLAIN; i++) plain[i] = (uint8_t)(i * 2654435761u >> 27);
    for (size_t k = 0; k < 4; k++) {
        struct tsr_buf b = {0}, body = {0};
        struct tsr_sink *sink;
        struct tsr_source *src;
        struct tsr_stream *s;
        struct tsr_stream_writer *w;
        struct tsr_stream_head h = {0};
        const struct tsr_record *rec;
        OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
        OK(tsr_writer_new(sink, 1, &w, &err));
        OK(tsr_stream_head_set(&h.producer, "p", &err));
        OK(tsr_stream_head_put(w, &h, &err));
        OK(tsr_writer_begin(w, TSR_FPRT, NULL, &err));
        for (size_t i = 0, step = 777; i < sizes[k]; i += step, step = step * 3 % 2000003 + 1)
            OK(tsr_writer_append(w, plain + i, step < sizes[k] - i ? step : sizes[k] - i, &err));
        OK(tsr_writer_end(w, &err));
        OK(tsr_writer_finish(w, &err));
        OK(tsr_source_from_memory(b.data, b.len, "memory", &src, &err));
        OK(tsr_stream_open(src, NULL, &s, &err));
        OK(tsr_stream_next(s, &rec, &err));
        OK(tsr_stream_next(s, &rec, &err));
        ck_assert_uint_eq(rec->plain_len, sizes[k]);
        ck_assert_int_eq(tsr_stream_load_body(s, sizes[k] - 1, &body, &err), TSR_E_LIMIT);
        OK(tsr_stream_load_body(s, sizes[k], &body, &err));
        ck_assert_uint_eq(body.len, sizes[k]);
        ck_assert_mem_eq(body.data, plain, body.len);
        tsr_stream_close(s);
        tsr_source_close(src);
        tsr_stream_head_release(&h);
        tsr_writer_free(w);
        tsr_sink_abandon(sink);
        tsr_buf_release(&b);
        tsr_buf_release(&body);
    }
    tsr_free(plain);
}
END_TEST

static long peak_kib(void)
{
    struct rusage u;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

/* 128 MiB through a writer and a reader in the memory of a few records. */
START_TEST(memory_is_bounded)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return; /* these keep freed memory */
#endif
    enum { RECORDS = 128, BYTES = 1 << 20 };
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    struct tsr_sink *sink;
    struct tsr_source *src;
    struct tsr_stream_writer *w;
    struct tsr_stream *s;
    struct tsr_stream_head h = {0};
    const struct tsr_record *rec;
    uint8_t *body = tsr_malloc(BYTES, 1);
    uint32_t x = 1;
    long begin = peak_kib();
    OK(tsr_sink_from_fd(fileno(file), "temporary file", &sink, &err));
    OK(tsr_writer_new(sink, 1, &w, &err));
    OK(tsr_stream_head_set(&h.producer, "p", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    for (int i = 0; i < RECORDS; i++) {
        for (size_t k = 0; k < BYTES; k++) x = x * 1664525u + 1013904223u, body[k] = (uint8_t)(x >> 24);
        OK(tsr_writer_put(w, TSR_PART, NULL, body, BYTES, &err));
    }
    OK(tsr_writer_finish(w, &err));
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    rewind(file);
    OK(tsr_source_from_fd(fileno(file), "temporary file", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    for (size_t n = 1;;) {
        const uint8_t *data;
        OK(tsr_stream_next(s, &rec, &err));
        if (rec == NULL) break;
        for (n = 1; n != 0;) OK(tsr_stream_read_body(s, &data, &n, &err));
    }
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_stream_head_release(&h);
    tsr_free(body);
    fclose(file);
    ck_assert_int_lt(peak_kib() - begin, 16 * 1024);
}
END_TEST

static enum tsr_status attempt(struct tsr_buf *out)
{
    struct tsr_sink *sink = NULL;
    struct tsr_stream_writer *w = NULL;
    struct tsr_source *src = NULL;
    struct tsr_stream *s = NULL;
    struct tsr_stream_head h = {0}, back = {0};
    struct tsr_json *meta = NULL;
    const struct tsr_record *rec = NULL;
    struct tsr_shape shape = {.rank = 2, .dim = {4, 5}};
    struct tsr_buf body = {0};
    enum tsr_status status;
    TSR_GO(status, done, tsr_sink_from_memory(out, "memory", &sink, &err));
    TSR_GO(status, done, tsr_writer_new(sink, 0, &w, &err));
    TSR_GO(status, done, tsr_stream_head_set(&h.producer, "p", &err));
    TSR_GO(status, done, tsr_stream_head_add_input(&h, "x", TSR_F32, &shape, &err));
    TSR_GO(status, done, tsr_stream_head_put(w, &h, &err));
    TSR_GO(status, done, tsr_json_object(&meta, &err));
    TSR_GO(status, done, tsr_writer_put(w, TSR_FPRT, meta, "abcabcabc", 9, &err));
    TSR_GO(status, done, tsr_writer_finish(w, &err));
    TSR_GO(status, done, tsr_source_from_memory(out->data, out->len, "memory", &src, &err));
    TSR_GO(status, done, tsr_stream_open(src, NULL, &s, &err));
    for (;;) {
        TSR_GO(status, done, tsr_stream_next(s, &rec, &err));
        if (rec == NULL) break;
        if (rec->type == TSR_HEAD) TSR_GO(status, done, tsr_stream_head_parse(rec, &back, &err));
        TSR_GO(status, done, tsr_stream_load_body(s, 100, &body, &err));
    }
done:
    tsr_buf_release(&body);
    tsr_json_free(meta);
    tsr_stream_head_release(&h);
    tsr_stream_head_release(&back);
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    return status;
}

START_TEST(no_memory)
{
    enum tsr_status status = TSR_E_NOMEM;
    long n = 0;
    while (status != TSR_OK) {
        struct tsr_buf b = {0};
        tsr_mem_fail_after(++n);
        status = attempt(&b);
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "allocation %ld: %s", n, err.message);
        tsr_buf_release(&b);
        ck_assert_int_lt(n, 2000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("stream");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, every_flipped_bit_is_detected);
    tcase_add_test(t, every_truncation_is_detected);
    tcase_add_test(t, concatenation);
    tcase_add_test(t, missing_and_repeated_records);
    tcase_add_test(t, versions);
    tcase_add_test(t, critical_flags);
    tcase_add_test(t, unknown_records);
    tcase_add_test(t, false_lengths);
    tcase_add_test(t, json_must_be_canonical);
    tcase_add_test(t, salvage);
    tcase_add_test(t, salvage_behind_rubbish);
    tcase_add_test(t, writer_order);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, large_bodies);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
