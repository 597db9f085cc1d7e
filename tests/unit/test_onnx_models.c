/* Networks that PyTorch trained and exported give the outputs that PyTorch computed; networks of the
 * zoo give the same outputs before and after they were written as ONNX. */
#include "iotest.h"

#include <math.h>
#include <string.h>

static struct tsr_tensor load_npy(const char *path)
{
    struct tsr_source *s;
    struct tsr_tensor t;
    OK(tsr_source_open(path, &s, &err));
    OK(tsr_npy_load(s, &t, &err));
    tsr_source_close(s);
    return t;
}

static struct tsr_tensor outputs(const struct tsr_graph *g, const struct tsr_tensor *in)
{
    struct tsr_session *s;
    struct tsr_tensor out;
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_session_call(s, in, 1, g->output, 1, &out, &err));
    struct tsr_tensor copy;
    OK(tsr_tensor_copy(&copy, &out, &err));
    tsr_tensor_release(&out);
    tsr_session_free(s);
    return copy;
}

static void compare(const char *name, const struct tsr_tensor *want, const struct tsr_tensor *have, double tolerance)
{
    double worst = 0;
    ck_assert(tsr_shape_equal(&want->shape, &have->shape) && want->dtype == have->dtype);
    for (int64_t i = 0; i < tsr_tensor_count(want); i++) {
        double e = fabs(tsr_load_f64(want->dtype, want->data, i) - tsr_load_f64(have->dtype, have->data, i));
        if (!(e <= worst)) worst = e;
    }
    ck_assert_msg(worst <= tolerance, "%s: outputs differ by %g", name, worst);
}

START_TEST(pytorch)
{
    static const char *const name[] = {"bilstm", "dscnn", "kwt", "mlp", "tcn"};
    const char *shared = getenv("TESSERA_SHARED");
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char folder[400], path[500];
        struct tsr_graph *g;
        (void)snprintf(folder, sizeof folder, "%s/models/%s", shared != NULL && *shared ? shared : "../shared", name[i]);
        (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
        if (access(path, R_OK) != 0) {
            printf("skipped: outputs of real models: %s is not there\n", path);
            return;
        }
        OK(tsr_onnx_load(path, &g, &err));
        (void)snprintf(path, sizeof path, "%s/input.npy", folder);
        struct tsr_tensor in = load_npy(path);
        (void)snprintf(path, sizeof path, "%s/output.npy", folder);
        struct tsr_tensor want = load_npy(path), have = outputs(g, &in);
        compare(name[i], &want, &have, 1e-4);
        tsr_tensor_release(&in);
        tsr_tensor_release(&want);
        tsr_tensor_release(&have);
        tsr_graph_free(g);
    }
}
END_TEST

static const char *const form[] = {"vocab=50 length=16", "input=12", "input=6x32", "input=1x16x16", "input=1x40x64",
                                   "input=3x9x7", "vocab=3 length=1", "input=1", "input=1x1", "input=1x1x1"};

static struct tsr_tensor samples(const struct tsr_graph *g, int64_t n)
{
    const struct tsr_value *v = &g->value[g->input[0]];
    struct tsr_shape shape = v->shape;
    struct tsr_tensor t;
    struct tsr_rng rng;
    shape.dim[0] = n;
    OK(tsr_tensor_zeros(&t, v->dtype, shape.rank, shape.dim, &err));
    tsr_rng_init(&rng, 7, 0);
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) {
        if (v->dtype == TSR_I64) ((int64_t *)t.data)[i] = (int64_t)tsr_rng_below(&rng, 3);
        else ((float *)t.data)[i] = tsr_rng_normal(&rng);
    }
    return t;
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

/* Every family takes every form of input, gives finite outputs of the right shape for two batch
 * sizes, has its activations by name, and outlives a file. */
