#include "base/rng.h"

#include "base/bytes.h"

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void tsr_rng_init(struct tsr_rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed;
    x = splitmix(&x) ^ stream;
    for (int i = 0; i < 4; i++) r->s[i] = splitmix(&x);
}

void tsr_rng_init_key(struct tsr_rng *r, uint64_t seed, const struct tsr_key *key, uint64_t stream)
{
    uint64_t x = seed;
    x = splitmix(&x) ^ tsr_get_le64(key->b);
    x = splitmix(&x) ^ tsr_get_le64(key->b + 8);
    x = splitmix(&x) ^ stream;
    for (int i = 0; i < 4; i++) r->s[i] = splitmix(&x);
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t tsr_rng_u64(struct tsr_rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t tsr_rng_below(struct tsr_rng *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)tsr_rng_u64(r) * n) >> 64);
}

float tsr_rng_float(struct tsr_rng *r) { return (float)(tsr_rng_u64(r) >> 40) * 0x1p-24f; }

double tsr_rng_double(struct tsr_rng *r) { return (double)(tsr_rng_u64(r) >> 11) * 0x1p-53; }

float tsr_rng_normal(struct tsr_rng *r)
{
    int32_t sum = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t x = tsr_rng_u64(r);
        for (int j = 0; j < 4; j++, x >>= 16) sum += (int32_t)(x & 0xFFFF);
    }
    return (float)(sum - 6 * 65535) * 0x1p-16f;
}

void tsr_rng_shuffle(struct tsr_rng *r, uint32_t *index, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)tsr_rng_below(r, i);
        uint32_t t = index[i - 1];
        index[i - 1] = index[j];
        index[j] = t;
    }
}
