/* vmath_kernels.h - the kernels of vmath.c, included once for each instruction set with
 *   VM(name)     the function name with its suffix
 *   VM_TARGET    the target attribute
 *   MA(a, b, c)  a * b + c, fused where the set has it
 *   VM_VEC, VM_WIDTH, VM_LOAD, VM_STORE, VM_MAX  its vectors
 *   VM_ROWS_BY_HAND  defined where exp_sum and softmax are there already
 * Every loop body is branch-free so that the compiler turns it into vector code; the left-over
 * elements go through the same operations one by one and so give the same bits.
 * Coefficients: minimax fits of our own by the Remez exchange algorithm in 40 digits. */

#define VM_INLINE static inline __attribute__((always_inline)) VM_TARGET

/* e^x = 2^n e^r, |r| <= ln(2) / 2; 2^n is applied in two halves so that results may be subnormal. */
VM_INLINE float VM(exp1)(float x)
{
    const float magic = 0x1.8p23f; /* adding it rounds to an integer, left in the low bits */
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float t = MA(x, 1.44269504f, magic), n = t - magic;
    int32_t k = vm_bits(t) - 0x4b400000;
    float r = MA(n, -0.693359375f, x); /* ln(2) in two parts, the first of 9 bits */
    r = MA(n, 2.12194440e-4f, r);
    float p = 0.00138145985276f;
    p = MA(p, r, 0.0083687168777f);
    p = MA(p, r, 0.0416683880462f);
    p = MA(p, r, 0.166665206317f);
    p = MA(p, r, 0.499999934478f);
    float y = MA(r * r, p, r) + 1.0f;
    int32_t h = k >> 1;
    /* unsigned: for NaN k is nonsense, and harmless */
    return y * vm_float((int32_t)((uint32_t)(h + 127) << 23)) * vm_float((int32_t)((uint32_t)(k - h + 127) << 23));
}

/* 2 atanh(s) for s^2 <= 1/9. */
VM_INLINE float VM(atanh2)(float s)
{
    float u = s * s, p = 0.244130659994f;
    p = MA(p, u, 0.213932554292f);
    p = MA(p, u, 0.286207211221f);
    p = MA(p, u, 0.399986909693f);
    p = MA(p, u, 0.66666679306f);
    return MA(s * u, p, s + s);
}

/* log(1 + z) for 0 <= z <= 1. */
VM_INLINE float VM(log1p1)(float z)
{
    return VM(atanh2)(z / (2.0f + z));
}

VM_INLINE float VM(log1)(float x)
{
    int32_t tiny = x < 0x1p-126f; /* subnormal, zero or negative */
    float v = tiny ? x * 0x1p23f : x;
    uint32_t b = (uint32_t)vm_bits(v); /* unsigned: negative x may wrap round, its result is NaN anyway */
    int32_t e = (int32_t)(b - 0x3f3504f3u) >> 23; /* the mantissa lies in [sqrt(1/2), sqrt(2)) */
    float m = vm_float((int32_t)(b - ((uint32_t)e << 23))), n = (float)(tiny ? e - 23 : e);
    float f = m - 1.0f, s = f / (m + 1.0f), u = s * s, p = 0.299270523107f;
    p = MA(p, u, 0.399747433298f);
    p = MA(p, u, 0.666668164065f);
    /* log(m) = f - s (f - u p): f is exact, the rest is small */
    float c = MA(n, -2.12194440e-4f, -(s * MA(-u, p, f)));
    float y = MA(n, 0.693359375f, f + c);
    y = x == 0.0f ? -__builtin_inff() : y;
    y = x < 0.0f ? __builtin_nanf("") : y;
    return x < __builtin_inff() ? y : x; /* infinity and NaN stay */
}

/* A rational in x^2; beyond 9.01 the result is 1 in float. */
VM_INLINE float VM(tanh1)(float x)
{
    float c = x > 9.01f ? 9.01f : x;
    c = c < -9.01f ? -9.01f : c;
    float u = c * c, p = -1.38845085191e-11f, q = 1.35887803017e-6f;
    p = MA(p, u, 3.29898131083e-8f);
    p = MA(p, u, 2.90497324869e-5f);
    p = MA(p, u, 0.00392109785299f);
    p = MA(p, u, 0.137222923793f);
    p = MA(p, u, 1.0f);
    q = MA(q, u, 0.0004030899921f);
    q = MA(q, u, 0.027439837468f);
    q = MA(q, u, 0.470556271789f);
    q = MA(q, u, 1.0f);
    float y = c * p / q;
    y = y > 1.0f ? 1.0f : y;
    return y < -1.0f ? -1.0f : y;
}

