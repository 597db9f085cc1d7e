/* What makes quantised models better: rounding, biases, even channels, budgets, teaching on the grid. */
#include "quanttest.h"
#include "quant/patches.h"
#include "tensor/blas.h"

enum { PATTERNS = 6 };

static void random_floats(float *x, int64_t n, uint64_t seed)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (float)tsr_rng_normal(&r);
}

static void samples(const struct tsr_graph *g, int64_t n, struct tsr_tensor *x)
{
    struct tsr_shape s = g->value[g->input[0]].shape;
    s.dim[0] = n;
    OK(tsr_tensor_zeros(x, TSR_F32, s.rank, s.dim, &err));
    random_floats(x->data, tsr_tensor_count(x), 5);
    /* what goes together in real inputs: every sample is a mixture of a few patterns, and a little noise */
    const int64_t each = tsr_tensor_count(x) / n;
    float *v = x->data, pattern[PATTERNS], *at = malloc((size_t)(PATTERNS * each) * sizeof *at);
    random_floats(at, PATTERNS * each, 6);
    for (int64_t i = 0; i < n; i++) {
        random_floats(pattern, PATTERNS, (uint64_t)(1000 + i));
        for (int64_t k = 0; k < each; k++) {
            v[i * each + k] *= 0.2f;
            for (int p = 0; p < PATTERNS; p++) v[i * each + k] += 0.4f * pattern[p] * at[p * each + k];
        }
    }
    free(at);
}

/* ---- rounding ---- */

static double objective(int64_t k, const float *h, const float *w, const float *s, const int8_t *q)
{
    double sum = 0;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++)
            sum += (double)(w[i] - s[i] * (float)q[i]) * (double)h[i * k + j] * (double)(w[j] - s[j] * (float)q[j]);
    return sum;
}

START_TEST(descent)
{
    enum { K = 7, ROWS = 9 };
    double nearest = 0, found = 0, best = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        float x[ROWS * K], h[K * K] = {0}, l[K * K], w[K], s[K], scratch[2 * K], common[ROWS];
        double factor[K * K];
        int8_t q[K], start[K], alone[K];
        random_floats(x, ROWS * K, seed), random_floats(w, K, seed + 1000), random_floats(common, ROWS, seed + 2000);
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < K; i++) x[r * K + i] += 2 * common[r]; /* inputs that go together */
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < K; i++)
                for (int j = 0; j < K; j++) h[i * K + j] += x[r * K + i] * x[r * K + j];
        for (int i = 0; i < K; i++) {
            s[i] = 0.3f + 0.05f * (float)i;
            start[i] = q[i] = alone[i] = (int8_t)rintf(fminf(fmaxf(w[i] / s[i], -7), 7));
        }
        for (int i = 0; i < K * K; i++) factor[i] = (double)h[i];
        OK(tsr_lapack_cholesky(K, factor, K, &err));
        for (int i = 0; i < K * K; i++) l[i] = (float)factor[i];
        tsr_round_row(K, h, l, w, s, 7, q, scratch);
        tsr_round_row(K, h, NULL, w, s, 7, alone, scratch);
        ck_assert_double_le(objective(K, h, w, s, q), objective(K, h, w, s, alone) * (1 + 1e-5));
        double least = INFINITY;
        for (int code = 0; code < 2187; code++) { /* all steps of one up or down */
            int8_t t[K];
            for (int i = 0, c = code; i < K; i++, c /= 3) {
                int v = start[i] + c % 3 - 1;
                t[i] = (int8_t)(v > 7 ? 7 : v < -7 ? -7 : v);
            }
            least = fmin(least, objective(K, h, w, s, t));
        }
        for (int i = 0; i < K; i++) ck_assert(q[i] >= -7 && q[i] <= 7);
        ck_assert_double_le(objective(K, h, w, s, q), objective(K, h, w, s, start) * (1 + 1e-5));
        nearest += objective(K, h, w, s, start), found += objective(K, h, w, s, q), best += least;
    }
    ck_assert_msg(found <= best + 0.1 * (nearest - best), "nearest %g, found %g, best %g", nearest, found, best);
}
END_TEST

