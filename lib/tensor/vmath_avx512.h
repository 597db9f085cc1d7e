/* vmath_avx512.h - exponentials of rows by hand, for vmath.c: vscalef applies 2^n in one rounding, subnormal results
 * included, where exp1 of vmath_kernels.h needs eight operations for the same bits; and a row's largest element and its
 * sum stay in registers. The sums are those of exp_sum1: sixteen lanes, added up pairwise in the end. */

VM_TARGET static inline __attribute__((always_inline)) __m512 exp_avx512_16(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(0x1.8p23f);
    x = _mm512_min_ps(_mm512_set1_ps(89.0f), x); /* the second operand where one is NaN */
    x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x);
    const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504f), magic), magic);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375f), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.00138145985276f), r, _mm512_set1_ps(0.0083687168777f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0416683880462f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.166665206317f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.499999934478f));
    p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r), _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* ((0 + 8) + (4 + 12)) + ((2 + 10) + (6 + 14)), and the odd ones likewise. */
VM_TARGET static inline __attribute__((always_inline)) float lanes_avx512(__m512 v)
{
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

VM_TARGET static inline __attribute__((always_inline)) float exp_sum1_avx512(int64_t n, const float *x, __m512 m, float *y)
{
    __m512 sum = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 e = exp_avx512_16(_mm512_sub_ps(_mm512_loadu_ps(x + i), m));
        _mm512_storeu_ps(y + i, e);
        sum = _mm512_add_ps(sum, e);
    }
    if (i < n) {
        const __mmask16 mask = (__mmask16)((1U << (n - i)) - 1);
        const __m512 e = exp_avx512_16(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), m));
        _mm512_mask_storeu_ps(y + i, mask, e);
        sum = _mm512_mask_add_ps(sum, mask, sum, e);
    }
    return lanes_avx512(sum);
}

VM_TARGET static float exp_sum_avx512(int64_t n, const float *x, float m, float *y)
{
    return exp_sum1_avx512(n, x, _mm512_set1_ps(m), y);
}

/* A row with a NaN is all NaN, whatever its largest element is taken for. */
VM_TARGET static void softmax_avx512(int64_t rows, int64_t n, const float *x, float *y)
{
    const int64_t whole = n - n % 16;
    const __mmask16 rest = (__mmask16)((1U << (n - whole)) - 1);
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        __m512 top = _mm512_set1_ps(-__builtin_inff());
        if (rest != 0) top = _mm512_mask_loadu_ps(top, rest, x + whole);
        for (int64_t i = 0; i < whole; i += 16) top = _mm512_max_ps(_mm512_loadu_ps(x + i), top);
        const float sum = exp_sum1_avx512(n, x, _mm512_set1_ps(_mm512_reduce_max_ps(top)), y);
        const __m512 s = _mm512_set1_ps(1.0f / sum);
        for (int64_t i = 0; i < whole; i += 16) _mm512_storeu_ps(y + i, _mm512_mul_ps(_mm512_loadu_ps(y + i), s));
        /* not where it stores nothing: the next row would wait for it */
        if (rest != 0) _mm512_mask_storeu_ps(y + whole, rest, _mm512_mul_ps(_mm512_maskz_loadu_ps(rest, y + whole), s));
    }
}
