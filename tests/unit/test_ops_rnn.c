/* RNN, GRU and LSTM against values worked out by hand, against themselves in other layouts,
 * and by finite differences through time. */
#include "optest.h"

#include "ops/rnn.h"

enum { T = 4, B = 3, I = 2, H = 3 };

struct shape_of {
    const char *op, *direction;
    int layout, gates;
    bool bias, state, lens, peep;
};

static void build(struct optest *t, const struct shape_of *s, double scale)
{
    const int64_t D = strcmp(s->direction, "bidirectional") == 0 ? 2 : 1, G = s->gates;
    ot_init(t, s->op, 14);
    ot_int(t, "hidden_size", H);
    ot_string(t, "direction", s->direction);
    ot_int(t, "layout", s->layout);
    ot_in_random(t, TSR_F32, s->layout ? OT_S(B, T, I) : OT_S(T, B, I), -scale, scale);
    ot_in_random(t, TSR_F32, OT_S(D, G * H, I), -scale, scale);
    ot_in_random(t, TSR_F32, OT_S(D, G * H, H), -scale, scale);
    if (s->bias) ot_in_random(t, TSR_F32, OT_S(D, 2 * G * H), -scale, scale);
    else ot_in_absent(t);
    if (s->lens) ot_in(t, TSR_I32, OT_S(B), OT_V(3, 0, 4));
    else ot_in_absent(t);
    int states = s->state ? (G == 4 ? 2 : 1) : 0;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && G != 4) break;
        if (i < states) ot_in_random(t, TSR_F32, s->layout ? OT_S(B, D, H) : OT_S(D, B, H), -1, 1);
        else ot_in_absent(t);
    }
    if (s->peep) ot_in_random(t, TSR_F32, OT_S(D, 3 * H), -scale, scale);
}

static const struct {
    const char *op;
    int gates;
} cells[] = {{"RNN", 1}, {"GRU", 3}, {"LSTM", 4}};
static const char *const directions[] = {"forward", "reverse", "bidirectional"};

START_TEST(gradients)
{
    int layout = _i & 1, lens = _i >> 1 & 1;
    for (size_t c = 0; c < 3; c++)
        for (size_t d = 0; d < 3; d++)
            for (int lbr = 0; lbr <= (cells[c].gates == 3); lbr++) {
                struct optest t;
                struct shape_of s = {cells[c].op, directions[d], layout, cells[c].gates, true, true, lens, false};
                build(&t, &s, 0.8);
                if (lbr) ot_int(&t, "linear_before_reset", 1);
                ot_check_all(&t, 2e-6);
                ot_free(&t);
            }
}
END_TEST

START_TEST(optional_parts)
{
    for (size_t c = 0; c < 3; c++)
        for (int mask = 0; mask < 8; mask++) {
            struct optest t;
            struct shape_of s = {cells[c].op, "bidirectional", 0, cells[c].gates, false, false, false, false};
            build(&t, &s, 0.8);
            for (int i = 0; i < 3; i++) t.zero_gout[i] = mask >> i & 1; /* backward without it */
            if (mask == 7) t.zero_gout[0] = false;
            ot_gradcheck(&t);
            memset(t.zero_gout, 0, sizeof t.zero_gout);
            for (int i = 0; i < 3; i++) t.skip_out[i] = mask >> i & 1; /* not even made */
            if (mask == 7 || (c < 2 && (mask & 3) == 3)) t.skip_out[0] = false;
            ot_check_all(&t, 2e-6);
            ot_free(&t);
        }
}
END_TEST

