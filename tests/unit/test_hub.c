/* test_hub.c - the anchor-ridge hub against the ridge regression it must equal. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>

enum { N = 60, D = 12, E = 9 };

/* Two networks that see the same 5 latent causes through different linear maps, plus noise. */
static void two_views(float *a, float *b, uint64_t seed)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    float p[5][D], q[5][E];
    for (int k = 0; k < 5; k++) {
        for (int j = 0; j < D; j++) p[k][j] = tsr_rng_normal(&r);
        for (int j = 0; j < E; j++) q[k][j] = tsr_rng_normal(&r);
    }
    for (int i = 0; i < N; i++) {
        float z[5];
        for (int k = 0; k < 5; k++) z[k] = tsr_rng_normal(&r);
        for (int j = 0; j < D; j++) {
            a[i * D + j] = 3 + 0.05f * tsr_rng_normal(&r);
            for (int k = 0; k < 5; k++) a[i * D + j] += z[k] * p[k][j];
        }
        for (int j = 0; j < E; j++) {
            b[i * E + j] = -1 + 0.05f * tsr_rng_normal(&r);
            for (int k = 0; k < 5; k++) b[i * E + j] += z[k] * q[k][j];
        }
    }
}

/* The ridge regression from a to b at x, by the normal equations, with the hub's lambda. */
static void ridge(const float *a, const float *b, double lambda, const float *x, double *out)
{
    double g[D * D] = {0}, h[D * E] = {0}, ma[D] = {0}, mb[E] = {0};
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < D; j++) ma[j] += (double)a[i * D + j] / N;
        for (int j = 0; j < E; j++) mb[j] += (double)b[i * E + j] / N;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++) {
            double u = (double)a[i * D + j] - ma[j];
            for (int k = 0; k < D; k++) g[j * D + k] += u * ((double)a[i * D + k] - ma[k]);
            for (int k = 0; k < E; k++) h[j * E + k] += u * ((double)b[i * E + k] - mb[k]);
        }
    for (int j = 0; j < D; j++) g[j * D + j] += lambda;
    ck_assert_int_eq(tsr_lapack_cholesky(D, g, D, NULL), TSR_OK);
    ck_assert_int_eq(tsr_lapack_cholesky_solve(D, E, g, D, h, E, NULL), TSR_OK);
    for (int k = 0; k < E; k++) {
        out[k] = mb[k];
        for (int j = 0; j < D; j++) out[k] += ((double)x[j] - ma[j]) * h[j * E + k];
    }
}

START_TEST(two_halves_make_the_ridge_map)
{
    static float a[N * D], b[N * E];
    two_views(a, b, 7);
    struct tsr_error err;
    struct tsr_hub_encoder e;
    struct tsr_hub_decoder dec;
    ck_assert_msg(tsr_hub_calibrate(&e, a, N, D, 64, &err) == TSR_OK, "%s", err.message);
    ck_assert_int_eq(e.rank, D);
    float basis[N * D];
    for (int64_t i = 0; i < N * e.rank; i++) basis[i] = (float)e.basis[i];
    ck_assert_int_eq(tsr_hub_decoder_init(&dec, b, N, E, basis, e.rank, &err), TSR_OK);
    float c[N * D], got[N * E];
    ck_assert_int_eq(tsr_hub_encode(&e, a, N, c, &err), TSR_OK);
    ck_assert_int_eq(tsr_hub_decode(&dec, c, N, got, &err), TSR_OK);
    for (int i = 0; i < N; i += 7) {
        double want[E];
        ridge(a, b, e.lambda, a + i * D, want);
        for (int k = 0; k < E; k++) ck_assert_double_eq_tol((double)got[i * E + k], want[k], 2e-5);
    }
    tsr_hub_encoder_release(&e);
    tsr_hub_decoder_release(&dec);
}


