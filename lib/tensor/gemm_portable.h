/* gemm_portable.h - a transpose and partial vectors in plain C, for the instruction sets without
 * their own. */

static void transpose(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts)
{
    for (int64_t j = 0; j < (n + VL - 1) / VL * VL; j++)
        for (int64_t p = 0; p < k; p++) to[p * ts + j] = from[(j < n ? j : n - 1) * fs + p];
}

static inline V load_last(const float *p, int64_t n)
{
    float all[VL] = {0};
    for (int64_t i = 0; i < n; i++) all[i] = p[i];
    return LOAD(all);
}

static inline void store_last(float *p, V v, int64_t n)
{
    float all[VL];
    STORE(all, v);
    for (int64_t i = 0; i < n; i++) p[i] = all[i];
}
