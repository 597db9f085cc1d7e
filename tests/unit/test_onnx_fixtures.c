/* The models of testdata/onnx get the verdict that their names say, and what is good survives being
 * written and read again. */
#include "iotest.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define FIXTURES "testdata/onnx"

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static bool as_named(const char *name, enum tsr_status status)
{
    if (begins(name, "good-")) return status == TSR_OK;
    if (begins(name, "unsupported-")) return status == TSR_E_UNSUPPORTED;
    if (begins(name, "bad-empty") || begins(name, "bad-external-short") || begins(name, "bad-external-far"))
        return status == TSR_E_TRUNCATED;
    if (begins(name, "bad-external-missing")) return status == TSR_E_IO;
    if (begins(name, "bad-text") || begins(name, "bad-no-graph"))
        return status == TSR_E_FORMAT;
    return begins(name, "bad-") && (status == TSR_E_CORRUPT || status == TSR_E_LIMIT || status == TSR_E_FORMAT);
}

static struct tsr_buf written(const struct tsr_graph *g)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_onnx_save(g, sink, &err));
    OK(tsr_sink_close(sink, &err));
    return b;
}

/* load(save(g)) computes the same, and is written as the same bytes. */
static void round_trip(const struct tsr_graph *g, const char *name)
{
    uint8_t first[32], second[32];
    struct tsr_buf a = written(g), b;
    struct tsr_graph *again;
    OK(tsr_onnx_load_memory(a.data, a.len, name, NULL, &again, &err));
    b = written(again);
    tsr_onnx_digest(g, first);
    tsr_onnx_digest(again, second);
    ck_assert_msg(memcmp(first, second, sizeof first) == 0, "%s: another model after a round trip", name);
    ck_assert_msg(a.len == b.len && memcmp(a.data, b.data, a.len) == 0, "%s: other bytes after a round trip", name);
    ck_assert_uint_eq(g->n_input, again->n_input);
    ck_assert_uint_eq(g->n_value, again->n_value);
    ck_assert_int_eq(tsr_graph_params(g), tsr_graph_params(again));
    tsr_graph_free(again);
    tsr_buf_release(&a);
    tsr_buf_release(&b);
}

START_TEST(fixtures)
{
    int seen = 0;
    DIR *d = opendir(FIXTURES);
    ck_assert_msg(d != NULL, "%s is missing: run the tests from the top directory", FIXTURES);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[600];
        struct tsr_graph *g;
        struct tsr_error err = {0};
        const char *dot = strrchr(e->d_name, '.');
        if (dot == NULL || strcmp(dot, ".onnx") != 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", FIXTURES, e->d_name);
        enum tsr_status status = tsr_onnx_load(path, &g, &err);
        ck_assert_msg(as_named(e->d_name, status), "%s: %s: %s", e->d_name, tsr_status_name(status),
                      status == TSR_OK ? "accepted" : err.message);
        ck_assert(status == TSR_OK || (g == NULL && strstr(err.message, e->d_name) != NULL));
        if (status != TSR_OK && getenv("VERBOSE")) printf("%-34s %s\n", e->d_name, err.message);
        if (status == TSR_OK) round_trip(g, e->d_name);
        if (status == TSR_OK)
            ck_assert_msg((g->n_warning > 0) == begins(e->d_name, "good-warned-"), "%s: %zu warnings", e->d_name, g->n_warning);
        tsr_graph_free(g);
        seen++;
    }
    closedir(d);
    ck_assert_int_ge(seen, 60);
}
END_TEST

static void warns(const char *name, int opset, const char *part)
{
    char path[200];
    struct tsr_graph *g;
    (void)snprintf(path, sizeof path, FIXTURES "/good-warned-%s.onnx", name);
    OK(tsr_onnx_load(path, &g, &err));
    ck_assert_uint_eq(g->n_warning, 1);
    ck_assert_msg(strstr(g->warning[0], part) != NULL, "%s: '%s' lacks '%s'", name, g->warning[0], part);
    ck_assert_int_eq(g->node[0].opset, opset);
    tsr_graph_free(g);
}

START_TEST(warnings)
{
    warns("no-opset", 17, "read as version 17");
    warns("no-version", 17, "version of the format");
    warns("newer-operators", 20, "Gelu (20), HardSwish (14)");
    warns("newer-form", 11, "newer ones, which are run as those say: Clip (11)");
    warns("older-form", 10, "older ones have them, which are run as those say: Clip (10)");
    warns("newest", 900, "version 900");
    warns("order", 17, "sorted");
    warns("training", 17, "1 of its nodes, the first 'Dropout_0' (Dropout)");
}
END_TEST

