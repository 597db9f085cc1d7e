/* bench_gemm - single-precision products: our kernels against OpenBLAS, one thread, same run.
 * One JSON object a line: shape, transposition, GFLOP/s of both of CPU time (the best of
 * several rounds).
 *     bench_gemm [KERNEL] */
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    int m, n, k, batch;
    const char *what;
} shapes[] = {
    {64, 64, 192, 1, "layer"},          {64, 64, 64, 1, "layer"},          {1024, 64, 128, 1, "tokens"},
    {64, 10, 128, 1, "head"},           {2560, 64, 9, 1, "conv"},          {16, 64, 64, 1, "layer"},
    {64, 128, 512, 1, "layer"},         {1024, 64, 64, 1, "tokens"},       {1024, 256, 64, 1, "tokens"},
    {1024, 64, 256, 1, "tokens"},       {64, 64, 1024, 1, "weights"},      {64, 256, 64, 1, "lstm gates"},
    {64, 256, 256, 1, "layer"},         {128, 784, 64, 1, "first layer"},  {64, 784, 9, 1, "conv"},
    {64, 256, 576, 1, "conv 3x3"},      {512, 512, 64, 1, "layer"},        {4096, 512, 512, 1, "large"},
    {1, 256, 256, 1, "single"},         {1, 64, 64, 1, "single"},          {4, 128, 128, 1, "few"},
    {512, 512, 512, 1, "large"},        {1024, 1024, 1024, 1, "large"},    {16, 16, 16, 256, "attention"},
    {16, 16, 32, 256, "attention"},     {64, 64, 32, 64, "attention"},     {32, 32, 16, 128, "attention"},
    {64, 32, 64, 64, "attention"},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* both run on this thread; others may be busy */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void once(const struct tsr_gemm *g, bool ours)
{
    if (ours) {
        tsr_gemm_run(g, NULL);
        return;
    }
    for (int64_t x = 0; x < (g->batch > 1 ? g->batch : 1); x++)
        tsr_blas_sgemm(g->ta, g->tb, g->m, g->n, g->k, g->alpha, g->a + x * g->stride_a, g->lda, g->b + x * g->stride_b,
                       g->ldb, g->beta, g->c + x * g->stride_c, g->ldc);
}

/* GFLOP/s: the best of rounds of about 2 ms, ours and theirs in turn. */
static void rates(const struct tsr_gemm *g, double rate[2])
{
    double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k * (double)g->batch;
    int64_t times = (int64_t)(1e8 / flop) + 1;
    rate[0] = rate[1] = 0;
    for (int round = 0; round < 16; round++) {
        double t = now();
        for (int64_t i = 0; i < times; i++) once(g, round & 1);
        double r = flop * (double)times / (now() - t) * 1e-9;
        if (r > rate[round & 1]) rate[round & 1] = r;
    }
}

int main(int argc, char **argv)
{
    struct tsr_error err = {0};
    if (argc > 1 && tsr_gemm_use(argv[1], &err) != TSR_OK) {
        fprintf(stderr, "bench_gemm: %s\n", err.message);
        return 2;
    }
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int mode = 0; mode < 4; mode++) {
            int64_t m = shapes[s].m, n = shapes[s].n, k = shapes[s].k, batch = shapes[s].batch;
            struct tsr_gemm g = {.ta = mode & 1, .tb = mode & 2, .m = m, .n = n, .k = k, .alpha = 1, .batch = batch,
                                 .stride_a = m * k, .stride_b = k * n, .stride_c = m * n, .ldc = n};
            if (mode == 3) continue;
            g.lda = g.ta ? m : k, g.ldb = g.tb ? k : n;
            size_t na = (size_t)(m * k * batch), nb = (size_t)(k * n * batch), nc = (size_t)(m * n * batch);
            float *data = tsr_aligned((na + nb + nc + 64) * sizeof *data), *b = data + (na + 15) / 16 * 16;
            if (data == NULL) return 4;
            struct tsr_rng r;
            tsr_rng_init(&r, 1, 0);
            for (size_t i = 0; i < na + nb + 16; i++) data[i] = tsr_rng_float(&r) - 0.5F;
            g.a = data, g.b = b, g.c = b + (nb + 15) / 16 * 16;
            double rate[2];
            rates(&g, rate);
            printf("{\"what\": \"%s\", \"m\": %d, \"n\": %d, \"k\": %d, \"batch\": %d, \"trans\": \"%s\", \"kernel\": \"%s\", "
                   "\"gflops\": %.1f, \"openblas\": %.1f, \"ratio\": %.2f}\n",
                   shapes[s].what, shapes[s].m, shapes[s].n, shapes[s].k, shapes[s].batch,
                   mode == 0 ? "nn" : mode == 1 ? "tn" : "nt", tsr_gemm_kernel(), rate[1], rate[0], rate[1] / rate[0]);
            tsr_free(data);
        }
    return 0;
}
