/* rnn_act.h - the activations of the recurrent operators, for REAL. Included by rnn_f32.c and
 * rnn_f64.c only. */
#if REAL_IS_FLOAT
#define R(name) name##f
#else
#define R(name) name
#endif

static REAL act_sigmoid(REAL x) { return x >= 0 ? 1 / (1 + R(exp)(-x)) : 1 - 1 / (1 + R(exp)(x)); }

static REAL act_value(const struct tsr_act *f, REAL x)
{
    const REAL alpha = f->alpha, beta = f->beta;
    switch (f->kind) {
    case TSR_ACT_SIGMOID: return act_sigmoid(x);
    case TSR_ACT_TANH: return R(tanh)(x);
    case TSR_ACT_RELU: return x < 0 ? 0 : x;
    case TSR_ACT_AFFINE: return alpha * x + beta;
    case TSR_ACT_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case TSR_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0;
    case TSR_ACT_SCALED_TANH: return alpha * R(tanh)(beta * x);
    case TSR_ACT_HARD_SIGMOID: {
        REAL y = alpha * x + beta;
        return y < 0 ? 0 : y > 1 ? 1 : y;
    }
    case TSR_ACT_ELU: return x < 0 ? alpha * R(expm1)(x) : x;
    case TSR_ACT_SOFTSIGN: return x / (1 + R(fabs)(x));
    case TSR_ACT_SOFTPLUS: return x > 0 ? x + R(log1p)(R(exp)(-x)) : R(log1p)(R(exp)(x));
    }
    return x;
}

/* The derivative at x, where y = act_value(x). */
static REAL act_slope(const struct tsr_act *f, REAL x, REAL y)
{
    const REAL alpha = f->alpha, beta = f->beta;
    switch (f->kind) {
    case TSR_ACT_SIGMOID: return y * (1 - y);
    case TSR_ACT_TANH: return 1 - y * y;
    case TSR_ACT_RELU: return x > 0 ? 1 : 0;
    case TSR_ACT_AFFINE: return alpha;
    case TSR_ACT_LEAKY_RELU: return x < 0 ? alpha : 1;
    case TSR_ACT_THRESHOLDED_RELU: return x > alpha ? 1 : 0;
    case TSR_ACT_SCALED_TANH: {
        REAL t = R(tanh)(beta * x);
        return alpha * beta * (1 - t * t);
    }
    case TSR_ACT_HARD_SIGMOID: {
        REAL u = alpha * x + beta;
        return u > 0 && u < 1 ? alpha : 0;
    }
    case TSR_ACT_ELU: return x < 0 ? y + alpha : 1;
    case TSR_ACT_SOFTSIGN: {
        REAL u = 1 + R(fabs)(x);
        return 1 / (u * u);
    }
    case TSR_ACT_SOFTPLUS: return act_sigmoid(x);
    }
    return 1;
}

/* The clip attribute bounds the gates' sums before their activation (as ONNX Runtime reads the
 * specification: the cell state on its way into h is not clipped). */
static REAL clipped(const struct tsr_rnn *k, REAL x)
{
    const REAL top = k->clip;
    if (!(top > 0)) return x;
    return x > top ? top : x < -top ? -top : x;
}

static REAL gate_value(const struct tsr_rnn *k, const struct tsr_act *f, REAL x) { return act_value(f, clipped(k, x)); }

static REAL gate_slope(const struct tsr_rnn *k, const struct tsr_act *f, REAL x, REAL y)
{
    if (k->clip > 0 && !(R(fabs)(x) < (REAL)k->clip)) return 0;
    return act_slope(f, x, y);
}