/* Every activation with parameters, peepholes, clipping and the coupled gate. */
START_TEST(activations)
{
    static const char *const names[] = {"Sigmoid", "Tanh",       "relu",        "Affine",      "LeakyRelu", "ThresholdedRelu",
                                        "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t c = 0; c < 3; c++) {
            struct optest t;
            struct shape_of s = {cells[c].op, "reverse", 0, cells[c].gates, true, true, false, cells[c].gates == 4};
            build(&t, &s, 0.7);
            if (c == 0) ot_strings(&t, "activations", 1, names[n]);
            if (c == 1) ot_strings(&t, "activations", 2, names[n], names[n]);
            if (c == 2) ot_strings(&t, "activations", 3, names[n], "Tanh", names[n]);
            ot_floats(&t, "activation_alpha", 2, 0.3, 0.4);
            ot_floats(&t, "activation_beta", 2, 0.6, 0.5);
            ot_gradcheck(&t);
            ot_float_agrees(&t, 5e-6);
            ot_free(&t);
        }
}
END_TEST

START_TEST(clip_and_coupling)
{
    for (int coupled = 0; coupled < 2; coupled++)
        for (size_t c = 0; c < 3; c++) {
            struct optest t;
            struct shape_of s = {cells[c].op, "bidirectional", 1, cells[c].gates, true, true, true, cells[c].gates == 4};
            build(&t, &s, 0.9);
            ot_float(&t, "clip", 0.61);
            ot_int(&t, "input_forget", coupled);
            ot_gradcheck(&t);
            ot_float_agrees(&t, 5e-6);
            ot_free(&t);
        }
}
END_TEST

static double sg(double x) { return 1 / (1 + exp(-x)); }

/* One unit, one input, two steps: the formulas spelt out. */
START_TEST(by_hand)
{
    struct optest t;
    ot_init(&t, "LSTM", 7);
    ot_in(&t, TSR_F32, OT_S(2, 1, 1), OT_V(1, -2));
    ot_in(&t, TSR_F32, OT_S(1, 4, 1), OT_V(0.5, 0.25, -0.5, 1));
    ot_in(&t, TSR_F32, OT_S(1, 4, 1), OT_V(0.125, -1, 0.75, 0.5));
    ot_in(&t, TSR_F32, OT_S(1, 8), OT_V(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8));
    double x[2] = {1, -2}, h = 0, c = 0, y[2];
    for (int s = 0; s < 2; s++) {
        double i = sg(0.5 * x[s] + 0.125 * h + 0.6), o = sg(0.25 * x[s] - h + 0.8), f = sg(-0.5 * x[s] + 0.75 * h + 1.0);
        c = f * c + i * tanh(x[s] + 0.5 * h + 1.2);
        y[s] = h = o * tanh(c);
    }
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 1, 1, 1), y, 1e-6);
    ot_expect(&t, 1, OT_S(1, 1, 1), OT_V(h), 1e-6);
    ot_expect(&t, 2, OT_S(1, 1, 1), OT_V(c), 1e-6);
    ot_free(&t);

    for (int lbr = 0; lbr < 2; lbr++) {
        ot_init(&t, "GRU", 7);
        ot_int(&t, "linear_before_reset", lbr);
        ot_in(&t, TSR_F32, OT_S(2, 1, 1), OT_V(1, -2));
        ot_in(&t, TSR_F32, OT_S(1, 3, 1), OT_V(0.5, 0.25, -0.5));
        ot_in(&t, TSR_F32, OT_S(1, 3, 1), OT_V(0.125, -1, 0.75));
        ot_in(&t, TSR_F32, OT_S(1, 6), OT_V(0.1, 0.2, 0.3, 0.4, 0.5, 0.6));
        h = 0;
        for (int s = 0; s < 2; s++) {
            double z = sg(0.5 * x[s] + 0.125 * h + 0.5), r = sg(0.25 * x[s] - h + 0.7);
            double rec = lbr ? r * (0.75 * h + 0.6) : 0.75 * r * h + 0.6;
            y[s] = h = (1 - z) * tanh(-0.5 * x[s] + rec + 0.3) + z * h;
        }
        ot_run(&t);
        ot_expect(&t, 0, OT_S(2, 1, 1, 1), y, 1e-6);
        ot_free(&t);
    }
}
END_TEST