static const struct tsr_tensor *init_of(const struct tsr_graph *g, const char *name)
{
    int32_t id = tsr_graph_find(g, name);
    ck_assert_int_ge(id, 0);
    return &g->value[id].init;
}

START_TEST(elements)
{
    struct tsr_graph *g;
    char name[8];
    static const int integer[] = {2, 3, 4, 5, 6, 7, 9, 12, 13};
    OK(tsr_onnx_load(FIXTURES "/good-typed-fields.onnx", &g, &err));
    for (size_t i = 0; i < sizeof integer / sizeof *integer; i++) {
        (void)snprintf(name, sizeof name, "t%d", integer[i]);
        const struct tsr_tensor *t = init_of(g, name);
        ck_assert_int_eq(tsr_load_i64(t->dtype, t->data, 0), 1);
        ck_assert_int_eq(tsr_load_i64(t->dtype, t->data, 1), 0);
    }
    ck_assert(tsr_load_f64(TSR_F32, init_of(g, "t1")->data, 1) == -2);
    ck_assert(tsr_load_f64(TSR_F64, init_of(g, "t11")->data, 0) == 1.5);
    ck_assert_uint_eq(((const uint16_t *)init_of(g, "t10")->data)[0], 1);
    for (int64_t i = 0; i < 3; i++) {
        static const int64_t want[] = {1, 2, 7};
        ck_assert_int_eq(tsr_load_i64(TSR_I4, init_of(g, "t22")->data, i), want[i]);
        ck_assert_int_eq(tsr_load_i64(TSR_U2, init_of(g, "t25")->data, i), i + 1);
    }
    ck_assert(tsr_load_f64(TSR_F8E4M3FN, init_of(g, "t17")->data, 1) == 2);
    tsr_graph_free(g);
    OK(tsr_onnx_load(FIXTURES "/good-sparse-initialiser.onnx", &g, &err));
    static const float w[] = {-2, 0, 3.5F, 0, 0, 1}, v[] = {-2, 0, 0, 0, 0, 1};
    ck_assert_int_eq(memcmp(init_of(g, "w")->data, w, sizeof w), 0); /* values 1, -2, 3.5 at 5, 0, 2 */
    ck_assert_int_eq(memcmp(init_of(g, "v")->data, v, sizeof v), 0); /* 1, -2 at (1,2), (0,0) */
    tsr_graph_free(g);
    OK(tsr_onnx_load(FIXTURES "/good-functions.onnx", &g, &err));
    ck_assert_uint_eq(g->n_node, 2);
    ck_assert_str_eq(g->node[1].op_type, "LeakyRelu");
    ck_assert(tsr_node_float(&g->node[1], "alpha", 0) == 0.25F);
    tsr_graph_free(g);
}
END_TEST

/* Bytes 3 .. 26 of the file, whatever their alignment. */
START_TEST(external)
{
    struct tsr_graph *g;
    uint8_t want[24];
    for (uint8_t i = 0; i < 24; i++) want[i] = (uint8_t)(i + 3);
    OK(tsr_onnx_load(FIXTURES "/good-external-unaligned.onnx", &g, &err));
    const struct tsr_tensor *t = init_of(g, "w");
    ck_assert_int_eq(memcmp(t->data, want, sizeof want), 0);
    ck_assert_uint_eq((uintptr_t)t->data % sizeof(float), 0);
    tsr_graph_free(g);
    struct tsr_buf b = slurp(FIXTURES "/good-external.onnx");
    FAILS(TSR_E_UNSUPPORTED, "weights.bin", tsr_onnx_load_memory(b.data, b.len, "pipe", NULL, &g, &err));
    tsr_buf_release(&b);
}
END_TEST

