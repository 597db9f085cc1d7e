/* rnn_fast.c - one step of the recurrent cells, vectorised.
 *
 * Each kernel is written once as a plain loop that the compiler turns into vectors, and built
 * for the baseline, AVX2 and AVX-512. Nothing is contracted, so all three give the same bits.
 */
#include <string.h>

#include "ops/rnn.h"

#define INLINE static inline __attribute__((always_inline))

/* exp(x) for |x| < 87: Cody-Waite reduction by ln 2 and a polynomial of degree 6; < 2 ulp. */
INLINE float exp_core(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to the nearest integer */
    float shifted = x * 1.44269504f + magic;
    float k = shifted - magic;
    float r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits;
    float scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (int32_t)(((uint32_t)bits << 23) + 0x3F800000u);
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

INLINE float clamp(float x, float top)
{
    x = x > top ? top : x; /* NaN passes */
    return x < -top ? -top : x;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp_core(clamp(-x, 80.0f))); }

/* Near 0 the quotient would lose digits: there the Taylor polynomial of degree 9. */
INLINE float tanh_fast(float x)
{
    float e = exp_core(clamp(x + x, 40.0f));
    float far = 1.0f - 2.0f / (1.0f + e);
    float t = x * x;
    float p = 62.0f / 2835;
    p = p * t - 17.0f / 315;
    p = p * t + 2.0f / 15;
    p = p * t - 1.0f / 3;
    float near = x + x * t * p;
    return t < 0.0625f ? near : far;
}

INLINE void lstm_forward(int64_t n, int64_t H, float *restrict a, const float *restrict bias,
                         const float *restrict c_prev, float *restrict c, float *restrict tanh_c, float *restrict h)
{
    for (int64_t b = 0; b < n; b++, a += 4 * H, c_prev += H, c += H, tanh_c += H, h += H) {
        for (int64_t j = 0; j < H; j++) {
            float i = sigmoid(a[j] + bias[j]);
            float o = sigmoid(a[H + j] + bias[H + j]);
            float f = sigmoid(a[2 * H + j] + bias[2 * H + j]);
            float g = tanh_fast(a[3 * H + j] + bias[3 * H + j]);
            float cell = f * c_prev[j] + i * g;
            float t = tanh_fast(cell);
            a[j] = i;
            a[H + j] = o;
            a[2 * H + j] = f;
            a[3 * H + j] = g;
            c[j] = cell;
            tanh_c[j] = t;
            h[j] = o * t;
        }
    }
}

INLINE void lstm_backward(int64_t n, int64_t H, const float *restrict a, const float *restrict c_prev,
                          const float *restrict tanh_c, const float *restrict dh, float *restrict dc,
                          float *restrict da)
{
    for (int64_t b = 0; b < n; b++, a += 4 * H, da += 4 * H, c_prev += H, tanh_c += H, dh += H, dc += H) {
        for (int64_t j = 0; j < H; j++) {
            float i = a[j], o = a[H + j], f = a[2 * H + j], g = a[3 * H + j], t = tanh_c[j];
            float cell = dc[j] + dh[j] * o * (1.0f - t * t);
            da[j] = cell * g * i * (1.0f - i);
            da[H + j] = dh[j] * t * o * (1.0f - o);
            da[2 * H + j] = cell * c_prev[j] * f * (1.0f - f);
            da[3 * H + j] = cell * i * (1.0f - g * g);
            dc[j] = cell * f;
        }
    }
}

INLINE void gru_gates(int64_t n, int64_t H, float *restrict a, const float *restrict bias,
                      const float *restrict bias_rh, const float *restrict h_prev, float *restrict q,
                      bool linear_before_reset)
{
    for (int64_t b = 0; b < n; b++, a += 3 * H, h_prev += H, q += H) {
        for (int64_t j = 0; j < 2 * H; j++) a[j] = sigmoid(a[j] + bias[j]);
        if (linear_before_reset)
            for (int64_t j = 0; j < H; j++) q[j] = q[j] + bias_rh[j];
        else
            for (int64_t j = 0; j < H; j++) q[j] = a[H + j] * h_prev[j];
    }
}

INLINE void gru_state(int64_t n, int64_t H, float *restrict a, const float *restrict bias, const float *restrict q,
                      const float *restrict h_prev, float *restrict h, bool linear_before_reset)
{
    for (int64_t b = 0; b < n; b++, a += 3 * H, h_prev += H, h += H, q += H) {
        if (linear_before_reset)
            for (int64_t j = 0; j < H; j++) a[2 * H + j] = a[2 * H + j] + a[H + j] * q[j];
        for (int64_t j = 0; j < H; j++) {
            float g = tanh_fast(a[2 * H + j] + bias[2 * H + j]);
            a[2 * H + j] = g;
            h[j] = (1.0f - a[j]) * g + a[j] * h_prev[j];
        }
    }
}

INLINE void gru_backward_state(int64_t n, int64_t H, const float *restrict a, const float *restrict q,
                               const float *restrict h_prev, const float *restrict dh, float *restrict dh_prev,
                               float *restrict da, float *restrict dq, bool linear_before_reset)
{
    for (int64_t b = 0; b < n; b++, a += 3 * H, da += 3 * H, q += H, dq += H, h_prev += H, dh += H, dh_prev += H) {
        for (int64_t j = 0; j < H; j++) {
            float z = a[j], g = a[2 * H + j];
            da[j] = dh[j] * (h_prev[j] - g) * z * (1.0f - z);
            da[2 * H + j] = dh[j] * (1.0f - z) * (1.0f - g * g);
            dh_prev[j] = dh[j] * z;
        }
        if (!linear_before_reset) continue;
        for (int64_t j = 0; j < H; j++) {
            float r = a[H + j], d = da[2 * H + j];
            da[H + j] = d * q[j] * r * (1.0f - r);
            dq[j] = d * r;
        }
    }
}