START_TEST(zeros_stay)
{
    enum { K = 6 };
    float h[K * K], l[K * K], w[K] = {0.9f, 0, -0.4f, 0, 0.6f, 0.2f}, s[K], scratch[2 * K];
    double factor[K * K];
    int8_t q[K] = {0};
    for (int i = 0; i < K * K; i++) factor[i] = i / K == i % K ? 1.1 : 1; /* all inputs nearly the same */
    for (int i = 0; i < K * K; i++) h[i] = (float)factor[i];
    OK(tsr_lapack_cholesky(K, factor, K, &err));
    for (int i = 0; i < K * K; i++) l[i] = (float)factor[i];
    for (int i = 0; i < K; i++) s[i] = 0.25f;
    tsr_round_row(K, h, l, w, s, 7, q, scratch);
    ck_assert(q[1] == 0 && q[3] == 0 && q[0] != 0);
    memset(q, 0, sizeof q);
    tsr_round_row(K, h, NULL, w, s, 7, q, scratch);
    ck_assert(q[1] == 0 && q[3] == 0 && q[0] != 0);
}
END_TEST

/* A layer's outputs from its patches and weights are what the operator gives. */
static void check_patches(const char *op, int64_t group, const char *attribute, const int64_t *v, size_t n_v, const char *auto_pad,
                          const struct tsr_shape *x_shape, const struct tsr_shape *w_shape)
{
    struct tsr_graph *g;
    struct tsr_tensor x, w, y;
    struct tsr_session *s;
    struct tsr_patches p;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, x_shape->rank, x_shape->dim, NULL, &err));
    OK(tsr_tensor_new(&w, TSR_F32, w_shape, NULL, &err));
    OK(tsr_tensor_new(&x, TSR_F32, x_shape, NULL, &err));
    random_floats(w.data, tsr_tensor_count(&w), 1), random_floats(x.data, tsr_tensor_count(&x), 2);
    const float *wv = w.data;
    struct tsr_tensor kept = tsr_tensor_share(&w);
    OK(tsr_graph_add_init(g, "w", &w, &err));
    OK(tsr_graph_add_node(g, op, "", "layer", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"y"}, &err));
    if (group > 1) OK(tsr_graph_attr_int(g, "group", group, &err));
    if (attribute != NULL && n_v == 1 && strcmp(attribute, "transB") == 0) OK(tsr_graph_attr_int(g, attribute, v[0], &err));
    else if (attribute != NULL) OK(tsr_graph_attr_ints(g, attribute, v, n_v, &err));
    if (auto_pad != NULL) OK(tsr_graph_attr_string(g, "auto_pad", auto_pad, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_session_call(s, &x, 1, g->output, 1, &y, &err));
    OK(tsr_patches_init(&p, g, &g->node[0], &err));
    const int64_t outputs = p.groups * p.n, rows = tsr_tensor_count(&y) / outputs, images = x_shape->dim[0];
    float *to = malloc((size_t)(rows * p.k) * sizeof *to);
    for (int64_t gr = 0; gr < p.groups; gr++) {
        ck_assert_int_eq(tsr_patches_rows(&p, &x, gr, rows, to), rows);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < p.n; j++) {
                double sum = 0;
                for (int64_t k = 0; k < p.k; k++)
                    sum += (double)to[r * p.k + k] * (double)wv[gr * p.step_g + j * p.step_n + k * p.step_k];
                const int64_t each = rows / images, at = p.conv ? (r / each * outputs + gr * p.n + j) * each + r % each : r * outputs + j;
                ck_assert_double_le(fabs(sum - (double)((const float *)y.data)[at]), 1e-4);
            }
        if (rows > 3) ck_assert_int_eq(tsr_patches_rows(&p, &x, gr, 3, to), 3);
    }
    free(to);
    tsr_tensor_release(&y), tsr_tensor_release(&x), tsr_tensor_release(&kept);
    tsr_session_free(s);
    tsr_graph_free(g);
}
#define SHAPE(...) (&(const struct tsr_shape){.rank = sizeof((int64_t[]){__VA_ARGS__}) / 8, .dim = {__VA_ARGS__}})