/* A shorter sequence gives what it would give alone, zeros after it. */
START_TEST(lengths_are_those_of_each_sequence)
{
    for (size_t c = 0; c < 3; c++)
        for (size_t d = 0; d < 2; d++) {
            struct optest all, one;
            struct shape_of s = {cells[c].op, directions[d], 1, cells[c].gates, true, false, true, false};
            build(&all, &s, 1);
            ot_run(&all);
            ot_init(&one, cells[c].op, 14);
            ot_string(&one, "direction", directions[d]);
            ot_int(&one, "layout", 1);
            ot_in(&one, TSR_F32, OT_S(1, 3, I), OT_V(0, 0, 0, 0, 0, 0));
            memcpy(one.in[0].data, all.in[0].data, 3 * I * sizeof(float));
            for (int i = 1; i < 4; i++) one.in[one.n_in++] = tsr_tensor_share(&all.in[i]);
            ot_run(&one);
            const float *a = all.out[0].data, *b = one.out[0].data;
            for (int i = 0; i < T * H; i++) ck_assert(a[i] == (i < 3 * H ? b[i] : 0.0f));
            for (int i = 0; i < T * H; i++) ck_assert(a[T * H + i] == 0.0f); /* length 0 */
            ck_assert_mem_eq(all.out[1].data, one.out[1].data, H * sizeof(float));
            ot_free(&all);
            ot_free(&one);
        }
}
END_TEST

/* More rows than one chunk and more units than one vector. */
START_TEST(larger_sizes)
{
    static const int64_t units[] = {1, 17, 40};
    for (size_t c = 0; c < 3; c++)
        for (size_t u = 0; u < 3; u++) {
            struct optest t;
            int64_t n = units[u], g = cells[c].gates;
            ot_init(&t, cells[c].op, 14);
            ot_string(&t, "direction", "bidirectional");
            ot_int(&t, "linear_before_reset", u & 1);
            ot_in_random(&t, TSR_F32, OT_S(9, 70, 11), -1, 1);
            ot_in_random(&t, TSR_F32, OT_S(2, g * n, 11), -0.4, 0.4);
            ot_in_random(&t, TSR_F32, OT_S(2, g * n, n), -0.4, 0.4);
            ot_in_random(&t, TSR_F32, OT_S(2, 2 * g * n), -0.4, 0.4);
            ot_float_agrees(&t, 1e-5);
            ot_threads_agree(&t);
            ot_free(&t);
        }
}
END_TEST

/* The vector kernels of every instruction set give the same bits. */
START_TEST(kernels_agree)
{
    enum { N = 3, U = 37 };
    static float a[2][N * 4 * U], bias[4 * U], cp[N * U], c[2][N * U], t[2][N * U], h[2][N * U];
    struct tsr_rng r;
    for (int level = 1; level <= 2; level++) {
        const struct tsr_rnn_fast *k[2] = {tsr_rnn_fast_kernels(0), tsr_rnn_fast_kernels(level)};
        ck_assert(k[0] != NULL);
        if (!k[1]) continue;
        for (int v = 0; v < 2; v++) {
            tsr_rng_init(&r, 5, 1);
            for (int i = 0; i < N * 4 * U; i++) a[v][i] = 4 * tsr_rng_normal(&r);
            for (int i = 0; i < 4 * U; i++) bias[i] = tsr_rng_normal(&r);
            for (int i = 0; i < N * U; i++) cp[i] = tsr_rng_normal(&r);
            a[v][0] = NAN, a[v][1] = INFINITY, a[v][2] = -INFINITY, a[v][3 * U + 1] = 300, a[v][3 * U + 2] = -300;
            k[v]->lstm_forward(N, U, a[v], bias, cp, c[v], t[v], h[v]);
        }
        ck_assert(isnan(h[0][0]) && isfinite(h[0][1]) && isfinite(h[0][2]));
        for (int i = 1; i < N * U; i++) ck_assert(h[0][i] == h[1][i] && c[0][i] == c[1][i] && t[0][i] == t[1][i]);
        for (int i = 1; i < N * 4 * U; i++) ck_assert(a[0][i] == a[1][i]);
    }
}
END_TEST

