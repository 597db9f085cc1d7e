/* tessera.Attention, ai.onnx.Attention and RotaryEmbedding: against the plain formula, by finite
 * differences, and the strided forms against each other. */
#include "optest.h"

enum { B = 2, H = 3, T = 5, S = 4, D = 3, DV = 2 };

/* softmax(scale * Q K' + mask) V for contiguous [B,H,T,D] doubles; limit[i] keys for row i. */
static void plain(const double *q, const double *k, const double *v, const double *mask, double scale, bool causal, double *y)
{
    for (int bh = 0; bh < B * H; bh++)
        for (int t = 0; t < T; t++) {
            double p[S], sum = 0;
            for (int s = 0; s < S; s++) {
                double dot = 0;
                for (int d = 0; d < D; d++) dot += q[(bh * T + t) * D + d] * k[(bh * S + s) * D + d];
                p[s] = causal && s > t ? 0 : exp(scale * dot + (mask ? mask[t * S + s] : 0));
                sum += p[s];
            }
            for (int d = 0; d < DV; d++) {
                double o = 0;
                for (int s = 0; s < S; s++) o += p[s] / sum * v[(bh * S + s) * DV + d];
                y[(bh * T + t) * DV + d] = o;
            }
        }
}

static void values(const struct tsr_tensor *t, double *to)
{
    for (int64_t i = 0; i < tsr_tensor_count(t); i++) to[i] = tsr_load_f64(t->dtype, t->data, i);
}

START_TEST(formula)
{
    for (int mode = 0; mode < 4; mode++) {
        struct optest t;
        double q[B * H * T * D], k[B * H * S * D], v[B * H * S * DV], m[T * S], y[B * H * T * DV];
        bool causal = mode & 1, mask = mode & 2;
        ot_init_domain(&t, "Attention", "tessera", 1);
        ot_float(&t, "scale", 0.75);
        if (causal) ot_int(&t, "causal", 1);
        ot_in_random(&t, TSR_F32, OT_S(B, H, T, D), -1, 1);
        ot_in_random(&t, TSR_F32, OT_S(B, H, S, D), -1, 1);
        ot_in_random(&t, TSR_F32, OT_S(B, H, S, DV), -1, 1);
        if (mask) ot_in_random(&t, TSR_F32, OT_S(T, S), -1, 1);
        values(&t.in[0], q), values(&t.in[1], k), values(&t.in[2], v);
        if (mask) values(&t.in[3], m);
        plain(q, k, v, mask ? m : NULL, 0.75, causal, y);
        ot_run(&t);
        ot_expect(&t, 0, OT_S(B, H, T, DV), y, 1e-6);
        ot_check_all(&t, 2e-6);
        ot_free(&t);
    }
}
END_TEST