VM_INLINE float VM(sigmoid1)(float x)
{
    return 1.0f / (1.0f + VM(exp1)(-x));
}

/* erfc(a) = e^(-a^2) t g(t), t = 1 / (1 + 0.45 a), for a >= 0.5; *gauss = e^(-a^2). */
VM_INLINE float VM(erfc1)(float a, float *gauss)
{
    a = a > 10.5f ? 10.5f : a; /* e^(-a^2) is 0 there */
    float t = 1.0f / MA(0.45f, a, 1.0f), p = 0.00821158477951f;
    p = MA(p, t, 0.0489749527173f);
    p = MA(p, t, -0.238817577713f);
    p = MA(p, t, 0.237900383535f);
    p = MA(p, t, 0.00492189061016f);
    p = MA(p, t, 0.208057858227f);
    p = MA(p, t, 0.222471113453f);
    p = MA(p, t, 0.254458110577f);
    p = MA(p, t, 0.253861046324f);
    float hi = a * a, lo = MA(a, a, -hi); /* lo = 0 without a fused operation */
    float e = VM(exp1)(-hi);
    *gauss = e;
    e = MA(-e, lo, e);
    return e * t * p;
}

/* erf(x) / x for |x| <= 1, u = x^2. */
VM_INLINE float VM(erf_small)(float u)
{
    float p = 7.85386078427e-5f;
    p = MA(p, u, -0.000801019344631f);
    p = MA(p, u, 0.00518832766465f);
    p = MA(p, u, -0.026853811924f);
    p = MA(p, u, 0.112835851484f);
    p = MA(p, u, -0.376126258242f);
    return MA(p, u, 1.12837916573f);
}

VM_INLINE float VM(erf1)(float x)
{
    float a = vm_abs(x), gauss;
    float big = 1.0f - VM(erfc1)(a, &gauss), small = a * VM(erf_small)(a * a);
    float y = a > 0.9f ? big : small;
    return vm_sign_of(y, x);
}

/* The standard normal distribution function; *gauss = e^(-x^2/2). */
VM_INLINE float VM(phi1)(float x, float *gauss)
{
    float a = vm_abs(x) * 0.707106781f;
    float tail = 0.5f * VM(erfc1)(a, gauss);
    float half = 0.5f * a * VM(erf_small)(a * a);
    float centre = 0.5f + vm_sign_of(half, x), outer = x > 0.0f ? 1.0f - tail : tail;
    return a > 0.6f ? outer : centre;
}

VM_INLINE float VM(gelu1)(float x)
{
    float gauss, p = VM(phi1)(x, &gauss);
    return x < -14.5f ? -0.0f : x * p; /* below: smaller than any float, and no -inf * 0 */
}

VM_INLINE float VM(gelu_slope)(float x)
{
    float gauss, p = VM(phi1)(x, &gauss), d = MA(x * gauss, 0.398942280f, p);
    float flat = x > 0.0f ? 1.0f : 0.0f;
    return vm_abs(x) > 14.5f ? flat : d;
}

/* x sigmoid(2 v), v = sqrt(2/pi) (x + 0.044715 x^3), is the tanh form without cancellation. */
VM_INLINE float VM(gelu_tanh1)(float x)
{
    float v = 1.59576912f * MA(0.044715f * x * x, x, x);
    return x < -14.5f ? -0.0f : x * VM(sigmoid1)(v);
}

VM_INLINE float VM(gelu_tanh_slope)(float x)
{
    float c = x > 14.5f ? 14.5f : x;
    c = c < -14.5f ? -14.5f : c;
    float u = c * c, v = 1.59576912f * MA(0.044715f * u, c, c), s = VM(sigmoid1)(v);
    float dv = 1.59576912f * MA(0.134145f, u, 1.0f);
    return MA(c * dv, s * (1.0f - s), s);
}

VM_INLINE float VM(softplus1)(float x)
{
    float m = x > 0.0f ? x : 0.0f, l = VM(log1p1)(VM(exp1)(-vm_abs(x)));
    float y = m + l;
    return x == x ? y : x;
}

/* tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = e^x. */
VM_INLINE float VM(mish1)(float x)
{
    float c = x > 20.0f ? 20.0f : x, e = VM(exp1)(c), w = e * (e + 2.0f);
    float y = x * (w / (w + 2.0f));
    return x < -104.0f ? -0.0f : y;
}