INLINE void gru_backward_gates(int64_t n, int64_t H, const float *restrict a, const float *restrict h_prev,
                               const float *restrict dq, float *restrict dh_prev, float *restrict da)
{
    for (int64_t b = 0; b < n; b++, a += 3 * H, da += 3 * H, dq += H, h_prev += H, dh_prev += H)
        for (int64_t j = 0; j < H; j++) {
            float r = a[H + j];
            da[H + j] = dq[j] * h_prev[j] * r * (1.0f - r);
            dh_prev[j] = dh_prev[j] + dq[j] * r;
        }
}

INLINE void rnn_forward(int64_t n, int64_t H, float *restrict a, const float *restrict bias, float *restrict h, bool relu)
{
    for (int64_t b = 0; b < n; b++, a += H, h += H) {
        if (relu)
            for (int64_t j = 0; j < H; j++) {
                float x = a[j] + bias[j];
                a[j] = h[j] = x < 0.0f ? 0.0f : x; /* NaN passes */
            }
        else
            for (int64_t j = 0; j < H; j++) a[j] = h[j] = tanh_fast(a[j] + bias[j]);
    }
}

INLINE void rnn_backward(int64_t n, int64_t H, const float *restrict a, const float *restrict dh, float *restrict da,
                         bool relu)
{
    if (relu)
        for (int64_t j = 0; j < n * H; j++) da[j] = a[j] > 0.0f ? dh[j] : 0.0f;
    else
        for (int64_t j = 0; j < n * H; j++) da[j] = dh[j] * (1.0f - a[j] * a[j]);
}

/* One table for one instruction set. */
#define KERNELS(suffix, attribute)                                                                                     \
    attribute static void lstm_forward_##suffix(int64_t n, int64_t H, float *a, const float *bias, const float *cp,   \
                                                float *c, float *t, float *h)                                         \
    {                                                                                                                  \
        lstm_forward(n, H, a, bias, cp, c, t, h);                                                                      \
    }                                                                                                                  \
    attribute static void lstm_backward_##suffix(int64_t n, int64_t H, const float *a, const float *cp,               \
                                                 const float *t, const float *dh, float *dc, float *da)               \
    {                                                                                                                  \
        lstm_backward(n, H, a, cp, t, dh, dc, da);                                                                     \
    }                                                                                                                  \
    attribute static void gru_gates_##suffix(int64_t n, int64_t H, float *a, const float *bias, const float *brh,     \
                                             const float *hp, float *q, bool lbr)                                     \
    {                                                                                                                  \
        gru_gates(n, H, a, bias, brh, hp, q, lbr);                                                                     \
    }                                                                                                                  \
    attribute static void gru_state_##suffix(int64_t n, int64_t H, float *a, const float *bias, const float *q,       \
                                             const float *hp, float *h, bool lbr)                                     \
    {                                                                                                                  \
        gru_state(n, H, a, bias, q, hp, h, lbr);                                                                       \
    }                                                                                                                  \
    attribute static void gru_backward_state_##suffix(int64_t n, int64_t H, const float *a, const float *q,           \
                                                      const float *hp, const float *dh, float *dhp, float *da,        \
                                                      float *dq, bool lbr)                                            \
    {                                                                                                                  \
        gru_backward_state(n, H, a, q, hp, dh, dhp, da, dq, lbr);                                                      \
    }                                                                                                                  \
    attribute static void gru_backward_gates_##suffix(int64_t n, int64_t H, const float *a, const float *hp,          \
                                                      const float *dq, float *dhp, float *da)                         \
    {                                                                                                                  \
        gru_backward_gates(n, H, a, hp, dq, dhp, da);                                                                  \
    }                                                                                                                  \
    attribute static void rnn_forward_##suffix(int64_t n, int64_t H, float *a, const float *bias, float *h, bool relu) \
    {                                                                                                                  \
        rnn_forward(n, H, a, bias, h, relu);                                                                           \
    }                                                                                                                  \
    attribute static void rnn_backward_##suffix(int64_t n, int64_t H, const float *a, const float *dh, float *da,     \
                                                bool relu)                                                            \
    {                                                                                                                  \
        rnn_backward(n, H, a, dh, da, relu);                                                                           \
    }                                                                                                                  \
    static const struct tsr_rnn_fast table_##suffix = {                                                                \
        lstm_forward_##suffix,       lstm_backward_##suffix,      gru_gates_##suffix,   gru_state_##suffix,            \
        gru_backward_state_##suffix, gru_backward_gates_##suffix, rnn_forward_##suffix, rnn_backward_##suffix}

KERNELS(portable, );
#if defined(__x86_64__) && defined(__GNUC__)
KERNELS(avx2, __attribute__((target("avx2"))));
#ifdef __clang__ /* has no prefer-vector-width here and would ignore the whole attribute */
KERNELS(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))));
#else
KERNELS(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))));
#endif
#endif

const struct tsr_rnn_fast *tsr_rnn_fast_kernels(int level)
{
#if defined(__x86_64__) && defined(__GNUC__)
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    bool avx2 = __builtin_cpu_supports("avx2");
    if (avx512 && (level < 0 || level == 2)) return &table_avx512;
    if (avx2 && (level < 0 || level == 1)) return &table_avx2;
#endif
    return level <= 0 ? &table_portable : NULL;
}
