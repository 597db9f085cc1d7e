/* lstm_cell.h - one step of LSTM, reference kernels for REAL. Gates lie in the order i o f c:
 *     i = f(X Wi' + H Ri' + Pi . C + Wbi + Rbi)      f likewise; coupled: f = 1 - i
 *     c = g(X Wc' + H Rc' + Wbc + Rbc)
 *     C' = f . C + i . c
 *     o = f(X Wo' + H Ro' + Po . C' + Wbo + Rbo)
 *     H' = o . h(C')
 * `p` holds the peepholes in the order i o f, or is NULL. */

static void lstm_row_forward(const struct tsr_rnn *k, const struct tsr_act *act, REAL *a, REAL *pre, const REAL *bias,
                             const REAL *p, const REAL *c_prev, REAL *c, REAL *hc, REAL *h)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < H; j++) {
        REAL xi = a[j] + bias[j], xo = a[H + j] + bias[H + j];
        REAL xf = a[2 * H + j] + bias[2 * H + j], xg = a[3 * H + j] + bias[3 * H + j];
        if (p) {
            xi += p[j] * c_prev[j];
            xf += p[2 * H + j] * c_prev[j];
        }
        REAL i = gate_value(k, &act[0], xi);
        REAL f = k->coupled ? 1 - i : gate_value(k, &act[0], xf);
        REAL g = gate_value(k, &act[1], xg);
        c[j] = f * c_prev[j] + i * g;
        if (p) xo += p[H + j] * c[j];
        REAL o = gate_value(k, &act[0], xo);
        hc[j] = act_value(&act[2], c[j]);
        h[j] = o * hc[j];
        pre[j] = xi, pre[H + j] = xo, pre[2 * H + j] = xf, pre[3 * H + j] = xg;
        a[j] = i, a[H + j] = o, a[2 * H + j] = f, a[3 * H + j] = g;
    }
}

/* dc: the gradient of C' on entry, of C on return. */
static void lstm_row_backward(const struct tsr_rnn *k, const struct tsr_act *act, const REAL *a, const REAL *pre,
                              const REAL *p, const REAL *c_prev, const REAL *c, const REAL *hc, const REAL *dh,
                              REAL *dc, REAL *da)
{
    const int64_t H = k->H;
    for (int64_t j = 0; j < H; j++) {
        REAL i = a[j], o = a[H + j], f = a[2 * H + j], g = a[3 * H + j];
        REAL d_o = dh[j] * hc[j] * gate_slope(k, &act[0], pre[H + j], o);
        REAL d_c = dc[j] + dh[j] * o * act_slope(&act[2], c[j], hc[j]);
        if (p) d_c += d_o * p[H + j];
        REAL d_i = d_c * g, d_f = 0;
        if (k->coupled)
            d_i -= d_c * c_prev[j];
        else
            d_f = d_c * c_prev[j] * gate_slope(k, &act[0], pre[2 * H + j], f);
        d_i *= gate_slope(k, &act[0], pre[j], i);
        da[j] = d_i;
        da[H + j] = d_o;
        da[2 * H + j] = d_f;
        da[3 * H + j] = d_c * i * gate_slope(k, &act[1], pre[3 * H + j], g);
        dc[j] = d_c * f;
        if (p) dc[j] += d_i * p[j] + d_f * p[2 * H + j];
    }
}
