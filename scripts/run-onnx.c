/* run-onnx MODEL DIR [INPUT.npy | SAMPLES] - loads a model, runs it on INPUT, or on random samples (5
 * unless said), and writes DIR/model.onnx (the model as we export it), DIR/input.npy and
 * DIR/output.npy. For scripts/check-ort.sh, which shows the three to ONNX Runtime, and
 * scripts/bench-ort.sh. Models with one input. */
#include "tessera.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 5, TOKENS = 3 };

static struct tsr_error err;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "run-onnx: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static struct tsr_sink *create(const char *dir, const char *name)
{
    char path[4096];
    struct tsr_sink *sink;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    must(tsr_sink_open(path, &sink, &err));
    return sink;
}

static void save_npy(const char *dir, const char *name, const struct tsr_tensor *t)
{
    struct tsr_sink *sink = create(dir, name);
    must(tsr_npy_save(sink, t, &err));
    must(tsr_sink_close(sink, &err));
}

static void make_input(const struct tsr_value *v, int64_t samples, struct tsr_tensor *t)
{
    struct tsr_shape shape = v->shape;
    struct tsr_rng rng;
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0) shape.dim[i] = samples;
    must(tsr_tensor_zeros(t, v->dtype, shape.rank, shape.dim, &err));
    tsr_rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < tsr_tensor_count(t); i++)
        tsr_store_f64(t->dtype, t->data, i,
                      tsr_dtype_is_float(t->dtype) ? (double)tsr_rng_normal(&rng) : (double)tsr_rng_below(&rng, TOKENS));
}

static void read_input(const char *path, struct tsr_tensor *t)
{
    struct tsr_source *source;
    must(tsr_source_open(path, &source, &err));
    must(tsr_npy_load(source, t, &err));
    tsr_source_close(source);
}

int main(int argc, char **argv)
{
    struct tsr_graph *g;
    struct tsr_session *s;
    struct tsr_tensor in, out;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: run-onnx MODEL DIR [INPUT.npy | SAMPLES]\n");
        return 2;
    }
    must(tsr_onnx_load(argv[1], &g, &err));
    int samples = argc == 4 ? atoi(argv[3]) : SAMPLES;
    if (samples > 0) make_input(&g->value[g->input[0]], samples, &in);
    else read_input(argv[3], &in);
    must(tsr_session_new(g, NULL, &s, &err));
    must(tsr_session_call(s, &in, 1, g->output, 1, &out, &err));
    save_npy(argv[2], "input.npy", &in);
    save_npy(argv[2], "output.npy", &out);
    struct tsr_sink *sink = create(argv[2], "model.onnx");
    must(tsr_onnx_save(g, sink, &err));
    must(tsr_sink_close(sink, &err));
    tsr_tensor_release(&in);
    tsr_tensor_release(&out);
    tsr_session_free(s);
    tsr_graph_free(g);
    return 0;
}
