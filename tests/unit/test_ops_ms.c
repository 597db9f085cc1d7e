/* Operators of the domain com.microsoft. Values are compared with ONNX Runtime by scripts/check-ort.sh;
 * here are the gradients, what ONNX Runtime does not run on CPUs, and the tape beneath all of them. */
#include "optest.h"

#define MS(op) ot_init_domain(&t, op, "com.microsoft", 1)

static struct optest t;

static void x(struct tsr_shape s) { ot_in_random(&t, TSR_F32, s, -1, 1); }

static void i32(struct tsr_shape s, const double *v) { ot_in(&t, TSR_I32, s, v); }

static void done(void)
{
    ot_check_all(&t, 1e-5);
    ot_memory_torture(&t);
    ot_free(&t);
}

START_TEST(activations)
{
    static const struct {
        const char *op;
        int n;
        struct tsr_shape s[3];
    } c[] = {
        {"Gelu", 1, {{2, {3, 4}}}},
        {"FastGelu", 1, {{2, {3, 4}}}},
        {"FastGelu", 2, {{2, {3, 4}}, {1, {4}}}},
        {"QuickGelu", 1, {{2, {3, 4}}}},
        {"BiasGelu", 2, {{2, {3, 4}}, {1, {4}}}},
        {"BiasSplitGelu", 2, {{3, {2, 3, 4}}, {1, {4}}}},
        {"BiasAdd", 3, {{3, {2, 3, 4}}, {1, {4}}, {3, {2, 3, 4}}}},
        {"BiasSoftmax", 2, {{3, {2, 3, 4}}, {3, {1, 3, 4}}}},
    };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        MS(c[k].op);
        for (int i = 0; i < c[k].n; i++) x(c[k].s[i]);
        done();
    }
    MS("BiasSplitGelu");
    ot_in(&t, TSR_F32, OT_S(1, 4), OT_V(1, 2, 0, -1));
    ot_in(&t, TSR_F32, OT_S(4), OT_V(1, 0, 1, 1));
    ot_run(&t); /* [2, 2] times gelu([1, 0]) */
    ot_expect(&t, 0, OT_S(1, 2), OT_V(1.682689492, 0), 1e-6);
    ot_free(&t);
    MS("BiasSplitGelu");
    x(OT_S(2, 3)), x(OT_S(3));
    ot_fails(&t, TSR_E_MISMATCH, "halved");
    ot_free(&t);
    MS("BiasSoftmax"); /* over the last two dimensions as one */
    ot_in(&t, TSR_F32, OT_S(1, 2, 2), OT_V(0, 0, 0, 0));
    ot_in(&t, TSR_F32, OT_S(1, 2, 2), OT_V(0, 0, 0, M_LN2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 2, 2), OT_V(0.2, 0.2, 0.2, 0.4), 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(products)
{
    MS("FusedMatMul");
    ot_int(&t, "transA", 1), ot_int(&t, "transBatchB", 1), ot_float(&t, "alpha", 0.5F);
    x(OT_S(3, 4, 2)), x(OT_S(4, 3, 5));
    done();
    MS("FusedGemm");
    ot_int(&t, "transB", 1), ot_float(&t, "beta", 2), ot_string(&t, "activation", "Elu"), ot_float(&t, "activation_alpha", 0.5F);
    x(OT_S(3, 4)), x(OT_S(5, 4)), x(OT_S(5));
    done();
    MS("GemmFastGelu");
    x(OT_S(3, 4)), x(OT_S(4, 5)), x(OT_S(5));
    done();
    MS("FusedConv");
    ot_ints(&t, "pads", 4, 1, 1, 1, 1), ot_string(&t, "activation", "Tanh");
    x(OT_S(1, 2, 3, 3)), x(OT_S(2, 2, 3, 3)), x(OT_S(2)), x(OT_S(1, 2, 3, 3));
    done();
    MS("NhwcFusedConv");
    ot_ints(&t, "pads", 4, 1, 0, 1, 0), ot_string(&t, "activation", "Sigmoid");
    x(OT_S(1, 3, 4, 2)), x(OT_S(3, 2, 3, 2)), x(OT_S(3)), x(OT_S(1, 3, 3, 3));
    done();
    MS("NhwcConv"); /* the channels are last: each pixel is multiplied by W */
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 2), OT_V(1, 2, 3, 4));
    ot_in(&t, TSR_F32, OT_S(1, 2, 1, 1), OT_V(10, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 2, 1), OT_V(12, 34), 1e-6);
    ot_free(&t);
    MS("FusedConv");
    ot_string(&t, "activation", "Frob");
    x(OT_S(1, 2, 3, 3)), x(OT_S(2, 2, 3, 3));
    ot_fails(&t, TSR_E_UNSUPPORTED, "Frob");
    ot_free(&t);
    MS("FusedConv");
    ot_string(&t, "activation", "Clip");
    x(OT_S(1, 2, 3, 3)), x(OT_S(2, 2, 3, 3));
    ot_fails(&t, TSR_E_CORRUPT, "Clip");
    ot_free(&t);
    MS("FusedMatMul");
    x(OT_S(2, 3)), x(OT_S(4, 5));
    ot_fails(&t, TSR_E_MISMATCH, "do not fit");
    ot_free(&t);
}
END_TEST