/* More than one block of rows, sizes that fill no vector. */
START_TEST(long_sequences)
{
    for (int causal = 0; causal < 2; causal++) {
        struct optest t;
        ot_init_domain(&t, "Attention", "tessera", 1);
        ot_int(&t, "causal", causal);
        ot_in_random(&t, TSR_F32, OT_S(1, 2, 150, 5), -2, 2);
        ot_in_random(&t, TSR_F32, OT_S(1, 2, 70, 5), -2, 2);
        ot_in_random(&t, TSR_F32, OT_S(1, 2, 70, 7), -2, 2);
        ot_float_agrees(&t, 5e-6);
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
END_TEST

/* Axes in other orders, a transposed K, and everything packed in one tensor: the same numbers. */
START_TEST(strides)
{
    struct optest a, b;
    ot_init_domain(&a, "Attention", "tessera", 1);
    ot_in_random(&a, TSR_F32, OT_S(B, T, 3, H, D), -1, 1);
    ot_int(&a, "packed", 2);
    ot_ints(&a, "parts", 3, 2, 0, 1);
    ot_ints(&a, "axes_q", 4, 0, 3, 1, 4);
    ot_ints(&a, "axes_y", 4, 0, 2, 1, 3);
    ot_check_all(&a, 2e-6);
    ot_run(&a);
    ot_expect_shape(&a, 0, TSR_F32, OT_S(B, T, H, D));

    ot_init_domain(&b, "Attention", "tessera", 1); /* a fourth slice that nobody uses */
    ot_in_random(&b, TSR_F32, OT_S(4, B, T, H, D), -1, 1);
    ot_int(&b, "packed", 0);
    ot_ints(&b, "parts", 3, 3, 0, 1);
    ot_ints(&b, "axes_q", 4, 1, 3, 2, 4);
    ot_check_all(&b, 2e-6);
    ot_free(&b);

    ot_init_domain(&b, "Attention", "tessera", 1);
    struct tsr_tensor *q = ot_in_new(&b, TSR_F32, OT_S(B, H, T, D)), *k = ot_in_new(&b, TSR_F32, OT_S(B, H, D, T));
    struct tsr_tensor *v = ot_in_new(&b, TSR_F32, OT_S(B, T, H, D));
    ot_ints(&b, "axes_k", 4, 0, 1, 3, 2);
    ot_ints(&b, "axes_v", 4, 0, 2, 1, 3);
    const float *x = a.in[0].data;
    for (int n = 0; n < B; n++)
        for (int t = 0; t < T; t++)
            for (int h = 0; h < H; h++)
                for (int d = 0; d < D; d++) {
                    ((float *)q->data)[((n * H + h) * T + t) * D + d] = x[(((n * T + t) * 3 + 2) * H + h) * D + d];
                    ((float *)k->data)[((n * H + h) * D + d) * T + t] = x[(((n * T + t) * 3 + 0) * H + h) * D + d];
                    ((float *)v->data)[((n * T + t) * H + h) * D + d] = x[(((n * T + t) * 3 + 1) * H + h) * D + d];
                }
    ot_run(&b);
    const float *ya = a.out[0].data, *yb = b.out[0].data;
    for (int n = 0; n < B; n++)
        for (int t = 0; t < T; t++)
            for (int h = 0; h < H; h++)
                for (int d = 0; d < D; d++)
                    ck_assert(fabsf(ya[((n * T + t) * H + h) * D + d] - yb[((n * H + h) * T + t) * D + d]) < 1e-6f);
    ot_check_all(&b, 2e-6);
    ot_free(&a);
    ot_free(&b);
}
END_TEST

/* Where P was too large to keep, backward computes it again: the same gradients. */
START_TEST(recomputed)
{
    struct optest t;
    ot_init_domain(&t, "Attention", "tessera", 1);
    ot_int(&t, "causal", 1);
    for (int i = 0; i < 3; i++) ot_in_random(&t, TSR_F32, OT_S(2, 2, 100, 6), -2, 2);
    ot_load(&t, TSR_NONE);
    OT_DONE(&t, ot_forward(&t, true));
    OT_DONE(&t, ot_backward(&t));
    struct tsr_tensor kept[3];
    memcpy(kept, t.gin, sizeof kept);
    memset(t.gin, 0, sizeof kept);
    tsr_tensor_release(&t.saved[0]);
    OT_DONE(&t, ot_backward(&t));
    for (int i = 0; i < 3; i++) {
        ck_assert(ot_same_bytes(&kept[i], &t.gin[i]));
        tsr_tensor_release(&kept[i]);
    }
    ot_free(&t);
}
END_TEST

/* Grouped heads, flat inputs, a cache, causal order, softcap and masks in combination. */
START_TEST(onnx_forms)
{
    for (int form = 0; form < 16; form++) {
        struct optest t;
        bool flat = form & 1, past = form & 2, causal = form & 4, cap = form & 8;
        ot_init(&t, "Attention", 24);
        t.n_out = 3;
        ot_int(&t, "q_num_heads", 4);
        ot_int(&t, "kv_num_heads", 2);
        ot_int(&t, "is_causal", causal);
        if (cap) ot_float(&t, "softcap", 0.5);
        ot_in_random(&t, TSR_F32, flat ? OT_S(2, 3, 4 * D) : OT_S(2, 4, 3, D), -1, 1);
        ot_in_random(&t, TSR_F32, flat ? OT_S(2, S, 2 * D) : OT_S(2, 2, S, D), -1, 1);
        ot_in_random(&t, TSR_F32, flat ? OT_S(2, S, 2 * DV) : OT_S(2, 2, S, DV), -1, 1);
        if (form % 3 == 0) ot_in_random(&t, TSR_F32, OT_S(4, 3, past ? 6 : S), -1, 1);
        else if (form % 3 == 1) ot_in_random(&t, TSR_F32, OT_S(2, 1, 3, 3), -1, 1); /* short: the rest is hidden */
        else ot_in_absent(&t);
        if (past) {
            ot_in_random(&t, TSR_F32, OT_S(2, 2, 2, D), -1, 1);
            ot_in_random(&t, TSR_F32, OT_S(2, 2, 2, DV), -1, 1);
        }
        if (form == 4) t.skip_out[1] = t.skip_out[2] = true;
        ot_check_all(&t, 5e-6);
        ot_free(&t);
    }
}
END_TEST

START_TEST(masks_and_trace)
{
    struct optest t;
    ot_init(&t, "Attention", 24);
    ot_int(&t, "qk_matmul_output_mode", 3);
    t.skip_out[1] = t.skip_out[2] = true;
    t.zero_gout[3] = true;
    ot_in(&t, TSR_F32, OT_S(1, 1, 3, 1), OT_V(1, 2, 3));
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 1), OT_V(1, -1));
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 1), OT_V(10, 20));
    ot_in(&t, TSR_BOOL, OT_S(3, 2), OT_V(1, 0, 0, 0, 1, 1));
    ot_run(&t);
    double p = 1 / (1 + exp(-6.0));
    ot_expect(&t, 3, OT_S(1, 1, 3, 2), OT_V(1, 0, 0, 0, p, 1 - p), 1e-6);
    ot_expect(&t, 0, OT_S(1, 1, 3, 1), OT_V(10, 0, 10 * p + 20 * (1 - p)), 1e-6);
    ot_gradcheck(&t);
    ot_free(&t);

    for (int mode = 0; mode < 3; mode++) {
        ot_init(&t, "Attention", 24);
        ot_int(&t, "qk_matmul_output_mode", mode);
        ot_int(&t, "is_causal", 1);
        ot_float(&t, "softcap", 2);
        t.skip_out[1] = t.skip_out[2] = true;
        ot_in(&t, TSR_F32, OT_S(1, 1, 2, 1), OT_V(1, 2));
        ot_in(&t, TSR_F32, OT_S(1, 1, 2, 1), OT_V(1, -1));
        ot_in(&t, TSR_F32, OT_S(1, 1, 2, 1), OT_V(10, 20));
        ot_run(&t);
        double a = 2 * tanh(0.5), b = 2 * tanh(1.0);
        const double want[3][4] = {{1, -1, 2, -2}, {a, -a, b, -b}, {a, -INFINITY, b, -b}};
        ot_expect(&t, 3, OT_S(1, 1, 2, 2), want[mode], 1e-6);
        ot_free(&t);
    }

    /* Padded keys: the first sample has one key, the second none. */
    ot_init(&t, "Attention", 24);
    t.n_out = 1;
    ot_in(&t, TSR_F32, OT_S(2, 1, 1, 1), OT_V(1, 2));
    ot_in(&t, TSR_F32, OT_S(2, 1, 2, 1), OT_V(1, -1, 1, 1));
    ot_in(&t, TSR_F32, OT_S(2, 1, 2, 1), OT_V(10, 20, 30, 40));
    for (int i = 0; i < 3; i++) ot_in_absent(&t);
    ot_in_i64(&t, OT_S(2), OT_I(1, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 1, 1, 1), OT_V(10, 0), 1e-6);
    ot_gradcheck(&t);
    ot_free(&t);
}
END_TEST