/* More dimensions than anchors: the small Gram matrix is XX', the result the same algebra. */
START_TEST(wide_layers_round_trip)
{
    enum { M = 10, W = 40 };
    float a[M * W], back[M * W], basis[M * M], c[M * M];
    struct tsr_rng r;
    tsr_rng_init(&r, 3, 0);
    for (int i = 0; i < M * W; i++) a[i] = tsr_rng_normal(&r);
    struct tsr_hub_encoder e;
    struct tsr_hub_decoder dec;
    ck_assert_int_eq(tsr_hub_calibrate(&e, a, M, W, 64, NULL), TSR_OK);
    ck_assert_int_eq(e.rank, M - 1); /* centring takes one */
    for (int64_t i = 0; i < M * e.rank; i++) basis[i] = (float)e.basis[i];
    ck_assert_int_eq(tsr_hub_decoder_init(&dec, a, M, W, basis, e.rank, NULL), TSR_OK);
    ck_assert_int_eq(tsr_hub_encode(&e, a, M, c, NULL), TSR_OK);
    ck_assert_int_eq(tsr_hub_decode(&dec, c, M, back, NULL), TSR_OK);
    for (int i = 0; i < M * W; i++) ck_assert_float_eq_tol(back[i], a[i], 0.1f);
    tsr_hub_encoder_release(&e);
    tsr_hub_decoder_release(&dec);
}
END_TEST

START_TEST(partly_held_anchors_regress)
{
    static float a[N * D], b[N * E];
    two_views(a, b, 9);
    struct tsr_hub_encoder e;
    struct tsr_hub_decoder dec;
    ck_assert_int_eq(tsr_hub_calibrate(&e, a, N, D, 64, NULL), TSR_OK);
    static float c[N * D], got[N * E];
    ck_assert_int_eq(tsr_hub_encode(&e, a, N, c, NULL), TSR_OK);
    ck_assert_int_eq(tsr_hub_decoder_regress(&dec, b, N / 2, E, c, e.rank, NULL), TSR_OK);
    ck_assert_int_eq(tsr_hub_decode(&dec, c, N, got, NULL), TSR_OK);
    double error = 0, power = 0;
    for (int i = N / 2 * E; i < N * E; i++) {
        error += pow((double)(got[i] - b[i]), 2);
        power += pow((double)b[i], 2);
    }
    ck_assert_double_lt(error / power, 0.05);
    tsr_hub_encoder_release(&e);
    tsr_hub_decoder_release(&dec);
}
END_TEST

START_TEST(bad_activations_are_named)
{
    float a[4 * 3] = {1, 2, 3, 4, 5, NAN, 7, 8, 9, 1, 1, 1};
    struct tsr_hub_encoder e;
    struct tsr_error err;
    ck_assert_int_eq(tsr_hub_calibrate(&e, a, 4, 3, 8, &err), TSR_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(err.message, "reference row 1"));
    for (int i = 0; i < 12; i++) a[i] = 2;
    ck_assert_int_eq(tsr_hub_calibrate(&e, a, 4, 3, 8, &err), TSR_E_NUMERIC);
    ck_assert_int_eq(tsr_hub_calibrate(&e, a, 1, 3, 8, &err), TSR_E_MISMATCH);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    static float a[N * D], b[N * E];
    two_views(a, b, 7);
    for (long n = 1; n < 40; n++) {
        struct tsr_hub_encoder e;
        tsr_mem_fail_after(n);
        enum tsr_status status = tsr_hub_calibrate(&e, a, N, D, 64, NULL);
        tsr_mem_fail_after(0);
        ck_assert(status == TSR_OK || status == TSR_E_NOMEM);
        if (status == TSR_OK) {
            tsr_hub_encoder_release(&e);
            break;
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hub");
    TCase *t = tcase_create("hub");
    tcase_add_test(t, two_halves_make_the_ridge_map);
    tcase_add_test(t, wide_layers_round_trip);
    tcase_add_test(t, partly_held_anchors_regress);
    tcase_add_test(t, bad_activations_are_named);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