START_TEST(norms)
{
    MS("SkipLayerNormalization");
    t.n_out = 4;
    ot_float(&t, "epsilon", 0.01F);
    for (int i = 0; i < 5; i++) x(i < 2 ? OT_S(2, 3, 4) : OT_S(4));
    done();
    MS("SkipSimplifiedLayerNormalization");
    t.skip_out[1] = true; /* there is none */
    for (int i = 0; i < 4; i++) x(i < 2 ? OT_S(2, 3, 4) : OT_S(4));
    done();
    ot_init(&t, "SimplifiedLayerNormalization", 1);
    ot_int(&t, "axis", 1);
    x(OT_S(2, 3, 4)), x(OT_S(3, 4));
    done();
    MS("EmbedLayerNormalization");
    i32(OT_S(2, 3), OT_V(0, 1, 2, 3, 4, 4)), i32(OT_S(2, 3), OT_V(0, 1, 0, 1, 1, 0));
    x(OT_S(5, 4)), x(OT_S(3, 4)), x(OT_S(2, 4)), x(OT_S(4)), x(OT_S(4));
    i32(OT_S(2, 3), OT_V(1, 1, 0, 1, 1, 1));
    ot_run(&t);
    ck_assert_int_eq(tsr_load_i64(TSR_I32, t.out[1].data, 0), 2);
    ck_assert_int_eq(tsr_load_i64(TSR_I32, t.out[1].data, 1), 3);
    done();
    for (int last = 0; last < 2; last++) {
        MS("SkipGroupNorm");
        ot_int(&t, "groups", 2), ot_int(&t, "activation", 1), ot_int(&t, "channels_last", last);
        x(last ? OT_S(2, 2, 3, 4) : OT_S(2, 4, 2, 3)), x(OT_S(4)), x(OT_S(4));
        if (last) x(OT_S(2, 4)), x(OT_S(4));
        else x(OT_S(2, 4, 2, 3));
        done();
    }
    MS("GroupNorm"); /* two groups of two channels, last in memory */
    ot_int(&t, "groups", 2), ot_float(&t, "epsilon", 0);
    ot_in(&t, TSR_F32, OT_S(1, 1, 1, 4), OT_V(1, 3, 10, 30));
    ot_in(&t, TSR_F32, OT_S(4), OT_V(1, 1, 1, 2)), ot_in(&t, TSR_F32, OT_S(4), OT_V(0, 0, 0, 5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 4), OT_V(-1, 1, -1, 7), 1e-5);
    ot_free(&t);
}
END_TEST

START_TEST(attention)
{
    MS("Attention");
    ot_int(&t, "num_heads", 2), ot_int(&t, "unidirectional", 1);
    x(OT_S(2, 3, 4)), x(OT_S(4, 12)), x(OT_S(12));
    i32(OT_S(2, 5), OT_V(1, 1, 0, 1, 1, 0, 1, 1, 1, 1));
    x(OT_S(2, 2, 2, 2, 2)), x(OT_S(1, 2, 3, 5));
    done();
    MS("MultiHeadAttention");
    ot_int(&t, "num_heads", 2);
    x(OT_S(2, 3, 4)), x(OT_S(2, 2, 4)), x(OT_S(2, 2, 6)), x(OT_S(14));
    i32(OT_S(2), OT_V(1, 2)), x(OT_S(1, 1, 3, 4)), x(OT_S(2, 2, 2, 2)), x(OT_S(2, 2, 2, 3));
    done();
    MS("GroupQueryAttention"); /* lengths that differ, a longer buffer, a window */
    ot_int(&t, "num_heads", 4), ot_int(&t, "kv_num_heads", 2), ot_int(&t, "do_rotary", 1), ot_int(&t, "local_window_size", 3);
    x(OT_S(2, 2, 8)), x(OT_S(2, 2, 4)), x(OT_S(2, 2, 4)), x(OT_S(2, 2, 6, 2)), x(OT_S(2, 2, 6, 2));
    i32(OT_S(2), OT_V(2, 3)), i32(OT_S(1), OT_V(4)), x(OT_S(6, 1)), x(OT_S(6, 1));
    done();
    MS("GroupQueryAttention");
    ot_int(&t, "num_heads", 4), ot_int(&t, "kv_num_heads", 2);
    x(OT_S(1, 2, 8)), x(OT_S(1, 2, 4)), x(OT_S(1, 2, 4)), ot_in_absent(&t), ot_in_absent(&t);
    i32(OT_S(1), OT_V(5)), i32(OT_S(1), OT_V(4));
    ot_fails(&t, TSR_E_MISMATCH, "length 6");
    ot_free(&t);
    MS("RotaryEmbedding");
    ot_int(&t, "num_heads", 2);
    x(OT_S(2, 3, 8)), ot_in_i64(&t, OT_S(1), OT_I(1)), x(OT_S(4, 2)), x(OT_S(4, 2));
    done();
}
END_TEST