START_TEST(refusals)
{
    struct optest t;
    struct shape_of s = {"LSTM", "forward", 0, 4, true, false, true, false};
    build(&t, &s, 1);
    ((int32_t *)t.in[4].data)[0] = 5;
    ot_fails(&t, TSR_E_MISMATCH, "sequence_lens[0] is 5");
    ot_free(&t);
    s.lens = false;
    build(&t, &s, 1);
    ot_strings(&t, "activations", 2, "Tanh", "Tanh");
    ot_fails(&t, TSR_E_CORRUPT, "activations");
    ot_free(&t);
    build(&t, &s, 1);
    ot_strings(&t, "activations", 3, "Tanh", "Swish", "Tanh");
    ot_fails(&t, TSR_E_UNSUPPORTED, "Swish");
    ot_free(&t);
    build(&t, &s, 1);
    t.in[1].shape.dim[1] -= 4;
    ot_fails(&t, TSR_E_MISMATCH, "input W has shape");
    ot_free(&t);
    s.direction = "sideways";
    build(&t, &s, 1);
    ot_fails(&t, TSR_E_CORRUPT, "sideways");
    ot_free(&t);
}
END_TEST

/* No steps: the initial state is the final one; no samples: nothing at all. */
START_TEST(empty)
{
    for (size_t c = 0; c < 3; c++)
        for (int which = 0; which < 2; which++) {
            struct optest t;
            const int64_t G = cells[c].gates, steps = which ? 2 : 0, batch = which ? 0 : 2;
            ot_init(&t, cells[c].op, 14);
            ot_in_random(&t, TSR_F32, OT_S(steps, batch, I), -1, 1);
            ot_in_random(&t, TSR_F32, OT_S(1, G * H, I), -1, 1);
            ot_in_random(&t, TSR_F32, OT_S(1, G * H, H), -1, 1);
            ot_in_random(&t, TSR_F32, OT_S(1, 2 * G * H), -1, 1);
            ot_in_absent(&t);
            ot_in_random(&t, TSR_F32, OT_S(1, batch, H), -1, 1);
            ot_run(&t);
            ck_assert_int_eq(tsr_tensor_count(&t.out[0]), 0);
            ck_assert(ot_same_bytes(&t.out[1], &t.in[5]));
            ot_check_all(&t, 1e-6);
            ot_free(&t);
        }
}
END_TEST

