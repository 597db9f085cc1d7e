/* rnn_cell.h - one step of the plain recurrent network, reference kernels for REAL (all
 * activations, clipping):
 *     H' = f(X W' + H R' + Wb + Rb)
 * `a` holds the sums without bias on entry, the activations on return; `pre` the sums. */

static void rnn_row_forward(const struct tsr_rnn *k, const struct tsr_act *act, REAL *a, REAL *pre, const REAL *bias,
                            REAL *h)
{
    for (int64_t j = 0; j < k->H; j++) {
        pre[j] = a[j] + bias[j];
        h[j] = a[j] = gate_value(k, act, pre[j]);
    }
}

static void rnn_row_backward(const struct tsr_rnn *k, const struct tsr_act *act, const REAL *a, const REAL *pre,
                             const REAL *dh, REAL *da)
{
    for (int64_t j = 0; j < k->H; j++) da[j] = dh[j] * gate_slope(k, act, pre[j], a[j]);
}
