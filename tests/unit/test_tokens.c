/* test_tokens.c - a token stream in memory: what is taken, and what is refused. */
#include "base/mem.h"
#include "stream/basis.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "tessera.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 4, VIEWS = 2, CLASSES = 3, RANK = 2 };

static struct tsr_stream_writer *w;
static struct tsr_sink *sink;
static struct tsr_buf bytes;

#define OK(call) ck_assert_int_eq((call), TSR_OK)

static void put_head(enum tsr_row_kind kind, bool two)
{
    struct tsr_stream_head h = {.outputs = kind, .classes = CLASSES};
    OK(tsr_stream_head_set(&h.producer, "test", NULL));
    OK(tsr_stream_head_add_input(&h, "x", TSR_F32, &(struct tsr_shape){.rank = 1, .dim = {5}}, NULL));
    if (two) OK(tsr_stream_head_add_input(&h, "y", TSR_F32, &(struct tsr_shape){.rank = 1, .dim = {2}}, NULL));
    OK(tsr_stream_head_put(w, &h, NULL));
    tsr_stream_head_release(&h);
}

static void put_views(uint32_t count)
{
    struct tsr_views v = {.kind = TSR_VIEW_VECTOR, .count = count, .seed = 1};
    struct tsr_json *j;
    OK(tsr_views_to_json(&v, &j, NULL));
    OK(tsr_writer_put(w, TSR_VIEW, j, NULL, 0, NULL));
    tsr_json_free(j);
}

static void put_keys(int64_t block)
{
    struct tsr_key key[COUNT];
    for (int i = 0; i < COUNT; i++) memset(key[i].b, (int)(block * COUNT) + i, TSR_KEY_LEN);
    OK(tsr_keys_put(w, &(struct tsr_block_keys){.block = block, .first = block * COUNT, .count = COUNT, .key = key}, NULL));
}

/* Row r of the record holds 100 * its number in the stream's order of rows, plus the column. */
static void put_rows(uint32_t type, int64_t block, int64_t view, int64_t n_views, size_t cols, enum tsr_row_kind kind)
{
    float x[COUNT * VIEWS * 8];
    size_t rows = (size_t)(COUNT * (view > 0 ? n_views : 1));
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = kind == TSR_KIND_ARGMAX ? (float)(i % CLASSES)
                                       : (float)(100 * (i / cols) + i % cols + (size_t)(1000 * block + 10000 * view));
    struct tsr_rows r = {.type = type, .layer = type == TSR_HUBT ? "fc" : NULL, .block = block, .count = COUNT,
                         .views = view > 0, .view = view, .n_views = view > 0 ? n_views : 0,
                         .set = tsr_rowset_choose(TSR_F32, kind, rows, cols, CLASSES)};
    OK(tsr_rows_put(w, &r, x, NULL));
}