START_TEST(patches)
{
    check_patches("Conv", 1, "pads", (const int64_t[]){1, 0, 2, 1}, 4, NULL, SHAPE(2, 3, 7, 6), SHAPE(5, 3, 3, 2));
    check_patches("Conv", 2, "strides", (const int64_t[]){2, 3}, 2, NULL, SHAPE(2, 4, 9, 8), SHAPE(6, 2, 3, 3));
    check_patches("Conv", 4, "dilations", (const int64_t[]){2, 1}, 2, NULL, SHAPE(1, 4, 9, 8), SHAPE(4, 1, 3, 3));
    check_patches("Conv", 1, "strides", (const int64_t[]){2}, 1, "SAME_UPPER", SHAPE(2, 3, 10), SHAPE(5, 3, 4));
    check_patches("Conv", 1, "strides", (const int64_t[]){2, 2, 1}, 3, "SAME_LOWER", SHAPE(1, 2, 5, 4, 3), SHAPE(3, 2, 2, 3, 2));
    check_patches("Gemm", 1, "transB", (const int64_t[]){1}, 1, NULL, SHAPE(6, 8), SHAPE(5, 8));
    check_patches("MatMul", 1, NULL, NULL, 0, NULL, SHAPE(2, 3, 8), SHAPE(8, 5));
}
END_TEST

static enum tsr_status quantise(const struct tsr_graph *g, const struct tsr_quantise_options *o, int64_t n, struct tsr_graph **out,
                                struct tsr_quantise_report *report)
{
    struct tsr_quantiser *q;
    struct tsr_tensor x;
    *out = NULL;
    enum tsr_status status = tsr_quantiser_new(g, o, &q, &err);
    if (status != TSR_OK) return status;
    samples(g, n, &x);
    status = tsr_quantiser_block(q, &x, 1, &err);
    if (status == TSR_OK) status = tsr_quantiser_finish(q, out, report, &err);
    tsr_tensor_release(&x);
    tsr_quantiser_free(q);
    return status;
}

START_TEST(rounding_helps)
{
    static const char *const families[] = {"mlp width=32 depth=2 classes=5 input=24", "dscnn width=24 depth=2 classes=5 input=1x16x16",
                                           "transformer width=32 depth=2 classes=5 input=6x32"};
    static const enum tsr_grid grids[] = {TSR_GRID_INT4, TSR_GRID_W4A8};
    for (int f = 0; f < 3; f++)
        for (int k = 0; k < 2; k++) {
            struct tsr_graph *g = zoo(families[f]), *made;
            struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
            struct tsr_quantise_report learned, nearest;
            OK(quantise(g, &o, 200, &made, &learned));
            tsr_graph_free(made);
            o.rounding = TSR_ROUND_NEAREST, o.correct_bias = TSR_QUANT_NO, o.equalise = TSR_QUANT_NO;
            OK(quantise(g, &o, 200, &made, &nearest));
            tsr_graph_free(made);
            ck_assert(learned.rounded && !nearest.rounded && !nearest.shifted && nearest.pairs == 0);
            ck_assert(nearest.kl == nearest.kl_nearest && learned.kl_nearest == nearest.kl);
            ck_assert_msg(learned.kl < nearest.kl / 2, "%s %s: %g, not much less than %g", families[f], tsr_grid_names[grids[k]], learned.kl, nearest.kl);
            tsr_graph_free(g);
        }
}
END_TEST

/* ---- even channels ---- */

static void outputs(const struct tsr_graph *g, const struct tsr_tensor *x, struct tsr_tensor *y)
{
    struct tsr_session *s;
    struct tsr_tensor z;
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_session_call(s, x, 1, g->output, 1, &z, &err));
    OK(tsr_tensor_copy(y, &z, &err));
    tsr_tensor_release(&z);
    tsr_session_free(s);
}