VM_INLINE float VM(mish_slope)(float x)
{
    float c = x > 20.0f ? 20.0f : x;
    c = c < -104.0f ? -104.0f : c;
    float e = VM(exp1)(c), w = e * (e + 2.0f), d = 1.0f / (w + 2.0f), t = w * d;
    return MA(4.0f * c * e * (e + 1.0f) * d, d, t);
}

VM_INLINE float VM(swish1)(float x, float alpha)
{
    float y = x * VM(sigmoid1)(alpha * x);
    return alpha * x < -104.0f ? -0.0f : y; /* no -inf * 0 */
}

VM_INLINE float VM(swish_slope)(float x, float alpha)
{
    float v = alpha * x, c = v > 104.0f ? 104.0f : v;
    c = c < -88.0f ? -88.0f : c;
    float s = VM(sigmoid1)(c);
    return MA(c * s, 1.0f - s, s);
}

#define VM_MAP(name, expr)                                                                         \
    VM_TARGET static void VM(name)(int64_t n, const float *x, float *y)                            \
    {                                                                                              \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                  \
        {                                                                                          \
            float v = x[i];                                                                        \
            y[i] = expr;                                                                           \
        }                                                                                          \
    }
#define VM_GRAD(name, expr)                                                                        \
    VM_TARGET static void VM(name)(int64_t n, const float *x, const float *gy, float *gx)          \
    {                                                                                              \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                  \
        {                                                                                          \
            float v = x[i];                                                                        \
            gx[i] = gy[i] * (expr);                                                                \
        }                                                                                          \
    }
VM_MAP(exp, VM(exp1)(v))
VM_MAP(log, VM(log1)(v))
VM_MAP(tanh, VM(tanh1)(v))
VM_MAP(sigmoid, VM(sigmoid1)(v))
VM_MAP(erf, VM(erf1)(v))
VM_MAP(gelu, VM(gelu1)(v))
VM_MAP(gelu_tanh, VM(gelu_tanh1)(v))
VM_MAP(softplus, VM(softplus1)(v))
VM_MAP(mish, VM(mish1)(v))
VM_GRAD(gelu_grad, VM(gelu_slope)(v))
VM_GRAD(gelu_tanh_grad, VM(gelu_tanh_slope)(v))
VM_GRAD(softplus_grad, VM(sigmoid1)(v))
VM_GRAD(mish_grad, VM(mish_slope)(v))
VM_GRAD(tanh_grad, 1.0f - v * v)
VM_GRAD(sigmoid_grad, v * (1.0f - v))

VM_TARGET static void VM(swish)(int64_t n, float alpha, const float *x, float *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = VM(swish1)(x[i], alpha);
}

VM_TARGET static void VM(swish_grad)(int64_t n, float alpha, const float *x, const float *gy, float *gx)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = gy[i] * VM(swish_slope)(x[i], alpha);
}

#ifndef VM_ROWS_BY_HAND
/* Sixteen running sums, whatever the vector length, added up pairwise in the end. The exponentials
 * of a block are in the cache when they are summed. */
