/* Training writes values and gradients over others where nobody will read those: the gradients of the
 * parameters are, bit for bit, those where everything is kept. */
#include "suite.h"
#include <stdlib.h>
#include <string.h>

#include "graph/session_impl.h"
#include "tessera.h"

#define OK(expression)                                             \
    do {                                                           \
        struct tsr_error why_ = {0};                               \
        struct tsr_error *err = &why_;                             \
        ck_assert_msg((expression) == TSR_OK, "%s", why_.message); \
    } while (0)

static const char *const zoo[] = {"dscnn width=12 depth=3 input=1x12x10 classes=5", "resnet width=8 depth=2 input=3x12x12 classes=5",
                                  "conv1d width=12 depth=3 input=4x20 classes=5", "mlp width=24 depth=3 input=20 classes=5",
                                  "mobilenetv2 width=8 depth=3 input=3x16x16 classes=5"};

static struct tsr_tensor random_tensor(const struct tsr_shape *shape, uint64_t stream)
{
    struct tsr_tensor t;
    struct tsr_rng r;
    tsr_rng_init(&r, 11, stream);
    OK(tsr_tensor_zeros(&t, TSR_F32, shape->rank, shape->dim, err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) ((float *)t.data)[i] = tsr_rng_float(&r) - 0.5F;
    return t;
}

/* Runs forward and backward; `all`: every value is wanted and so is its gradient. *shared: values that lie in
 * the memory of another. */
static struct tsr_session *trained(const struct tsr_graph *g, bool all, int *shared)
{
    const struct tsr_session_options options = {.training = true};
    struct tsr_session *s;
    struct tsr_shape shape = g->value[g->input[0]].shape;
    shape.dim[0] = 3;
    struct tsr_tensor x = random_tensor(&shape, 1);
    int32_t *want = malloc(g->n_value * sizeof *want), *of = malloc(g->n_value * sizeof *of);
    size_t n = 0, m = 0;
    want[n++] = g->output[0];
    for (size_t v = 0; v < g->n_value; v++) {
        if (g->value[v].is_init && g->value[v].trainable) of[m++] = (int32_t)v;
        if (!all || g->value[v].producer < 0 || (int32_t)v == g->output[0]) continue;
        want[n++] = (int32_t)v;
    }
    OK(tsr_session_new(g, &options, &s, err));
    OK(tsr_session_set_input(s, g->input[0], &x, err));
    OK(tsr_session_run(s, want, n, err));
    for (size_t k = 1; k < n; k++)
        if (tsr_session_value(s, want[k])->dtype == TSR_F32) of[m++] = want[k];
    struct tsr_tensor seed = random_tensor(&tsr_session_value(s, g->output[0])->shape, 2);
    OK(tsr_session_backward(s, g->output, (const struct tsr_tensor *const[]){&seed}, 1, of, m, err));
    *shared = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        if (node->op->flags & TSR_OP_VIEW || node->n_in == 0 || node->in[0] < 0 || s->value[node->out[0]].data == NULL) continue;
        *shared += s->value[node->out[0]].data == s->value[node->in[0]].data;
    }
    tsr_tensor_release(&seed);
    tsr_tensor_release(&x);
    free(want), free(of);
    return s;
}

START_TEST(same_gradients)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g, *h;
    int shared, none;
    OK(tsr_zoo_parse(zoo[_i], &spec, err));
    OK(tsr_zoo_build(&spec, &g, err));
    OK(tsr_graph_fuse(g, NULL, 0, TSR_FUSE_TRAINING, &h, err));
    for (int fused = 0; fused < 2; fused++) {
        const struct tsr_graph *used = fused ? h : g;
        struct tsr_session *light = trained(used, false, &shared), *full = trained(used, true, &none);
        ck_assert_int_eq(none, 0);
        if (strncmp(zoo[_i], "resnet", 6) == 0) ck_assert_int_gt(shared, 0); /* the Relu after a sum */
        for (size_t v = 0; v < used->n_value; v++) {
            if (!used->value[v].is_init || !used->value[v].trainable) continue;
            const struct tsr_tensor *a = tsr_session_grad(light, (int32_t)v), *b = tsr_session_grad(full, (int32_t)v);
            ck_assert_ptr_nonnull(a);
            ck_assert_msg(memcmp(a->data, b->data, tsr_tensor_bytes(b)) == 0, "%s: the gradient of %s", zoo[_i], used->value[v].name);
        }
        tsr_session_free(light);
        tsr_session_free(full);
    }
    tsr_graph_free(g);
    tsr_graph_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph/gradient memory");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, same_gradients, 0, (int)(sizeof zoo / sizeof *zoo));
    suite_add_tcase(s, c);
    return run_suite(s);
}