START_TEST(zoo)
{
    size_t n;
    const struct tsr_zoo_family *family = tsr_zoo_families(&n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof form / sizeof *form; k++) {
            char text[200];
            struct tsr_zoo_spec spec;
            struct tsr_graph *g, *again;
            (void)snprintf(text, sizeof text, "%s width=32 depth=2 classes=5 %s", family[i].name, form[k]);
            OK(tsr_zoo_parse(text, &spec, &err));
            OK(tsr_zoo_build(&spec, &g, &err));
            ck_assert_msg(tsr_graph_find(g, "block1") >= 0 && tsr_graph_find(g, "features") >= 0, "%s", text);
            struct tsr_head head;
            OK(tsr_graph_head(g, &head, &err));
            ck_assert_str_eq(g->value[head.features].name, "features");
            ck_assert_int_eq(head.classes, 5);
            struct tsr_buf b = written(g);
            OK(tsr_onnx_load_memory(b.data, b.len, text, NULL, &again, &err));
            struct tsr_tensor three = samples(g, 3), one = samples(g, 1), want = outputs(g, &three),
                              have = outputs(again, &three), single = outputs(again, &one);
            ck_assert_int_eq(want.shape.dim[0], 3);
            ck_assert_int_eq(want.shape.dim[1], 5);
            ck_assert_msg(tsr_tensor_nonfinite(&want) < 0, "%s", text);
            compare(text, &want, &have, 0);
            want.shape.dim[0] = 1;
            compare(text, &want, &single, 1e-5);
            tsr_tensor_release(&three);
            tsr_tensor_release(&one);
            tsr_tensor_release(&want);
            tsr_tensor_release(&have);
            tsr_tensor_release(&single);
            tsr_buf_release(&b);
            tsr_graph_free(g);
            tsr_graph_free(again);
        }
}
END_TEST

/* The same line gives the same bytes, another seed others. */
START_TEST(zoo_is_reproducible)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    struct tsr_buf b[3];
    for (int i = 0; i < 3; i++) {
        OK(tsr_zoo_parse(i < 2 ? "lstm input=6x32 classes=4 seed=5" : "lstm input=6x32 classes=4 seed=6", &spec, &err));
        OK(tsr_zoo_build(&spec, &g, &err));
        b[i] = written(g);
        tsr_graph_free(g);
    }
    ck_assert_uint_eq(b[0].len, b[1].len);
    ck_assert_int_eq(memcmp(b[0].data, b[1].data, b[0].len), 0);
    ck_assert_uint_eq(b[0].len, b[2].len);
    ck_assert_int_ne(memcmp(b[0].data, b[2].data, b[0].len), 0);
    for (int i = 0; i < 3; i++) tsr_buf_release(&b[i]);
}
END_TEST

/* Each wrong line, and a word that its message must hold. */
START_TEST(zoo_wrong)
{
    static const char *const line[][2] = {
        {"", "family"},
        {"perceptron classes=2 input=3", "perceptron"},
        {"mlp input=3", "classes"},
        {"mlp classes=2", "input"},
        {"mlp classes=2 vocab=5", "length"},
        {"mlp classes=2 input=3 vocab=5 length=2", "either"},
        {"mlp classes=0 input=3", "classes"},
        {"mlp classes=2 input=3 width=", "width"},
        {"mlp classes=2 input=3 width=-3", "width"},
        {"mlp classes=2 input=3 width=99999999999999999999999", "width"},
        {"mlp classes=2 input=3 depth", "depth"},
        {"mlp classes=2 input=1x2x3x4", "input"},
        {"mlp classes=2 input=1xx4", "input"},
        {"mlp classes=2 input=3x", "input"},
        {"conv1d classes=2 input=3x8 kernel=4", "odd"},
        {"mlp classes=2 input=3 colour=7", "colour"},
        {"transformer classes=2 input=3x8 width=30 heads=4", "heads"},
        {"mlp classes=1000000 input=1000000 width=60000", "million"},
    };
    for (size_t i = 0; i < sizeof line / sizeof *line; i++) {
        struct tsr_zoo_spec spec;
        struct tsr_graph *g = NULL;
        struct tsr_error err = {0};
        enum tsr_status status = tsr_zoo_parse(line[i][0], &spec, &err);
        if (status == TSR_OK) status = tsr_zoo_build(&spec, &g, &err);
        ck_assert_msg(status == TSR_E_USAGE || status == TSR_E_LIMIT, "'%s': %s", line[i][0], tsr_status_name(status));
        ck_assert_msg(strstr(err.message, line[i][1]) != NULL, "'%s': %s", line[i][0], err.message);
        ck_assert_ptr_null(g);
    }
}
END_TEST

static enum tsr_status build(const struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    struct tsr_graph *g;
    TSR_TRY(tsr_zoo_build(spec, &g, err));
    tsr_graph_free(g);
    return TSR_OK;
}

START_TEST(zoo_short_of_memory)
{
    struct tsr_zoo_spec spec;
    OK(tsr_zoo_parse("gru depth=1 width=4 input=3x5 classes=2", &spec, &err));
    TORTURE(build(&spec, &err));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {pytorch, zoo, zoo_is_reproducible, zoo_wrong, zoo_short_of_memory};
    return run_tests("onnx_models", tests, sizeof tests / sizeof *tests);
}