START_TEST(rotary)
{
    struct optest t;
    ot_init(&t, "RotaryEmbedding", 23);
    ot_in(&t, TSR_F32, OT_S(1, 1, 1, 4), OT_V(1, 2, 3, 4));
    ot_in(&t, TSR_F32, OT_S(1, 1, 2), OT_V(0.5, 0.25));
    ot_in(&t, TSR_F32, OT_S(1, 1, 2), OT_V(2, 3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 4), OT_V(0.5 - 6, 0.5 - 12, 2 + 1.5, 6 + 1), 1e-6);
    ot_int(&t, "interleaved", 1);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 4), OT_V(0.5 - 4, 2 + 1, 0.75 - 12, 9 + 1), 1e-6);
    ot_free(&t);
    for (int form = 0; form < 8; form++) {
        bool flat = form & 1, ids = form & 2, part = form & 4;
        ot_init(&t, "RotaryEmbedding", 23);
        ot_int(&t, "num_heads", 3);
        ot_int(&t, "interleaved", form & 1);
        if (part) ot_int(&t, "rotary_embedding_dim", 2);
        int64_t pairs = part ? 1 : 2;
        ot_in_random(&t, TSR_F32, flat ? OT_S(2, 5, 12) : OT_S(2, 3, 5, 4), -1, 1);
        for (int i = 0; i < 2; i++) ot_in_random(&t, TSR_F32, ids ? OT_S(6, pairs) : OT_S(2, 5, pairs), -1, 1);
        if (ids) ot_in_i64(&t, OT_S(2, 5), OT_I(0, 1, 2, 3, 4, 5, 5, 1, 0, 2));
        ot_check_all(&t, 1e-6);
        ot_free(&t);
    }
    ot_init(&t, "RotaryEmbedding", 23);
    ot_in_random(&t, TSR_F32, OT_S(1, 1, 1, 4), -1, 1);
    for (int i = 0; i < 2; i++) ot_in_random(&t, TSR_F32, OT_S(3, 2), -1, 1);
    ot_in_i64(&t, OT_S(1, 1), OT_I(3));
    ot_fails(&t, TSR_E_MISMATCH, "position 3");
    ot_free(&t);
}
END_TEST

