/* conv_last_plain.h - reference kernels of conv_last.c over REAL: the definition, in plain loops. R(name)
 * names the function. */

/* The element of X that output position (oh, ow) reads through tap (kh, kw), channel c of all; -1: padding. */
static inline int64_t R(source)(const struct tsr_conv_last *v, int64_t n, int64_t oh, int64_t ow, int64_t kh, int64_t kw, int64_t c)
{
    const struct tsr_window *w = &v->w;
    int64_t ih = oh * w->stride[1] - w->pad[1] + kh * w->dilation[1], iw = ow * w->stride[2] - w->pad[2] + kw * w->dilation[2];
    if (ih < 0 || ih >= w->in[1] || iw < 0 || iw >= w->in[2]) return -1;
    return v->first ? ((n * w->c + c) * w->in[1] + ih) * w->in[2] + iw : ((n * w->in[1] + ih) * w->in[2] + iw) * w->c + c;
}

/* Calls for every product of the sum: `each` has x (index into X, never padding), k (into W), y (into Y). */
#define EACH_PRODUCT(v, each)                                                                                    \
    for (int64_t n_ = 0, y = 0; n_ < (v)->w.n; n_++)                                                             \
        for (int64_t oh = 0; oh < (v)->w.out[1]; oh++)                                                           \
            for (int64_t ow = 0; ow < (v)->w.out[2]; ow++)                                                       \
                for (int64_t m_ = 0; m_ < (v)->m; m_++, y++)                                                     \
                    for (int64_t kh = 0; kh < (v)->w.kernel[1]; kh++)                                            \
                        for (int64_t kw = 0; kw < (v)->w.kernel[2]; kw++)                                        \
                            for (int64_t c_ = 0; c_ < (v)->cg; c_++) {                                           \
                                int64_t x = R(source)(v, n_, oh, ow, kh, kw, m_ / (v)->mg * (v)->cg + c_);       \
                                int64_t k = ((m_ * (v)->cg + c_) * (v)->w.kernel[1] + kh) * (v)->w.kernel[2] + kw; \
                                if (x >= 0) each;                                                                \
                            }

/* The sums and the bias alone. */
static void R(plain_sums)(const struct tsr_conv_last *v, REAL *out)
{
    const REAL *from = v->x, *weight = v->weight, *bias = v->bias;
    for (int64_t i = 0; i < v->w.n * v->w.out_size * v->m; i++) out[i] = bias != NULL ? bias[i % v->m] : 0;
    EACH_PRODUCT(v, out[y] += from[x] * weight[k])
}

/* dX, dW and dB (each where not NULL) from the gradient g of the sums. */
static void R(plain_gradients)(const struct tsr_conv_last *v, const REAL *g, REAL *dx, REAL *dw, REAL *db)
{
    const REAL *from = v->x, *weight = v->weight;
    const int64_t taps = v->w.kernel[1] * v->w.kernel[2];
    for (int64_t i = 0; dx != NULL && i < v->w.n * v->w.in_size * v->w.c; i++) dx[i] = 0;
    for (int64_t i = 0; dw != NULL && i < v->m * v->cg * taps; i++) dw[i] = 0;
    for (int64_t i = 0; db != NULL && i < v->m; i++) db[i] = 0;
    if (dx != NULL) EACH_PRODUCT(v, dx[x] += g[y] * weight[k])
    if (dw != NULL) EACH_PRODUCT(v, dw[k] += g[y] * from[x])
    for (int64_t i = 0; db != NULL && i < v->w.n * v->w.out_size * v->m; i++) db[i % v->m] += g[i];
}
#undef EACH_PRODUCT
