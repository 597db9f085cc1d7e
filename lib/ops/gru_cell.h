/* gru_cell.h - one step of GRU, reference kernels for REAL. Gates lie in the order z r h:
 *     z = f(X Wz' + H Rz' + Wbz + Rbz)               r likewise
 *     h = g(X Wh' + (r . H) Rh' + Wbh + Rbh)         linear_before_reset = 0
 *     h = g(X Wh' + r . (H Rh' + Rbh) + Wbh)         otherwise
 *     H' = (1 - z) . h + z . H
 * q is r . H in the first form and H Rh' + Rbh in the second. */

static void gru_row_gates(const struct tsr_rnn *k, const struct tsr_act *act, REAL *a, REAL *pre, const REAL *bias,
                          const REAL *bias_rh, const REAL *h_prev, REAL *q)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < 2 * H; j++) {
        pre[j] = a[j] + bias[j];
        a[j] = gate_value(k, &act[0], pre[j]);
    }
    for (int64_t j = 0; j < H; j++) q[j] = k->linear_before_reset ? q[j] + bias_rh[j] : a[H + j] * h_prev[j];
}

static void gru_row_state(const struct tsr_rnn *k, const struct tsr_act *act, REAL *a, REAL *pre, const REAL *bias,
                          const REAL *q, const REAL *h_prev, REAL *h)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < H; j++) {
        REAL x = a[2 * H + j] + bias[2 * H + j];
        if (k->linear_before_reset) x += a[H + j] * q[j];
        REAL g = gate_value(k, &act[1], x);
        pre[2 * H + j] = x;
        a[2 * H + j] = g;
        h[j] = (1 - a[j]) * g + a[j] * h_prev[j];
    }
}

static void gru_row_backward_state(const struct tsr_rnn *k, const struct tsr_act *act, const REAL *a, const REAL *pre,
                                   const REAL *q, const REAL *h_prev, const REAL *dh, REAL *dh_prev, REAL *da, REAL *dq)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < H; j++) {
        REAL z = a[j], r = a[H + j], g = a[2 * H + j];
        da[j] = dh[j] * (h_prev[j] - g) * gate_slope(k, &act[0], pre[j], z);
        REAL d = dh[j] * (1 - z) * gate_slope(k, &act[1], pre[2 * H + j], g);
        da[2 * H + j] = d;
        dh_prev[j] = dh[j] * z;
        if (!k->linear_before_reset) continue;
        da[H + j] = d * q[j] * gate_slope(k, &act[0], pre[H + j], r);
        dq[j] = d * r;
    }
}

static void gru_row_backward_gates(const struct tsr_rnn *k, const struct tsr_act *act, const REAL *a, const REAL *pre,
                                   const REAL *h_prev, const REAL *dq, REAL *dh_prev, REAL *da)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < H; j++) {
        REAL r = a[H + j];
        da[H + j] = dq[j] * h_prev[j] * gate_slope(k, &act[0], pre[H + j], r);
        dh_prev[j] += dq[j] * r;
    }
}
