/* vmath.c - chooses among the kernels of vmath_kernels.h. */
#include "tensor/vmath.h"
#include "tensor/isa.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline int32_t vm_bits(float f)
{
    int32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float vm_float(int32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline float vm_abs(float x)
{
    return vm_float(vm_bits(x) & 0x7fffffff);
}
/* |y| is not taken: y >= 0 gets the sign of x. */
static inline float vm_sign_of(float y, float x)
{
    return vm_float(vm_bits(y) | (vm_bits(x) & (int32_t)0x80000000));
}

/* Sixteen floats at any address; lowered to what the instruction set has. */
typedef float vm_v16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef void map_fn(int64_t, const float *, float *);
typedef void grad_fn(int64_t, const float *, const float *, float *);
struct vmath {
    map_fn *exp, *log, *tanh, *sigmoid, *erf, *gelu, *gelu_tanh, *softplus, *mish;
    grad_fn *gelu_grad, *gelu_tanh_grad, *softplus_grad, *mish_grad, *tanh_grad, *sigmoid_grad;
    void (*swish)(int64_t, float, const float *, float *);
    void (*swish_grad)(int64_t, float, const float *, const float *, float *);
    float (*exp_sum)(int64_t, const float *, float, float *);
    float (*max)(int64_t, const float *);
    double (*sum)(int64_t, const float *);
    double (*dot)(int64_t, const float *, const float *);
    void (*softmax)(int64_t, int64_t, const float *, float *);
    void (*normalise)(int64_t, int64_t, const struct tsr_vnorm *);
};

#define VM(name) name##_base
#define VM_TARGET
#define MA(a, b, c) ((a) * (b) + (c))
#if defined(__x86_64__)
#define VM_WIDTH 4
#define VM_VEC __m128
#define VM_LOAD(p) _mm_loadu_ps(p)
#define VM_STORE(p, v) _mm_storeu_ps(p, v)
#define VM_MAX(a, b) _mm_max_ps(a, b)
#else
#define VM_WIDTH 1
#define VM_VEC float
#define VM_LOAD(p) (*(p))
#define VM_STORE(p, v) (*(p) = (v))
#define VM_MAX(a, b) ((a) > (b) ? (a) : (b))
#endif
#include "tensor/vmath_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define VM_WIDTH 8
#define VM_VEC __m256
#define VM_LOAD(p) _mm256_loadu_ps(p)
#define VM_STORE(p, v) _mm256_storeu_ps(p, v)
#define VM_MAX(a, b) _mm256_max_ps(a, b)
#define VM(name) name##_avx2
#define VM_TARGET __attribute__((target("avx2,fma")))
#define MA(a, b, c) __builtin_fmaf(a, b, c)
#include "tensor/vmath_kernels.h"

#define VM_WIDTH 16
#define VM_VEC __m512
#define VM_LOAD(p) _mm512_loadu_ps(p)
#define VM_STORE(p, v) _mm512_storeu_ps(p, v)
#define VM_MAX(a, b) _mm512_max_ps(a, b)
#define VM(name) name##_avx512
#ifdef __clang__ /* has no prefer-vector-width here and would ignore the whole attribute */
#define VM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#else
#define VM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")))
#endif
#define MA(a, b, c) __builtin_fmaf(a, b, c)
#define VM_ROWS_BY_HAND
#include "tensor/vmath_avx512.h"
#include "tensor/vmath_kernels.h"
#endif

static atomic_int limit = 2;

static int level(void)
{
    int most = atomic_load_explicit(&limit, memory_order_relaxed);
#if defined(__x86_64__) && defined(__GNUC__)
    if (most >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (most >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return most < 0 ? most : 0;
}

static const struct vmath *vm(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    int l = level();
    if (l == 2) return &table_avx512;
    if (l == 1) return &table_avx2;
#endif
    return &table_base;
}

int tsr_vmath_limit(int most)
{
    atomic_store(&limit, most);
    return level();
}

void tsr_vexp(int64_t n, const float *x, float *y) { vm()->exp(n, x, y); }
void tsr_vlog(int64_t n, const float *x, float *y) { vm()->log(n, x, y); }
void tsr_vtanh(int64_t n, const float *x, float *y) { vm()->tanh(n, x, y); }
void tsr_vsigmoid(int64_t n, const float *x, float *y) { vm()->sigmoid(n, x, y); }
void tsr_verf(int64_t n, const float *x, float *y) { vm()->erf(n, x, y); }
void tsr_vgelu(int64_t n, const float *x, float *y) { vm()->gelu(n, x, y); }
void tsr_vgelu_tanh(int64_t n, const float *x, float *y) { vm()->gelu_tanh(n, x, y); }
void tsr_vsoftplus(int64_t n, const float *x, float *y) { vm()->softplus(n, x, y); }
void tsr_vmish(int64_t n, const float *x, float *y) { vm()->mish(n, x, y); }
void tsr_vswish(int64_t n, float alpha, const float *x, float *y) { vm()->swish(n, alpha, x, y); }
void tsr_vgelu_grad(int64_t n, const float *x, const float *gy, float *gx) { vm()->gelu_grad(n, x, gy, gx); }
void tsr_vgelu_tanh_grad(int64_t n, const float *x, const float *gy, float *gx) { vm()->gelu_tanh_grad(n, x, gy, gx); }
void tsr_vsoftplus_grad(int64_t n, const float *x, const float *gy, float *gx) { vm()->softplus_grad(n, x, gy, gx); }
void tsr_vmish_grad(int64_t n, const float *x, const float *gy, float *gx) { vm()->mish_grad(n, x, gy, gx); }
void tsr_vtanh_grad(int64_t n, const float *y, const float *gy, float *gx) { vm()->tanh_grad(n, y, gy, gx); }
void tsr_vsigmoid_grad(int64_t n, const float *y, const float *gy, float *gx) { vm()->sigmoid_grad(n, y, gy, gx); }
void tsr_vswish_grad(int64_t n, float alpha, const float *x, const float *gy, float *gx)
{
    vm()->swish_grad(n, alpha, x, gy, gx);
}
float tsr_vexp_sum(int64_t n, const float *x, float m, float *y) { return vm()->exp_sum(n, x, m, y); }
float tsr_vmax(int64_t n, const float *x) { return vm()->max(n, x); }
double tsr_vsum(int64_t n, const float *x) { return vm()->sum(n, x); }
double tsr_vdot(int64_t n, const float *x, const float *y) { return vm()->dot(n, x, y); }

void tsr_vnormalise(int64_t rows, int64_t n, const struct tsr_vnorm *v) { vm()->normalise(rows, n, v); }

double tsr_log_sum_exp(int64_t n, const float *x)
{
    const double top = (double)tsr_vmax(n, x);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - top);
    return top + log(sum);
}

/* Rows too short for vectors share one call of the exponential. */
void tsr_vsoftmax(int64_t rows, int64_t n, const float *x, float *y)
{
    if (n >= 32) {
        vm()->softmax(rows, n, x, y);
        return;
    }
    for (int64_t r = 0; r < rows;) {
        int64_t batch = 2048 / n < rows - r ? 2048 / n : rows - r;
        for (int64_t k = 0; k < batch; k++) {
            const float *a = x + k * n;
            float *b = y + k * n, m = a[0];
            for (int64_t i = 1; i < n; i++) m = a[i] > m ? a[i] : m;
            for (int64_t i = 0; i < n; i++) b[i] = a[i] - m;
        }
        tsr_vexp(batch * n, y, y);
        for (int64_t k = 0; k < batch; k++) {
            float *b = y + k * n, lane[4] = {0};
            int64_t i = 0;
            for (; i + 4 <= n; i += 4)
                for (int j = 0; j < 4; j++) lane[j] += b[i + j];
            for (int j = 0; i < n; i++, j++) lane[j] += b[i];
            float s = 1.0f / ((lane[0] + lane[1]) + (lane[2] + lane[3]));
            for (i = 0; i < n; i++) b[i] *= s;
        }
        r += batch, x += batch * n, y += batch * n;
    }
}
