/* vmath.c - chooses among the kernels of vmath_kernels.h. */
#include "tensor/vmath.h"
#include "tensor/isa.h"

#include <stdatomic.h>
#include <string.h>

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
};

#define VM(name) name##_base
#define VM_TARGET
#define MA(a, b, c) ((a) * (b) + (c))
#include "tensor/vmath_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define VM(name) name##_avx2
#define VM_TARGET __attribute__((target("avx2,fma")))
#define MA(a, b, c) __builtin_fmaf(a, b, c)
#include "tensor/vmath_kernels.h"

#define VM(name) name##_avx512
#ifdef __clang__ /* has no prefer-vector-width here and would ignore the whole attribute */
#define VM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#else
#define VM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")))
#endif
#define MA(a, b, c) __builtin_fmaf(a, b, c)
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
