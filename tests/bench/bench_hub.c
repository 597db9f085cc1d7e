/* bench_hub - how long a model's calibration for the hub takes: encoder, decoder. One JSON object: milliseconds of CPU
 * time on one thread (the median of several runs) for 400 anchors and a layer 128 wide. */
#include "base/mem.h"
#include "base/rng.h"
#include "hub/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ANCHORS = 400, WIDTH = 128, RANK = 64, RUNS = 31 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int main(void)
{
    static float a[ANCHORS * WIDTH], basis[ANCHORS * RANK];
    double encoder_ms[RUNS], decoder_ms[RUNS];
    struct tsr_error err;
    struct tsr_rng rng;
    tsr_rng_init(&rng, 1, 0);
    for (int i = 0; i < ANCHORS; i++) /* features of falling strength, as layers have them */
        for (int j = 0; j < WIDTH; j++) a[i * WIDTH + j] = tsr_rng_normal(&rng) / (float)(1 + j);
    for (int run = 0; run < RUNS; run++) {
        struct tsr_hub_encoder e;
        struct tsr_hub_decoder d;
        double t = now();
        if (tsr_hub_calibrate(&e, a, ANCHORS, WIDTH, RANK, &err) != TSR_OK) goto fail;
        encoder_ms[run] = now() - t;
        for (int64_t i = 0; i < ANCHORS * e.rank; i++) basis[i] = (float)e.basis[i];
        t = now();
        if (tsr_hub_decoder_init(&d, a, ANCHORS, WIDTH, basis, e.rank, &err) != TSR_OK) goto fail;
        decoder_ms[run] = now() - t;
        tsr_hub_encoder_release(&e);
        tsr_hub_decoder_release(&d);
    }
    qsort(encoder_ms, RUNS, sizeof *encoder_ms, by_value);
    qsort(decoder_ms, RUNS, sizeof *decoder_ms, by_value);
    printf("{\"anchors\":%d,\"decoder_ms\":%.3f,\"encoder_ms\":%.3f,\"width\":%d,\"what\":\"calibration\"}\n", ANCHORS,
           decoder_ms[RUNS / 2], encoder_ms[RUNS / 2], WIDTH);
    return 0;
fail:
    fprintf(stderr, "bench_hub: %s\n", err.message);
    return 1;
}