START_TEST(equal_channels)
{
    struct tsr_graph *g = zoo("dscnn width=12 depth=2 classes=5 input=1x16x16"), *prepared;
    struct tsr_tensor x, a, b;
    int pairs;
    OK(tsr_quant_prepare(g, 13, &prepared, &err));
    samples(g, 4, &x);
    /* a channel that is 50 times as large as the others, and taken back by the next layer */
    for (size_t i = 0, done = 0; i < prepared->n_node && !done; i++) {
        const struct tsr_node *node = &prepared->node[i];
        if (strcmp(node->op_type, "Conv") != 0) continue;
        struct tsr_tensor *w = &prepared->value[node->in[1]].init, own;
        OK(tsr_tensor_copy(&own, w, &err));
        tsr_tensor_release(w);
        *w = own;
        for (int64_t k = 0, n = tsr_tensor_count(w) / w->shape.dim[0]; k < n; k++) ((float *)w->data)[k] *= 50;
        done = 1;
    }
    outputs(prepared, &x, &a);
    OK(tsr_quant_equalise(prepared, &pairs, &err));
    ck_assert_int_ge(pairs, 3);
    outputs(prepared, &x, &b);
    double top = 0, worst = 0;
    for (int64_t i = 0; i < tsr_tensor_count(&a); i++) {
        top = fmax(top, fabs((double)((float *)a.data)[i]));
        worst = fmax(worst, fabs((double)(((float *)a.data)[i] - ((float *)b.data)[i])));
    }
    ck_assert_msg(worst <= 1e-4 * top, "equalised outputs differ by %g of %g", worst, top);
    for (size_t i = 0; i < prepared->n_node; i++) { /* the first layer's channels are within a factor of ten now */
        const struct tsr_node *node = &prepared->node[i];
        if (strcmp(node->op_type, "Conv") != 0) continue;
        const struct tsr_tensor *w = &prepared->value[node->in[1]].init;
        const int64_t n = tsr_tensor_count(w) / w->shape.dim[0];
        float first = 0, other = 0;
        for (int64_t k = 0; k < n; k++) {
            first = fmaxf(first, fabsf(((float *)w->data)[k]));
            other = fmaxf(other, fabsf(((float *)w->data)[n + k]));
        }
        ck_assert(first < 12 * other);
        break;
    }
    tsr_tensor_release(&a), tsr_tensor_release(&b), tsr_tensor_release(&x);
    tsr_graph_free(prepared);
    tsr_graph_free(g);
}
END_TEST

/* ---- budgets ---- */