/* tessera.Linear, the other operator that only the fusion pass makes. */
START_TEST(linear)
{
    for (int form = 0; form < 4; form++) {
        struct optest t;
        bool trans = form & 1, relu = form & 2;
        ot_init_domain(&t, "Linear", "tessera", 1);
        ot_int(&t, "transB", trans);
        if (relu) ot_string(&t, "activation", "Relu");
        ot_in_random(&t, TSR_F32, OT_S(2, 3, 5), -1, 1);
        ot_in_random(&t, TSR_F32, trans ? OT_S(4, 5) : OT_S(5, 4), -1, 1);
        ot_in_random(&t, TSR_F32, OT_S(4), -1, 1);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_F32, OT_S(2, 3, 4));
        const float *x = t.in[0].data, *w = t.in[1].data, *b = t.in[2].data, *y = t.out[0].data;
        for (int m = 0; m < 6; m++)
            for (int n = 0; n < 4; n++) {
                double sum = (double)b[n];
                for (int k = 0; k < 5; k++) sum += (double)x[m * 5 + k] * (double)w[trans ? n * 5 + k : k * 4 + n];
                if (relu && sum < 0) sum = 0;
                ck_assert(fabs(sum - (double)y[m * 4 + n]) < 1e-6);
            }
        ot_check_all(&t, 2e-6);
        ot_free(&t);
    }
}
END_TEST

/* tessera.BatchNormalization with its activation, statistics given or of the batch. */
START_TEST(batchnorm_activation)
{
    for (int form = 0; form < 16; form++) {
        struct optest t;
        bool plane = form & 4, no_dx = form & 8;
        ot_init_domain(&t, "BatchNormalization", "tessera", 1);
        ot_string(&t, "activation", form & 1 ? "Relu" : "Gelu");
        ot_float(&t, "momentum", 1); /* the running statistics stay: every run sees the same */
        t.train_stats = form & 2;
        t.no_grad[0] = no_dx;
        t.no_grad[3] = t.no_grad[4] = t.train_stats;
        ot_in_random(&t, TSR_F32, plane ? OT_S(3, 2, 5) : OT_S(7, 3), -2, 2);
        for (int i = 0; i < 4; i++) ot_in_random(&t, TSR_F32, plane ? OT_S(2) : OT_S(3), 0.5, 1.5);
        ot_check_all(&t, 5e-6);
        ot_free(&t);
    }
}
END_TEST

START_TEST(refusals)
{
    struct optest t;
    ot_init_domain(&t, "Attention", "tessera", 1);
    for (int i = 0; i < 3; i++) ot_in_random(&t, TSR_F32, OT_S(1, 2, 3, i == 1 ? 5 : 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "fit together");
    ot_free(&t);
    ot_init(&t, "Attention", 23);
    for (int i = 0; i < 3; i++) ot_in_random(&t, TSR_F32, OT_S(1, 3, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "number of heads");
    ot_free(&t);
}
END_TEST

START_TEST(empty)
{
    for (int which = 0; which < 3; which++) {
        struct optest t;
        int64_t b = which == 0 ? 0 : 2, q = which == 1 ? 0 : 3, k = which == 2 ? 0 : 3;
        ot_init(&t, "Attention", 24);
        t.n_out = 1;
        ot_in_random(&t, TSR_F32, OT_S(b, 2, q, 4), -1, 1);
        for (int i = 0; i < 2; i++) ot_in_random(&t, TSR_F32, OT_S(b, 2, k, 4), -1, 1);
        ot_check_all(&t, 1e-6);
        const double zeros[48] = {0};
        ot_run(&t);
        if (which == 2) ot_expect(&t, 0, OT_S(2, 2, 3, 4), zeros, 0);
        ot_free(&t);
    }
}
END_TEST

START_TEST(memory)
{
    struct optest t;
    ot_init(&t, "Attention", 24);
    t.n_out = 3;
    ot_float(&t, "softcap", 1);
    for (int i = 0; i < 3; i++) ot_in_random(&t, TSR_F32, OT_S(1, 2, 3, 4), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 5), -1, 1);
    for (int i = 0; i < 2; i++) ot_in_random(&t, TSR_F32, OT_S(1, 2, 2, 4), -1, 1);
    ot_memory_torture(&t);
    ot_free(&t);
    ot_init_domain(&t, "Attention", "tessera", 1);
    for (int i = 0; i < 3; i++) ot_in_random(&t, TSR_F32, OT_S(1, 2, 3, 4), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 3), -1, 1);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/attention");
    TCase *c = tcase_create("attention");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, formula);
    tcase_add_test(c, long_sequences);
    tcase_add_test(c, strides);
    tcase_add_test(c, recomputed);
    tcase_add_test(c, onnx_forms);
    tcase_add_test(c, masks_and_trace);
    tcase_add_test(c, rotary);
    tcase_add_test(c, linear);
    tcase_add_test(c, batchnorm_activation);
    tcase_add_test(c, refusals);
    tcase_add_test(c, empty);
    tcase_add_test(c, memory);
    suite_add_tcase(s, c);
    return ot_main(s);
}