static void put_basis(int foreign)
{
    float b[COUNT * RANK] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t id[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    struct tsr_key key[COUNT];
    for (int i = 0; i < COUNT; i++) memset(key[i].b, i + foreign, TSR_KEY_LEN);
    tsr_hub_id(key, COUNT, id);
    tsr_hex(id, sizeof id, hex);
    struct tsr_basis info = {.layer = "fc", .hub = hex, .dim = TSR_HUB_DIM, .anchors = COUNT, .rank = RANK, .lambda = 1};
    OK(tsr_basis_put(w, &info, TSR_F32, b, NULL));
}

static void put_inputs(int64_t block, const char *name, int64_t width)
{
    float x[COUNT * 5] = {1};
    struct tsr_inputs in = {.name = name, .block = block, .count = COUNT, .dtype = TSR_F32, .shape = {.rank = 1, .dim = {width}}};
    OK(tsr_inputs_put(w, &in, x, NULL));
}

/* One letter a record: HEAD with [L]ogits, logits of [T]wo inputs, [A]rgmax or [N]o outputs; [V]iew recipe; [K]eys of the
 * next block; [O]utputs, [H]ub tokens, [I]nputs of the current block, [J]: those of the second input; o, h: of all its views; 1, 2: outputs of
 * one view; [P]robabilities a column wider; [C]lass numbers; [B]asis, [F]oreign one; [E]nd. */
static void build(const char *records)
{
    int64_t block = -1;
    OK(tsr_sink_from_memory(&bytes, "test", &sink, NULL));
    OK(tsr_writer_new(sink, 0, &w, NULL));
    for (const char *c = records; *c != '\0'; c++) {
        int64_t b = block < 0 ? 0 : block;
        switch (*c) {
        case 'L': put_head(TSR_KIND_LOGITS, false); break;
        case 'T': put_head(TSR_KIND_LOGITS, true); break;
        case 'A': put_head(TSR_KIND_ARGMAX, false); break;
        case 'N': put_head(TSR_KIND_NONE, false); break;
        case 'V': put_views(VIEWS); break;
        case 'K': put_keys(++block); break;
        case 'O': put_rows(TSR_OUTS, b, 0, 0, CLASSES, TSR_KIND_LOGITS); break;
        case 'o': put_rows(TSR_OUTS, b, 1, VIEWS, CLASSES, TSR_KIND_LOGITS); break;
        case '1': put_rows(TSR_OUTS, b, 1, 1, CLASSES, TSR_KIND_LOGITS); break;
        case '2': put_rows(TSR_OUTS, b, 2, 1, CLASSES, TSR_KIND_LOGITS); break;
        case 'P': put_rows(TSR_OUTS, b, 0, 0, CLASSES + 1, TSR_KIND_LOGITS); break;
        case 'C': put_rows(TSR_OUTS, b, 0, 0, 1, TSR_KIND_ARGMAX); break;
        case 'H': put_rows(TSR_HUBT, b, 0, 0, RANK, TSR_KIND_NONE); break;
        case 'h': put_rows(TSR_HUBT, b, 1, VIEWS, RANK, TSR_KIND_NONE); break;
        case 'B': put_basis(0); break;
        case 'F': put_basis(1); break;
        case 'I': put_inputs(b, "x", 5); break;
        case 'J': put_inputs(b, "y", 2); break;
        default: OK(tsr_writer_finish(w, NULL));
        }
    }
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, NULL));
}

static enum tsr_status load(const char *layer, struct tsr_tokens *t)
{
    struct tsr_source *s;
    struct tsr_error err;
    enum tsr_status status = tsr_source_from_memory(bytes.data, bytes.len, "test", &s, &err);
    if (status == TSR_OK) status = tsr_tokens_load(s, layer, t, &err);
    tsr_source_close(s);
    return status;
}

START_TEST(rows_are_numbered_across_blocks)
{
    struct tsr_tokens t;
    build("LVBKIOoHhKIO12HhE");
    OK(load(NULL, &t));
    ck_assert(t.refs == 2 * COUNT && t.n_block == 2 && t.rows == 2 * COUNT * (1 + VIEWS) && t.hub_rows == t.rows);
    ck_assert(t.classes == CLASSES && t.rank == RANK && t.anchors == COUNT && t.kind == TSR_KIND_LOGITS);
    ck_assert(t.n_inputs == 1 && t.input_dtype == TSR_F32 && t.input_shape.dim[0] == 5);
    ck_assert(t.inputs.shape.rank == 2 && t.inputs.shape.dim[0] == 2 * COUNT);
    for (size_t r = 0; r < t.rows; r++) {
        struct tsr_token_row row = tsr_tokens_row(&t, r);
        size_t block = row.ref / COUNT, k = row.ref % COUNT;
        ck_assert(row.block == &t.block[block]);
        /* the second block's views came one a record, each counting from 0 */
        size_t at = row.view == 0 || block == 1 ? k : (row.view - 1) * COUNT + k;
        size_t first = row.view == 0 ? 0 : block == 1 ? 10000 * row.view : 10000;
        ck_assert_msg(t.out[r * CLASSES + 1] == (float)(100 * at + 1 + 1000 * block + first), "row %zu", r);
    }
    ck_assert(t.key[5].b[0] == 5);
    tsr_tokens_release(&t);
    tsr_buf_release(&bytes);
}
END_TEST

