/* Products with constant weights, which are packed once: every kernel against sums in double; the bits depend
 * neither on whether the packed weights could be kept, nor on a batch or threads. */
#include "suite.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/session_impl.h"
#include "tensor/gemm.h"
#include "tessera.h"

#define OK(expression)                                                     \
    do {                                                                   \
        struct tsr_error why_ = {0};                                       \
        struct tsr_error *err = &why_;                                     \
        ck_assert_msg((expression) == TSR_OK, "%s", why_.message);         \
    } while (0)

enum { ROWS = 150, K = 70, N = 37 };

static struct tsr_tensor random_tensor(int rank, const int64_t *dim, uint64_t stream)
{
    struct tsr_tensor t;
    struct tsr_rng r;
    tsr_rng_init(&r, 5, stream);
    OK(tsr_tensor_zeros(&t, TSR_F32, rank, dim, err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) ((float *)t.data)[i] = tsr_rng_float(&r) * 2 - 1;
    return t;
}

static const struct kind {
    const char *op;
    bool bias, turned, relu; /* relu: with the bias, what becomes tessera.Linear */
} kinds[] = {{"MatMul", false, false, false}, {"MatMul", true, false, true}, {"MatMul", true, false, false},
             {"Gemm", true, true, false},     {"Gemm", false, false, false}, {"Gemm", true, true, true}};

/* y = x W, or with what the kind says. */
static struct tsr_graph *product(const struct kind *kind)
{
    const int64_t x[2] = {-1, K}, w[2] = {kind->turned ? N : K, kind->turned ? K : N}, b[1] = {N};
    struct tsr_tensor weights = random_tensor(2, w, 1), bias = random_tensor(1, b, 2);
    struct tsr_graph *g, *fused;
    const bool gemm = strcmp(kind->op, "Gemm") == 0;
    OK(tsr_graph_new(&g, err));
    OK(tsr_graph_opset(g, "", 20, err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, x, NULL, err));
    OK(tsr_graph_add_init(g, "w", &weights, err));
    OK(tsr_graph_add_init(g, "b", &bias, err));
    const char *p = kind->relu ? "sum" : "y", *first = kind->bias && !gemm ? "product" : p;
    OK(tsr_graph_add_node(g, kind->op, "", NULL, gemm && kind->bias ? 3 : 2, (const char *[]){"x", "w", "b"}, 1, &first, err));
    if (kind->turned) OK(tsr_graph_attr_int(g, "transB", 1, err));
    if (first != p) OK(tsr_graph_add_node(g, "Add", "", NULL, 2, (const char *[]){first, "b"}, 1, &p, err));
    if (kind->relu) OK(tsr_graph_add_node(g, "Relu", "", NULL, 1, &p, 1, (const char *[]){"y"}, err));
    OK(tsr_graph_add_output(g, "y", TSR_NONE, -1, NULL, NULL, err));
    OK(tsr_graph_finish(g, err));
    OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, err));
    tsr_graph_free(g);
    return fused;
}

static void compare(const struct kind *kind, const struct tsr_graph *g, const struct tsr_tensor *x, const struct tsr_tensor *y)
{
    const float *a = x->data, *w = g->value[tsr_graph_find(g, "w")].init.data, *b = g->value[tsr_graph_find(g, "b")].init.data;
    ck_assert_int_eq(tsr_tensor_count(y), x->shape.dim[0] * N);
    for (int64_t i = 0; i < x->shape.dim[0]; i++)
        for (int64_t j = 0; j < N; j++) {
            double want = kind->bias ? (double)b[j] : 0;
            for (int64_t k = 0; k < K; k++) want += (double)a[i * K + k] * (double)w[kind->turned ? j * K + k : k * N + j];
            if (kind->relu && want < 0) want = 0;
            const double have = (double)((const float *)y->data)[i * N + j];
            ck_assert_msg(fabs(have - want) <= 1e-4, "%s %s[%d,%d]: %g, not %g", tsr_gemm_kernel(), kind->op, (int)i, (int)j, have, want);
        }
}

START_TEST(values)
{
    const struct kind *kind = &kinds[_i];
    struct tsr_graph *g = product(kind);
    struct tsr_tensor x = random_tensor(2, (const int64_t[]){ROWS, K}, 3), y, z;
    struct tsr_session *s, *poor, *many;
    struct tsr_pool *pool;
    OK(tsr_pool_new(3, &pool, err));
    const struct tsr_session_options options = {.pool = pool};
    OK(tsr_session_new(g, NULL, &s, err));
    OK(tsr_session_new(g, NULL, &poor, err));
    OK(tsr_session_new(g, &options, &many, err));
    poor->spare = 0;
    for (int k = 0; tsr_gemm_kernel_name(k) != NULL; k++) { /* one session through all of them: packed anew for each */
        if (!tsr_gemm_kernel_runs(k)) {
            printf("skipped: kernel %s does not run on this machine\n", tsr_gemm_kernel_name(k));
            continue;
        }
        OK(tsr_gemm_use(tsr_gemm_kernel_name(k), err));
        for (int64_t rows = ROWS; rows > 0; rows /= 7) {
            struct tsr_tensor part = x;
            part.storage = NULL, part.shape.dim[0] = rows;
            OK(tsr_session_call(s, &part, 1, g->output, 1, &y, err));
            compare(kind, g, &part, &y);
            for (int other = 0; other < 2; other++) {
                OK(tsr_session_call(other ? many : poor, &part, 1, g->output, 1, &z, err));
                ck_assert_int_eq(memcmp(y.data, z.data, tsr_tensor_bytes(&y)), 0);
                tsr_tensor_release(&z);
            }
            tsr_tensor_release(&y);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < g->n_node; i++) kept += s->node[i].state != NULL;
    ck_assert_uint_eq(kept, 1);
    tsr_session_free(s);
    tsr_session_free(poor);
    tsr_session_free(many);
    tsr_pool_free(pool);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/packed");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, values, 0, (int)(sizeof kinds / sizeof *kinds));
    suite_add_tcase(s, c);
    return run_suite(s);
}
