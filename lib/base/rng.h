/* rng.h - the deterministic generator behind weights, shuffles and views: xoshiro256**
 * (Blackman and Vigna, 2021) seeded through SplitMix64. Integer arithmetic and exact
 * conversions only, so the same seed gives the same numbers on every machine.
 * Not for secrets. A generator belongs to one thread. */
#ifndef TSR_BASE_RNG_H
#define TSR_BASE_RNG_H

#include "base/hash.h"

struct tsr_rng {
    uint64_t s[4];
};

/* `stream` separates independent sequences of one seed. */
void tsr_rng_init(struct tsr_rng *r, uint64_t seed, uint64_t stream);
/* The sequence that belongs to one sample. */
void tsr_rng_init_key(struct tsr_rng *r, uint64_t seed, const struct tsr_key *key, uint64_t stream);

uint64_t tsr_rng_u64(struct tsr_rng *r);
/* Uniform in [0, n), n >= 1, by multiply-high (bias below n / 2^64). */
uint64_t tsr_rng_below(struct tsr_rng *r, uint64_t n);
/* Uniform in [0, 1): a multiple of 2^-24 (float), 2^-53 (double). */
float tsr_rng_float(struct tsr_rng *r);
double tsr_rng_double(struct tsr_rng *r);
/* Approximately standard normal: the sum of twelve 16-bit uniforms, centred (Irwin-Hall).
 * Mean 0, variance 1, |x| <= 6; exact in integers, hence the same on every machine. */
float tsr_rng_normal(struct tsr_rng *r);
/* Fisher-Yates shuffle of n indices. */
void tsr_rng_shuffle(struct tsr_rng *r, uint32_t *index, size_t n);

#endif