/* A link inside the model's folder that leads out of it, and one that stays. */
START_TEST(links)
{
    char folder[300], path[400];
    struct tsr_graph *g;
    struct tsr_buf model = slurp(FIXTURES "/good-external.onnx"), data = slurp(FIXTURES "/weights.bin");
    scratch_path(folder, sizeof folder, "links");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/weights.bin", folder);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    FAILS(TSR_E_CORRUPT, "outside", tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    (void)unlink(path);
    ck_assert_int_eq(symlink("real.bin", path), 0);
    char real[400];
    (void)snprintf(real, sizeof real, "%s/real.bin", folder);
    spill(real, data.data, data.len);
    OK(tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    tsr_graph_free(g);
    (void)unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    FAILS(TSR_E_IO, "regular", tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    (void)unlink(path);
    (void)unlink(real);
    (void)rmdir(folder);
    tsr_buf_release(&model);
    tsr_buf_release(&data);
}
END_TEST

/* A folder on the way that is a link: within the model's folder, and out of it. */
START_TEST(linked_folders)
{
    char folder[300], link[400], file[400];
    struct tsr_graph *g;
    struct tsr_buf model = slurp(FIXTURES "/good-external.onnx"), data = slurp(FIXTURES "/weights.bin");
    char *name = memmem(model.data, model.len, "weights.bin", 11);
    ck_assert_ptr_nonnull(name);
    memcpy(name, "s/abcde.bin", 11);
    scratch_path(folder, sizeof folder, "folders");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    (void)snprintf(link, sizeof link, "%s/s", folder);
    (void)snprintf(file, sizeof file, "%s/abcde.bin", folder);
    spill(file, data.data, data.len);
    FAILS(TSR_E_IO, "s/abcde.bin", tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err)); /* no s */
    ck_assert_int_eq(symlink(".", link), 0);
    OK(tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    tsr_graph_free(g);
    (void)unlink(link);
    ck_assert_int_eq(symlink("..", link), 0);
    char outside[400];
    (void)snprintf(outside, sizeof outside, "%s/../abcde.bin", folder);
    spill(outside, data.data, data.len);
    FAILS(TSR_E_CORRUPT, "outside", tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    (void)unlink(outside);
    (void)unlink(link);
    ck_assert_int_eq(symlink("s", link), 0); /* it leads to itself */
    FAILS(TSR_E_IO, "s/abcde.bin", tsr_onnx_load_memory(model.data, model.len, "m", folder, &g, &err));
    (void)unlink(link);
    (void)unlink(file);
    (void)rmdir(folder);
    tsr_buf_release(&model);
    tsr_buf_release(&data);
}
END_TEST

/* Errors keep their status where nobody wants the message; names cannot write to the terminal. */
START_TEST(messages)
{
    struct tsr_graph *g;
    struct tsr_error err = {0};
    ck_assert_int_eq(tsr_onnx_load(FIXTURES "/bad-cycle.onnx", &g, NULL), TSR_E_CORRUPT);
    ck_assert_int_eq(tsr_onnx_load(FIXTURES "/bad-tensor-short.onnx", &g, NULL), TSR_E_CORRUPT);
    struct tsr_buf b = slurp(FIXTURES "/bad-dangling-input.onnx");
    char *name = memmem(b.data, b.len, "nowhere", 7);
    ck_assert_ptr_nonnull(name);
    memcpy(name, "\033[2Jx\n\r", 7);
    ck_assert_int_eq(tsr_onnx_load_memory(b.data, b.len, "m", NULL, &g, &err), TSR_E_CORRUPT);
    for (const char *p = err.message; *p; p++) ck_assert_msg(*p >= ' ', "a control character in the message");
    tsr_buf_release(&b);
}
END_TEST

static enum tsr_status load_and_save(const struct tsr_buf *model, struct tsr_error *err)
{
    struct tsr_graph *g;
    struct tsr_sink *sink = NULL;
    struct tsr_buf b = {0};
    TSR_TRY(tsr_onnx_load_memory(model->data, model->len, "m", FIXTURES, &g, err));
    enum tsr_status status = tsr_sink_from_memory(&b, "memory", &sink, err);
    if (status == TSR_OK) status = tsr_onnx_save(g, sink, err);
    tsr_sink_abandon(sink);
    tsr_graph_free(g);
    tsr_buf_release(&b);
    return status;
}

START_TEST(short_of_memory)
{
    static const char *const file[] = {"good-typed-fields", "good-functions", "good-external", "good-sparse-constant",
                                       "good-warned-newer-form"};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char path[200];
        (void)snprintf(path, sizeof path, FIXTURES "/%s.onnx", file[i]);
        struct tsr_buf b = slurp(path);
        TORTURE(load_and_save(&b, &err));
        tsr_buf_release(&b);
    }
}
END_TEST

/* Every file of the collection survives a round trip; its outputs are compared in
 * test_onnx_models.c. */
START_TEST(real_models)
{
    static const char *const name[] = {"bilstm", "dscnn", "kwt", "mlp", "tcn"};
    const char *shared = getenv("TESSERA_SHARED");
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char path[500];
        struct tsr_graph *g;
        (void)snprintf(path, sizeof path, "%s/models/%s/model.onnx", shared != NULL && *shared ? shared : "../shared",
                       name[i]);
        if (access(path, R_OK) != 0) {
            printf("skipped: round trips of real models: %s is not there\n", path);
            return;
        }
        OK(tsr_onnx_load(path, &g, &err));
        round_trip(g, name[i]);
        tsr_graph_free(g);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {fixtures, warnings, elements, external, links, linked_folders, messages, short_of_memory, real_models};
    return run_tests("onnx_fixtures", tests, sizeof tests / sizeof *tests);
}