VM_INLINE float VM(exp_sum1)(int64_t n, const float *x, float m, float *y)
{
    vm_v16 sum = {0};
    float lane[16];
    int64_t whole = n - n % 16;
    for (int64_t at = 0; at < n; at += 512) {
        int64_t end = n - at < 512 ? n : at + 512, stop = end < whole ? end : whole;
        TSR_IVDEP for (int64_t i = at; i < end; i++) y[i] = VM(exp1)(x[i] - m);
        for (int64_t i = at; i < stop; i += 16) sum += *(const vm_v16 *)(const void *)(y + i);
    }
    *(vm_v16 *)(void *)lane = sum;
    for (int64_t i = whole; i < n; i++) lane[i - whole] += y[i];
    for (int j = 0; j < 8; j++) lane[j] += lane[j + 8];
    for (int j = 0; j < 4; j++) lane[j] += lane[j + 4];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

VM_TARGET static float VM(exp_sum)(int64_t n, const float *x, float m, float *y)
{
    return VM(exp_sum1)(n, x, m, y);
}
#endif

/* VM_MAX(a, b): the larger of two vectors of VM_WIDTH, b where a is NaN. */
VM_INLINE float VM(max1)(int64_t n, const float *x)
{
    float m = n > 0 ? x[0] : -__builtin_inff();
    int64_t i = 0;
    if (n >= 2 * VM_WIDTH) {
        VM_VEC a = VM_LOAD(x), b = VM_LOAD(x + VM_WIDTH);
        for (i = 2 * VM_WIDTH; i + 2 * VM_WIDTH <= n; i += 2 * VM_WIDTH) {
            a = VM_MAX(VM_LOAD(x + i), a);
            b = VM_MAX(VM_LOAD(x + i + VM_WIDTH), b);
        }
        float lane[VM_WIDTH];
        VM_STORE(lane, VM_MAX(a, b));
        for (int j = 0; j < VM_WIDTH; j++) m = lane[j] > m ? lane[j] : m;
    }
    for (; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

VM_TARGET static float VM(max)(int64_t n, const float *x)
{
    return VM(max1)(n, x);
}

#ifndef VM_ROWS_BY_HAND
VM_TARGET static void VM(softmax)(int64_t rows, int64_t n, const float *x, float *y)
{
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        float s = 1.0f / VM(exp_sum1)(n, x, VM(max1)(n, x), y);
        for (int64_t i = 0; i < n; i++) y[i] *= s;
    }
}
#endif

VM_TARGET static double VM(sum)(int64_t n, const float *x)
{
    double lane[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += (double)x[i + j];
    for (int j = 0; i < n; i++, j++) lane[j] += (double)x[i];
    for (int w = 8; w; w /= 2)
        for (int j = 0; j < w; j++) lane[j] += lane[j + w];
    return lane[0];
}

VM_TARGET static double VM(dot)(int64_t n, const float *x, const float *y)
{
    double lane[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += (double)x[i + j] * (double)y[i + j];
    for (int j = 0; i < n; i++, j++) lane[j] += (double)x[i] * (double)y[i];
    for (int w = 8; w; w /= 2)
        for (int j = 0; j < w; j++) lane[j] += lane[j + w];
    return lane[0];
}

/* ((0 + 8) + (4 + 12)) + ((2 + 10) + (6 + 14)), and the odd ones likewise. */
VM_INLINE float VM(fold)(const vm_v16 *s)
{
    typedef float v8 __attribute__((vector_size(32)));
    typedef float v4 __attribute__((vector_size(16)));
    const v8 t = __builtin_shufflevector(*s, *s, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(*s, *s, 8, 9, 10, 11, 12, 13, 14, 15);
    const v4 u = __builtin_shufflevector(t, t, 0, 1, 2, 3) + __builtin_shufflevector(t, t, 4, 5, 6, 7);
    return (u[0] + u[2]) + (u[1] + u[3]);
}

/* The sum of x - mean, or of its square. */
VM_INLINE float VM(deviations)(int64_t n, const float *x, float mean, bool square)
{
    vm_v16 sum = {0};
    float rest[16];
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const vm_v16 d = *(const vm_v16 *)(const void *)(x + i) - mean;
        if (square) sum += d * d;
        else sum += d;
    }
    if (i < n) {
        for (int j = 0; j < 16; j++) rest[j] = i + j < n ? x[i + j] : mean;
        const vm_v16 d = *(const vm_v16 *)(const void *)rest - mean;
        if (square) sum += d * d;
        else sum += d;
    }
    return VM(fold)(&sum);
}

VM_TARGET static void VM(normalise)(int64_t rows, int64_t n, const struct tsr_vnorm *v)
{
    const float *scale = v->scale, *bias = v->bias;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = v->x + r * n, mean = v->centre ? VM(deviations)(n, x, 0, false) / (float)n : 0;
        const float rstd = 1 / sqrtf(VM(deviations)(n, x, mean, true) / (float)n + v->epsilon);
        float *y = v->y + r * n;
        if (v->mean != NULL) v->mean[r] = mean;
        if (v->rstd != NULL) v->rstd[r] = rstd;
        if (bias != NULL) {
            TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i] + bias[i];
        } else {
            TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i];
        }
    }
}

static const struct vmath VM(table) = {
    VM(exp), VM(log), VM(tanh), VM(sigmoid), VM(erf), VM(gelu), VM(gelu_tanh), VM(softplus), VM(mish),
    VM(gelu_grad), VM(gelu_tanh_grad), VM(softplus_grad), VM(mish_grad), VM(tanh_grad), VM(sigmoid_grad),
    VM(swish), VM(swish_grad), VM(exp_sum), VM(max), VM(sum), VM(dot), VM(softmax), VM(normalise),
};

#undef VM_INLINE
#undef VM_MAP
#undef VM_GRAD
#undef VM
#undef VM_TARGET
#undef MA
#undef VM_WIDTH
#undef VM_VEC
#undef VM_LOAD
#undef VM_STORE
#undef VM_MAX
