/* Proofs of integer layers: bounds that are reached, counterexamples that hold, and what cannot be proven. */
#include "quanttest.h"

static void put(struct tsr_graph *g, const char *name, enum tsr_dtype type, int rank, const int64_t *dim, const void *data)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, type, rank, dim, &err));
    memcpy(t.data, data, tsr_tensor_bytes(&t));
    OK(tsr_graph_add_init(g, name, &t, &err));
}

/* MatMulInteger of x (uint8) with w[terms, channels], whose zero points are zx and zw. */
static struct tsr_graph *product(int64_t terms, int64_t channels, const int8_t *w, uint8_t zx, int8_t zw)
{
    struct tsr_graph *g;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_U8, 2, (const int64_t[]){-1, terms}, NULL, &err));
    put(g, "w", TSR_I8, 2, (const int64_t[]){terms, channels}, w);
    put(g, "zx", TSR_U8, 0, NULL, &zx);
    put(g, "zw", TSR_I8, 0, NULL, &zw);
    OK(tsr_graph_add_node(g, "MatMulInteger", "", "layer", 4, (const char *[]){"x", "w", "zx", "zw"}, 1, (const char *[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_I32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

START_TEST(boundary)
{
    /* 255 * 127 * 66311 is below 2^31, one term more is not */
    const int64_t most = 66311;
    int8_t *w = malloc((size_t)most + 1);
    memset(w, 127, (size_t)most + 1);
    for (int64_t k = most; k <= most + 1; k++) {
        struct tsr_graph *g = product(k, 1, w, 0, 0);
        struct tsr_proof p;
        OK(tsr_prove(g, &p, &err));
        ck_assert_uint_eq(p.n, 1);
        ck_assert_int_eq(p.layer[0].highest, 255 * 127 * k);
        ck_assert_int_eq(p.layer[0].lowest, 0);
        ck_assert(p.layer[0].wraps == (k > most) && tsr_proof_layer_holds(&p.layer[0]) == (k <= most) && p.failed == (size_t)(k > most));
        ck_assert(!p.layer[0].negative && p.layer[0].ups == k && p.layer[0].downs == 0);
        tsr_proof_release(&p);
        tsr_graph_free(g);
    }
    free(w);
}
END_TEST

/* No input gives more, and some input gives as much. */
START_TEST(exact)
{
    enum { K = 9, N = 3 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct tsr_rng r;
        struct tsr_proof p;
        int8_t w[K * N];
        tsr_rng_init(&r, seed, 0);
        for (int i = 0; i < K * N; i++) w[i] = (int8_t)((int)tsr_rng_below(&r, 256) - 128);
        const int zx = (int)tsr_rng_below(&r, 256), zw = (int)tsr_rng_below(&r, 256) - 128;
        struct tsr_graph *g = product(K, N, w, (uint8_t)zx, (int8_t)zw);
        OK(tsr_prove(g, &p, &err));
        int64_t lowest = 0, highest = 0, with_witness = 0;
        for (int c = 0; c < N; c++)
            for (int code = 0; code < 1 << K; code++) { /* every input is 0 or 255 */
                int64_t sum = 0, low = 0, high = 0;
                for (int k = 0; k < K; k++) {
                    const int64_t term = ((code >> k & 1) * 255 - zx) * (w[k * N + c] - zw);
                    sum += term, low += term < 0 ? term : 0, high += term > 0 ? term : 0;
                }
                lowest = sum < lowest ? sum : lowest, highest = sum > highest ? sum : highest;
                ck_assert_int_ge(low, p.layer[0].lowest);
                ck_assert_int_le(high, p.layer[0].highest);
            }
        for (int k = 0; k < K; k++) {
            const int v = w[k * N + p.layer[0].channel] - zw;
            with_witness += (((v > 0) != p.layer[0].negative ? p.layer[0].x_hi : p.layer[0].x_lo) - zx) * (int64_t)v;
        }
        ck_assert_int_eq(lowest, p.layer[0].lowest);
        ck_assert_int_eq(highest, p.layer[0].highest);
        ck_assert_int_eq(with_witness, p.layer[0].negative ? lowest : highest);
        tsr_proof_release(&p);
        tsr_graph_free(g);
    }
}
END_TEST

/* QLinearMatMul with one weight. */
static struct tsr_graph *linear(float sx, float sw, float sy, uint8_t zy, int8_t weight, bool constant)
{
    struct tsr_graph *g;
    const uint8_t zero[1] = {3};
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_U8, 2, (const int64_t[]){-1, 1}, NULL, &err));
    put(g, "sx", TSR_F32, 0, NULL, &sx);
    put(g, "sw", TSR_F32, 0, NULL, &sw);
    put(g, "sy", TSR_F32, 0, NULL, &sy);
    put(g, "zx", TSR_U8, 0, NULL, zero);
    put(g, "zw", TSR_I8, 0, NULL, &(const int8_t){0});
    put(g, "zy", TSR_U8, 0, NULL, &zy);
    if (constant) put(g, "w", TSR_I8, 2, (const int64_t[]){1, 1}, &weight);
    else OK(tsr_graph_add_input(g, "w", TSR_I8, 2, (const int64_t[]){1, 1}, NULL, &err));
    OK(tsr_graph_add_node(g, "QLinearMatMul", "", "layer", 8, (const char *[]){"x", "sx", "zx", "w", "sw", "zw", "sy", "zy"}, 1,
                          (const char *[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_U8, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

static double output(float sx, float sw, float sy, int zy, int64_t sum)
{
    const double v = (double)rintf((float)sum * (sx * sw / sy)) + zy;
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

START_TEST(requantised)
{
    static const struct {
        float sx, sw, sy;
        bool holds;
    } c[] = {{0.1f, 0.02f, 0.3f, true},          {1e-20f, 1e-20f, 1e-36f, true},  {1e-44f, 0.3f, 2.5e-44f, false}, {1e-30f, 1e-30f, 1e-38f, true},
             {1e30f, 1e30f, 1e38f, false},       {1, 1, 1e-45f, false},           {1e-30f, 1e-16f, 1e-45f, false}, {NAN, 1, 1, false}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        for (int zy = 0; zy < 256; zy += 51) {
            struct tsr_graph *g = linear(c[i].sx, c[i].sw, c[i].sy, (uint8_t)zy, 100, true);
            struct tsr_proof p;
            OK(tsr_prove(g, &p, &err));
            const struct tsr_proof_layer *l = &p.layer[0];
            ck_assert(l->lowest == -300 && l->highest == 25200 && !l->wraps);
            ck_assert_msg(tsr_proof_layer_holds(l) == c[i].holds, "case %zu, zero point %d", i, zy);
            bool off = false; /* every sum there is */
            for (int x = 0; x < 256; x++) {
                const double wanted = rint((x - 3) * 100 * ((double)c[i].sx * (double)c[i].sw / (double)c[i].sy)) + zy, have = output(c[i].sx, c[i].sw, c[i].sy, zy, (x - 3) * 100);
                off = off || !(fabs(have - (wanted < 0 ? 0 : wanted > 255 ? 255 : wanted)) <= 1);
            }
            if (c[i].holds) ck_assert(!off && l->slack < 0.01);
            else if (c[i].sx == c[i].sx && isfinite(l->end_have))
                ck_assert(output(c[i].sx, c[i].sw, c[i].sy, zy, l->end_sum) == l->end_have && fabs(l->end_have - l->end_want) > 1);
            tsr_proof_release(&p);
            tsr_graph_free(g);
        }
}
END_TEST

START_TEST(both_change)
{
    struct tsr_graph *g = linear(0.1f, 0.1f, 1, 7, 0, false);
    struct tsr_proof p;
    OK(tsr_prove(g, &p, &err));
    ck_assert(p.n == 1 && p.failed == 0 && p.layer[0].channels == 0);
    ck_assert_int_eq(p.layer[0].terms_that_fit, INT32_MAX / (252 * 128));
    tsr_proof_release(&p);
    tsr_graph_free(g);
}
END_TEST

/* What the quantiser makes is sound, and of each kind of layer. */
START_TEST(networks)
{
    static const char *const families[] = {"mlp width=16 depth=2 classes=4 input=24", "dscnn width=16 depth=2 classes=4 input=1x16x16",
                                           "transformer width=16 depth=1 classes=4 input=6x32"};
    for (int f = 0; f < 3; f++) {
        struct tsr_graph *g, *made;
        struct tsr_quantiser *q;
        struct tsr_quantise_report report;
        struct tsr_tensor x;
        struct tsr_proof p;
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
        o.target = TSR_TARGET_XNNPACK; /* products of two activations are on the grid */
        g = zoo(families[f]);
        OK(tsr_prove(g, &p, &err));
        ck_assert(p.n == 0 && p.in_float > 0);
        tsr_proof_release(&p);
        struct tsr_shape s = g->value[g->input[0]].shape;
        s.dim[0] = 20;
        OK(tsr_tensor_zeros(&x, TSR_F32, s.rank, s.dim, &err));
        for (int64_t i = 0; i < tsr_tensor_count(&x); i++) ((float *)x.data)[i] = (float)(i * 7 % 11 - 5) / 3;
        OK(tsr_quantiser_new(g, &o, &q, &err));
        OK(tsr_quantiser_block(q, &x, 1, &err));
        OK(tsr_quantiser_finish(q, &made, &report, &err));
        OK(tsr_prove(made, &p, &err));
        ck_assert(p.n == (size_t)report.quantised && p.failed + p.in_float + p.unproven == 0);
        for (size_t i = 0; i < p.n; i++) {
            struct tsr_json *j;
            OK(tsr_proof_json(&p.layer[i], &j, &err));
            tsr_json_free(j);
        }
        tsr_proof_release(&p);
        for (long n = 1;; n++) {
            tsr_mem_fail_after(n);
            const enum tsr_status status = tsr_prove(made, &p, &err);
            tsr_mem_fail_after(0);
            tsr_proof_release(&p);
            if (status == TSR_OK) break;
            ck_assert_int_eq(status, TSR_E_NOMEM);
        }
        tsr_graph_free(made);
        tsr_quantiser_free(q);
        tsr_tensor_release(&x);
        tsr_graph_free(g);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {boundary, exact, requantised, both_change, networks};
    return run_tests("quant/prove", tests, sizeof tests / sizeof *tests);
}