/* Q, K and V side by side give what they give apart. */
START_TEST(packed)
{
    double q[12], k[12], v[12], all[36], kv[24], want[12];
    for (int i = 0; i < 12; i++) { /* one sample, 3 places, 2 heads of 2 */
        q[i] = sin(i), k[i] = cos(3 * i), v[i] = i;
        const int at = i / 2 * 6 + i % 2; /* [place][head][which][element] */
        all[at] = q[i], all[at + 2] = k[i], all[at + 4] = v[i];
        kv[i / 2 * 4 + i % 2] = k[i], kv[i / 2 * 4 + i % 2 + 2] = v[i];
    }
    for (int form = 0; form < 3; form++) {
        MS("MultiHeadAttention");
        t.n_out = 1;
        ot_int(&t, "num_heads", 2);
        if (form == 1) ot_in(&t, TSR_F32, OT_S(1, 3, 2, 3, 2), all);
        else ot_in(&t, TSR_F32, OT_S(1, 3, 4), q);
        if (form == 0) ot_in(&t, TSR_F32, OT_S(1, 3, 4), k), ot_in(&t, TSR_F32, OT_S(1, 3, 4), v);
        if (form == 2) ot_in(&t, TSR_F32, OT_S(1, 3, 2, 2, 2), kv);
        ot_run(&t);
        for (int i = 0; form == 0 && i < 12; i++) want[i] = tsr_load_f64(TSR_F32, t.out[0].data, i);
        ot_expect(&t, 0, OT_S(1, 3, 4), want, 1e-6);
        ot_free(&t);
    }
    MS("MultiHeadAttention");
    ot_int(&t, "num_heads", 2);
    x(OT_S(1, 3, 4)), x(OT_S(1, 3, 4));
    ot_fails(&t, TSR_E_CORRUPT, "missing");
    ot_free(&t);
    MS("MultiHeadAttention");
    ot_int(&t, "num_heads", 3);
    x(OT_S(1, 3, 4)), x(OT_S(1, 3, 4)), x(OT_S(1, 3, 4));
    ot_fails(&t, TSR_E_MISMATCH, "3 heads");
    ot_free(&t);
}
END_TEST

/* T5's buckets for 8 of them and distances up to 16: 0 1 then one for 2-3, 4-5 (both ways: 4 each way). */
START_TEST(relative_positions)
{
    double table[8];
    for (int i = 0; i < 8; i++) table[i] = i;
    MS("RelativePositionBias");
    ot_int(&t, "max_distance", 16), ot_int(&t, "is_bidirectional", 1);
    ot_in(&t, TSR_F32, OT_S(8, 1), table), ot_in_i64(&t, OT_S(1), OT_I(1)), ot_in_i64(&t, OT_S(1), OT_I(9));
    ot_run(&t); /* query 0, keys 0 .. 8: later keys use the upper half */
    ot_expect(&t, 0, OT_S(1, 1, 1, 9), OT_V(0, 5, 6, 6, 6, 6, 7, 7, 7), 0);
    ot_gradcheck(&t);
    ot_free(&t);
    MS("RelativePositionBias");
    ot_int(&t, "max_distance", 16);
    ot_in(&t, TSR_F32, OT_S(8, 1), table), ot_in_i64(&t, OT_S(1), OT_I(9)), ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_run(&t); /* earlier keys only */
    ot_expect(&t, 0, OT_S(1, 1, 9, 1), OT_V(0, 1, 2, 3, 4, 4, 5, 5, 6), 0);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/com.microsoft");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, activations);
    tcase_add_test(c, products);
    tcase_add_test(c, norms);
    tcase_add_test(c, attention);
    tcase_add_test(c, packed);
    tcase_add_test(c, relative_positions);
    suite_add_tcase(s, c);
    return ot_main(s);
}