START_TEST(budgets)
{
    struct tsr_quant_budget b;
    static const char *const bad[] = {"", "kl<=", "kl<=0", "kl<=-1", "kl<0.1", "top1>=1", "kl<=0.1x", "kl<=inf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_int_eq(tsr_quant_budget_parse(bad[i], &b, &err), TSR_E_USAGE);
    OK(tsr_quant_budget_parse("kl<=0.01", &b, &err));
    ck_assert(b.kl == 0.01);
    struct tsr_graph *g = zoo("dscnn width=24 depth=2 classes=5 input=1x16x16");
    struct tsr_tensor x;
    samples(g, 120, &x);
    double before = INFINITY;
    int promoted = -1;
    for (double budget = 1; budget > 1e-7; budget /= 10) {
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_W4A4);
        struct tsr_quantiser *q;
        struct tsr_quantise_report r;
        struct tsr_graph *made;
        o.budget.kl = budget;
        OK(tsr_quantiser_new(g, &o, &q, &err));
        OK(tsr_quantiser_block(q, &x, 1, &err));
        OK(tsr_quantiser_finish(q, &made, &r, &err));
        ck_assert_msg(r.kl <= budget, "%g nats where %g were allowed", r.kl, budget);
        const struct tsr_quant_plan *plan = tsr_quantiser_plan(q);
        int up = 0;
        for (size_t i = 0; i < plan->g->n_node; i++)
            if (plan->layer[i].role == TSR_ROLE_PRODUCT) up += tsr_quant_layer_bits(&plan->layer[i]) > 4;
        ck_assert_int_ge(up, promoted); /* a smaller budget never promotes fewer */
        promoted = up;
        before = r.kl;
        tsr_graph_free(made);
        tsr_quantiser_free(q);
    }
    ck_assert(before < 1e-6 && promoted > 2);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

/* Where all products of a 4-bit grid go up to 8 bits, so does what stands between them: sums, pools, concatenations. */
START_TEST(what_is_between_goes_along)
{
    static const char *const families[] = {"resnet width=16 depth=3 classes=4 input=3x12x12", "mobilenetv2 width=8 depth=3 classes=4 input=3x32x32",
                                           "dscnn width=16 depth=2 classes=4 input=1x16x16", "lstm width=8 depth=1 classes=4 input=3x6"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int bits = 4; bits <= 8; bits += 4) {
            struct tsr_graph *g = zoo(families[i]), *ready;
            struct tsr_quant_plan plan;
            int n = 0;
            OK(tsr_quant_prepare(g, 21, &ready, &err));
            OK(tsr_quant_plan_init(&plan, ready, TSR_GRID_W4A4, TSR_TARGET_ORT, 16, NULL, 0, &err));
            for (size_t k = 0; k < ready->n_node; k++) tsr_quant_plan_set(&plan, k, bits, bits);
            tsr_quant_plan_points(&plan);
            for (size_t v = 0; v < ready->n_value; v++) {
                if (!plan.point[v].on) continue;
                ck_assert_msg(plan.point[v].bits == bits, "%s: '%s' has %d bits", families[i], ready->value[v].name, plan.point[v].bits);
                n++;
            }
            ck_assert_int_gt(n, 0);
            tsr_quant_plan_release(&plan);
            tsr_graph_free(ready);
            tsr_graph_free(g);
        }
}
END_TEST

/* ---- the fake network ---- */

/* What it computes is what the quantised one does, before anything was taught and after. */
START_TEST(fake_is_real)
{
    static const char *const families[] = {"mlp width=16 depth=2 classes=4 input=24", "dscnn width=16 depth=2 classes=4 input=1x16x16",
                                           "bilstm width=8 depth=1 classes=4 input=6x32", "transformer width=16 depth=1 classes=4 input=6x32"};
    static const enum tsr_grid grids[] = {TSR_GRID_INT8, TSR_GRID_INT4, TSR_GRID_W4A8, TSR_GRID_W4A4};
    for (int f = 0; f < 4; f++)
        for (int k = 0; k < 4; k++)
            for (int taught = 0; taught < 2; taught++) {
                struct tsr_graph *g = zoo(families[f]), *fake, *made;
                struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
                struct tsr_quantise_report r;
                struct tsr_quantiser *q;
                struct tsr_tensor x, a, b;
                o.block = 16;
                OK(tsr_quantiser_new(g, &o, &q, &err));
                samples(g, 30, &x);
                OK(tsr_quantiser_block(q, &x, 1, &err));
                OK(tsr_quantiser_fake(q, &fake, &err));
                for (size_t v = 0; taught && v < fake->n_value; v++) {
                    if (!fake->value[v].trainable) continue;
                    struct tsr_tensor *t = &fake->value[v].init, own;
                    OK(tsr_tensor_copy(&own, t, &err));
                    tsr_tensor_release(t);
                    *t = own;
                    for (int64_t i = 0; i < tsr_tensor_count(t); i++) ((float *)t->data)[i] += 0.01f * (float)(i % 5 - 2);
                }
                OK(tsr_quantiser_take(q, fake, &err));
                OK(tsr_quantiser_finish(q, &made, &r, &err));
                outputs(fake, &x, &a);
                outputs(made, &x, &b);
                double top = 0, worst = 0;
                for (int64_t i = 0; i < tsr_tensor_count(&a); i++) {
                    top = fmax(top, fabs((double)((float *)a.data)[i]));
                    worst = fmax(worst, fabs((double)(((float *)a.data)[i] - ((float *)b.data)[i])));
                }
                /* biases become integers in one of them, and a step may fall to the other side */
                const double share = grids[k] == TSR_GRID_W4A4 ? 0.2 : 0.03;
                ck_assert_msg(worst <= share * top, "%s on %s: %g of %g", families[f], tsr_grid_names[grids[k]], worst, top);
                tsr_tensor_release(&a), tsr_tensor_release(&b), tsr_tensor_release(&x);
                tsr_graph_free(made), tsr_graph_free(fake);
                tsr_quantiser_free(q);
                tsr_graph_free(g);
            }
}
END_TEST

START_TEST(short_of_memory)
{
    struct tsr_graph *g = zoo("dscnn width=16 depth=1 classes=3 input=1x8x8");
    for (int k = 0; k < 2; k++) {
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_W4A8);
        if (k == 1) o.budget.kl = 1e-5;
        for (long n = 1;; n += 1 + n / 8) {
            struct tsr_quantise_report r;
            struct tsr_graph *made = NULL;
            struct tsr_quantiser *q;
            struct tsr_tensor x;
            samples(g, 20, &x);
            tsr_mem_fail_after(n);
            enum tsr_status s = tsr_quantiser_new(g, &o, &q, &err);
            if (s == TSR_OK) s = tsr_quantiser_block(q, &x, 1, &err);
            if (s == TSR_OK) s = tsr_quantiser_finish(q, &made, &r, &err);
            tsr_mem_fail_after(0);
            tsr_quantiser_free(q);
            tsr_graph_free(made);
            tsr_tensor_release(&x);
            if (s == TSR_OK) break;
            ck_assert_msg(s == TSR_E_NOMEM, "%s: %s", tsr_status_name(s), err.message);
        }
    }
    tsr_graph_free(g);
}
END_TEST