START_TEST(memory)
{
    struct optest t;
    struct shape_of s = {"LSTM", "bidirectional", 1, 4, true, true, true, true};
    build(&t, &s, 1);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

enum { QT = 5, QB = 37, QI = 12, QH = 9 };

/* An operator on integers, with a scale for each row of W or one, and the one on the floats that they stand for. */
static void build_integers(struct optest *q, struct optest *f, int cell, int64_t D, bool rows)
{
    const int64_t n = cells[cell].gates * QH;
    ot_init_domain(q, cells[cell].op, "tessera", 1);
    ot_string(q, "direction", D == 2 ? "bidirectional" : "reverse");
    ot_in_random(q, TSR_U8, OT_S(QT, QB, QI), 0, 256);
    ot_in_random(q, TSR_I8, OT_S(D, n, QI), -127, 128);
    ot_in_random(q, TSR_F32, OT_S(D, n, QH), -0.4, 0.4);
    ot_in_random(q, TSR_F32, OT_S(D, 2 * n), -0.4, 0.4);
    for (int i = 0; i < 4; i++) ot_in_absent(q);
    ot_in(q, TSR_F32, OT_SCALAR, OT_V(0.011));
    ot_in(q, TSR_U8, OT_SCALAR, OT_V(117));
    ot_in_random(q, TSR_F32, rows ? OT_S(n) : OT_SCALAR, 0.002, 0.006);
    if (f == NULL) return;
    ot_init(f, cells[cell].op, 14);
    ot_string(f, "direction", D == 2 ? "bidirectional" : "reverse");
    struct tsr_tensor *x = ot_in_new(f, TSR_F32, OT_S(QT, QB, QI)), *w = ot_in_new(f, TSR_F32, OT_S(D, n, QI));
    for (int64_t i = 0; i < QT * QB * QI; i++)
        tsr_store_f64(x->dtype, x->data, i, ((double)tsr_load_i64(TSR_U8, q->in[0].data, i) - 117) * (double)0.011f);
    for (int64_t i = 0; i < D * n * QI; i++)
        tsr_store_f64(w->dtype, w->data, i, (double)tsr_load_i64(TSR_I8, q->in[1].data, i) *
                                                tsr_load_f64(q->in[10].dtype, q->in[10].data, rows ? i / QI % n : 0));
    for (int i = 2; i < 4; i++) {
        struct tsr_tensor *t = ot_in_new(f, TSR_F32, q->in[i].shape);
        for (int64_t k = 0; k < tsr_tensor_count(t); k++)
            tsr_store_f64(t->dtype, t->data, k, tsr_load_f64(q->in[i].dtype, q->in[i].data, k));
    }
}

START_TEST(integers)
{
    for (int c = 0; c < 3; c++)
        for (int form = 0; form < 4; form++) {
            struct optest q, f;
            struct tsr_tensor first = {0};
            build_integers(&q, &f, c, 1 + form % 2, form & 2);
            ot_run(&f);
            for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) { /* all kernels: the same bytes */
                if (!tsr_qgemm_kernel_runs(k)) continue;
                ck_assert(tsr_qgemm_use(tsr_qgemm_kernel_name(k), &q.err) == TSR_OK);
                ot_run(&q);
                ot_agree(&q, "output", 0, &q.out[0], &f.out[0], 1e-5);
                if (first.data == NULL) ck_assert(tsr_tensor_copy(&first, &q.out[0], &q.err) == TSR_OK);
                ck_assert(ot_same_bytes(&first, &q.out[0]));
            }
            ot_threads_agree(&q);
            if (form == 3) ot_memory_torture(&q);
            tsr_tensor_release(&first);
            ot_free(&q), ot_free(&f);
        }
}
END_TEST

START_TEST(integers_refused)
{
    struct optest t;
    build_integers(&t, NULL, 2, 1, true);
    t.in[10].shape.dim[0] -= 1;
    ot_fails(&t, TSR_E_MISMATCH, "35 scales for 36 rows");
    ot_free(&t);
    build_integers(&t, NULL, 2, 1, true);
    t.in[0].shape.dim[2] = t.in[1].shape.dim[2] = 10;
    ot_fails(&t, TSR_E_UNSUPPORTED, "10 inputs");
    ot_free(&t);
    build_integers(&t, NULL, 2, 1, true);
    t.in[2].shape.dim[2] -= 1;
    ot_fails(&t, TSR_E_MISMATCH, "W has shape");
    ot_free(&t);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ops/rnn");
    TCase *c = tcase_create("rnn");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, by_hand);
    tcase_add_test(c, integers);
    tcase_add_test(c, integers_refused);
    tcase_add_loop_test(c, gradients, 0, 4);
    tcase_add_test(c, optional_parts);
    tcase_add_test(c, activations);
    tcase_add_test(c, clip_and_coupling);
    tcase_add_test(c, lengths_are_those_of_each_sequence);
    tcase_add_test(c, larger_sizes);
    tcase_add_test(c, kernels_agree);
    tcase_add_test(c, refusals);
    tcase_add_test(c, empty);
    tcase_add_test(c, memory);
    suite_add_tcase(s, c);
    return s;
}

int main(void) { return ot_main(suite()); }