static const struct {
    const char *records, *layer;
    enum tsr_status status;
} verdict[] = {
    {"LKOE", NULL, TSR_OK},
    {"NBKHE", NULL, TSR_OK},
    {"NBKHE", "fc", TSR_OK},
    {"LVKOE", NULL, TSR_OK}, /* views that nobody answered */
    {"LKVOoE", NULL, TSR_OK},
    {"AKCE", NULL, TSR_OK},
    {"LVBKOoHE", NULL, TSR_OK}, /* hub tokens for the samples alone */
    {"NBKHE", "fc2", TSR_E_NOT_FOUND},
    {"LKOE", "fc", TSR_E_NOT_FOUND},
    {"LE", NULL, TSR_E_MISMATCH},
    {"LKO", NULL, TSR_E_TRUNCATED},
    {"LKOELKOE", NULL, TSR_E_UNSUPPORTED},
    {"LOKOE", NULL, TSR_E_CORRUPT},
    {"LKOOE", NULL, TSR_E_CORRUPT},
    {"LKOKE", NULL, TSR_E_CORRUPT},
    {"LKKOE", NULL, TSR_E_CORRUPT},
    {"LKOKPE", NULL, TSR_E_CORRUPT},
    {"LKOoE", NULL, TSR_E_CORRUPT},
    {"LVVKOoE", NULL, TSR_E_CORRUPT},
    {"LKoVOE", NULL, TSR_E_CORRUPT},
    {"LVKO1E", NULL, TSR_E_CORRUPT},
    {"LVKO2E", NULL, TSR_E_CORRUPT},
    {"LVKO21E", NULL, TSR_E_CORRUPT},
    {"LVKO11E", NULL, TSR_E_CORRUPT},
    {"LVKOooE", NULL, TSR_E_CORRUPT},
    {"LVKOoKOE", NULL, TSR_E_CORRUPT},
    {"NKHE", NULL, TSR_E_CORRUPT},
    {"NFKHE", NULL, TSR_E_CORRUPT},
    {"NBKHKE", NULL, TSR_E_CORRUPT},
    {"NVBKHhKHE", NULL, TSR_E_CORRUPT},
    {"LKIOKOE", NULL, TSR_E_CORRUPT},
    {"LIKOE", NULL, TSR_E_CORRUPT},
};

START_TEST(streams_with_gaps_are_refused)
{
    struct tsr_tokens t;
    build(verdict[_i].records);
    enum tsr_status status = load(verdict[_i].layer, &t);
    ck_assert_msg(status == verdict[_i].status, "%s: %s instead of %s", verdict[_i].records, tsr_status_name(status),
                  tsr_status_name(verdict[_i].status));
    if (status == TSR_OK) tsr_tokens_release(&t);
    else ck_assert(t.key == NULL && t.out == NULL && t.hub == NULL);
    tsr_buf_release(&bytes);
}
END_TEST

/* Nobody is taught with several inputs, which the caller says; that they are there is no fault of the stream. */
START_TEST(several_inputs_are_counted)
{
    struct tsr_tokens t;
    build("TKIJOKIJOE");
    OK(load(NULL, &t));
    ck_assert_uint_eq(t.n_inputs, 2);
    ck_assert(t.refs == 2 * COUNT && t.inputs.dtype == TSR_NONE);
    tsr_tokens_release(&t);
    tsr_buf_release(&bytes);
}
END_TEST

START_TEST(classes_become_one_hot)
{
    struct tsr_tokens t;
    build("AKCE");
    OK(load(NULL, &t));
    ck_assert(t.kind == TSR_KIND_ARGMAX && t.classes == CLASSES);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < CLASSES; j++) ck_assert(t.out[i * CLASSES + j] == (float)(j == i % CLASSES));
    tsr_tokens_release(&t);
    tsr_buf_release(&bytes);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    struct tsr_tokens t;
    enum tsr_status status = TSR_E_NOMEM;
    build("LVBKIOoHhKIO12HhE");
    for (long n = 1; n < 5000 && status != TSR_OK; n++) {
        struct tsr_source *s;
        OK(tsr_source_from_memory(bytes.data, bytes.len, "test", &s, NULL));
        tsr_mem_fail_after(n);
        status = tsr_tokens_load(s, NULL, &t, NULL);
        tsr_mem_fail_after(0);
        tsr_source_close(s);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "allocation %ld: %s", n, tsr_status_name(status));
    }
    OK(status);
    tsr_tokens_release(&t);
    tsr_buf_release(&bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tokens");
    TCase *t = tcase_create("tokens");
    tcase_add_test(t, rows_are_numbered_across_blocks);
    tcase_add_loop_test(t, streams_with_gaps_are_refused, 0, (int)(sizeof verdict / sizeof *verdict));
    tcase_add_test(t, several_inputs_are_counted);
    tcase_add_test(t, classes_become_one_hot);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