/* What counts as a row of class scores when outputs are compared. */
START_TEST(rows_of_outputs)
{
    static const struct {
        int64_t shape[4];
        int rank, axis; /* of a softmax; 9: none */
        int64_t columns;
    } c[] = {{{0, 24}, 2, 9, 24}, {{0, 4, 6}, 3, 9, 6}, {{0, 2, 3, 4}, 4, 9, 1}, {{0, 4, 6}, 3, 1, 1},
             {{0, 4, 6}, 3, 2, 6}, {{0, 2, 3, 4}, 4, -1, 4}, {{0, 2, 3, 4}, 4, 1, 1}};
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        struct tsr_graph *g;
        struct tsr_tensor t;
        struct tsr_quant_samples s = {.rows = 5, .n_inputs = 1};
        struct tsr_quant_outputs out;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 13, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 24}, NULL, &err));
        OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){c[k].rank}, &err));
        memcpy(t.data, c[k].shape, (size_t)c[k].rank * sizeof(int64_t));
        OK(tsr_graph_add_init(g, "shape", &t, &err));
        OK(tsr_graph_add_node(g, "Reshape", "", NULL, 2, (const char *const[]){"x", "shape"}, 1, (const char *const[]){"z"}, &err));
        OK(tsr_graph_add_node(g, c[k].axis == 9 ? "Neg" : "Softmax", "", NULL, 1, (const char *const[]){"z"}, 1, (const char *const[]){"y"}, &err));
        if (c[k].axis != 9) OK(tsr_graph_attr_int(g, "axis", c[k].axis, &err));
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        white_samples(g, 5, &s.x[0]);
        OK(tsr_quant_run(g, &s, 0, 5, NULL, &out, &err));
        ck_assert_msg(out.columns == c[k].columns, "case %zu: %lld columns", k, (long long)out.columns);
        ck_assert_int_eq(out.rows, 5 * 24 / c[k].columns);
        tsr_free(out.z);
        tsr_tensor_release(&s.x[0]);
        tsr_graph_free(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/refine");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, descent);
    tcase_add_test(c, zeros_stay);
    tcase_add_test(c, patches);
    tcase_add_test(c, rounding_helps);
    tcase_add_test(c, equal_channels);
    tcase_add_test(c, budgets);
    tcase_add_test(c, what_is_between_goes_along);
    tcase_add_test(c, fake_is_real);
    tcase_add_test(c, short_of_memory);
    tcase_add_test(c, rows_of_outputs);
    suite_add_tcase(s, c);
    return run_suite(s);
}
