/* Running a model on inputs of the shapes it declares, forward, fused and backward. Whatever the model
 * says, operators either compute or complain. */
#include "tessera.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUTS = 16, MAX_NODES = 64, MAX_ELEMENTS = 4096, MEMORY = 1 << 20 };

/* Small numbers of both signs; unknown dimensions are 2. False: too large for a fuzzer. */
static bool make_input(const struct tsr_value *v, struct tsr_tensor *x)
{
    struct tsr_shape s = v->shape;
    enum tsr_dtype dtype = v->dtype == TSR_NONE ? TSR_F32 : v->dtype;
    if (s.rank < 0) s = (struct tsr_shape){2, {2, 2}};
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] < 0) s.dim[i] = 2;
    int64_t n = tsr_shape_count(&s);
    if (n < 0 || n > MAX_ELEMENTS || tsr_tensor_zeros(x, dtype, s.rank, s.dim, NULL) != TSR_OK) return false;
    for (int64_t i = 0; i < n; i++) tsr_store_i64(dtype, x->data, i, tsr_dtype_is_signed(dtype) ? i % 5 - 2 : i % 3);
    return true;
}

static void check(enum tsr_status status, const struct tsr_error *err)
{
    if (status != TSR_E_INTERNAL && (status == TSR_OK || err->message[0] != '\0')) return;
    (void)fprintf(stderr, "fuzz_run: %s: '%s'\n", tsr_status_name(status), err->message);
    abort();
}

static void backward(struct tsr_session *s, const struct tsr_graph *g)
{
    struct tsr_error err = {0};
    const struct tsr_tensor *y = tsr_session_value(s, g->output[0]);
    struct tsr_tensor seed;
    int32_t of[MAX_INPUTS];
    size_t n = 0;
    if (y == NULL || (y->dtype != TSR_F32 && y->dtype != TSR_F64)) return;
    if (tsr_tensor_zeros(&seed, y->dtype, y->shape.rank, y->shape.dim, NULL) != TSR_OK) return;
    for (int64_t i = 0; i < tsr_tensor_count(&seed); i++) tsr_store_f64(seed.dtype, seed.data, i, 1);
    for (size_t i = 0; i < g->n_input && n < MAX_INPUTS; i++)
        if (g->value[g->input[i]].dtype == TSR_F32 || g->value[g->input[i]].dtype == TSR_F64) of[n++] = g->input[i];
    const struct tsr_tensor *const seeds[] = {&seed};
    check(tsr_session_backward(s, g->output, seeds, 1, of, n, &err), &err);
    tsr_tensor_release(&seed);
}

static void run(const struct tsr_graph *g, const struct tsr_tensor *x, bool training)
{
    struct tsr_error err = {0};
    struct tsr_session *s;
    const struct tsr_session_options o = {.training = training, .max_bytes = MEMORY, .max_turns = 1000};
    if (tsr_session_new(g, &o, &s, &err) != TSR_OK) return;
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < g->n_input && status == TSR_OK; i++) status = tsr_session_set_input(s, g->input[i], &x[i], &err);
    if (status == TSR_OK) status = tsr_session_run(s, g->output, g->n_output, &err);
    check(status, &err);
    if (training && status == TSR_OK) backward(s, g);
    tsr_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsr_error err = {0};
    struct tsr_graph *g = NULL, *fused = NULL;
    struct tsr_tensor x[MAX_INPUTS] = {{0}};
    if (tsr_onnx_load_memory(data, size, "input", NULL, &g, &err) != TSR_OK) return 0;
    bool fits = g->n_input <= MAX_INPUTS && g->n_node <= MAX_NODES;
    for (size_t i = 0; fits && i < g->n_input; i++) fits = make_input(&g->value[g->input[i]], &x[i]);
    if (fits) {
        run(g, x, false);
        run(g, x, true);
        if (tsr_graph_fuse(g, NULL, 0, 0, &fused, &err) == TSR_OK) run(fused, x, false);
    }
    for (size_t i = 0; i < MAX_INPUTS; i++) tsr_tensor_release(&x[i]);
    tsr_graph_free(fused);
    tsr_graph_free(g);
    return 0;
}
