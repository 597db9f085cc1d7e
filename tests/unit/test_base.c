/* The base module against published vectors, and the thread pool. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "suite.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(little_endian)
{
    uint8_t b[8];
    tsr_put_le64(b, UINT64_C(0x0123456789abcdef));
    ck_assert_mem_eq(b, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
    ck_assert(tsr_get_le64(b) == UINT64_C(0x0123456789abcdef));
    ck_assert(tsr_get_le32(b) == 0x89abcdefu);
    ck_assert(tsr_get_le16(b + 6) == 0x0123);
}
END_TEST

/* RFC 3720 appendix B.4; and the same in any two pieces, at any alignment. */
START_TEST(crc32c)
{
    uint8_t b[300] = {0};
    ck_assert(tsr_crc32c(0, "123456789", 9) == 0xE3069283u);
    ck_assert(tsr_crc32c(0, b, 32) == 0x8A9136AAu);
    memset(b, 0xff, 32);
    ck_assert(tsr_crc32c(0, b, 32) == 0x62A8AB43u);
    for (int i = 0; i < 32; i++) b[i] = (uint8_t)i;
    ck_assert(tsr_crc32c(0, b, 32) == 0x46DD794Eu);
    ck_assert(tsr_crc32c(0, b, 0) == 0);
    for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)(i * 7 + 3);
    uint32_t whole = tsr_crc32c(0, b, sizeof b);
    for (size_t cut = 0; cut <= sizeof b; cut++)
        ck_assert(tsr_crc32c(tsr_crc32c(0, b, cut), b + cut, sizeof b - cut) == whole);
}
END_TEST

/* FIPS 180-4 examples. */
START_TEST(sha256)
{
    uint8_t d[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    tsr_sha256("abc", 3, d);
    tsr_hex(d, sizeof d, hex);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    tsr_sha256("", 0, d);
    tsr_hex(d, sizeof d, hex);
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct tsr_sha256 h;
    tsr_sha256_init(&h);
    tsr_sha256_update(&h, "a", 1);
    tsr_sha256_update(&h, "bc", 2);
    tsr_sha256_final(&h, d);
    tsr_hex(d, 4, hex);
    ck_assert_str_eq(hex, "ba7816bf");
}
END_TEST

/* BLAKE2b-128 of "" (RFC 7693's algorithm). */
START_TEST(sample_key)
{
    struct tsr_keyhash h;
    struct tsr_key a, b;
    char hex[2 * TSR_KEY_LEN + 1];
    tsr_keyhash_init(&h);
    tsr_keyhash_final(&h, &a);
    tsr_hex(a.b, sizeof a.b, hex);
    ck_assert_str_eq(hex, "cae66941d9efbd404e4d88758ea67670");
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, "one", 3);
    tsr_keyhash_update(&h, "two", 3);
    tsr_keyhash_final(&h, &a);
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, "onetwo", 6);
    tsr_keyhash_final(&h, &b);
    ck_assert_mem_eq(a.b, b.b, sizeof a.b);
}
END_TEST

START_TEST(rng_is_uniform_and_repeats)
{
    struct tsr_rng a, b, c;
    double sum = 0, square = 0;
    int64_t histogram[10] = {0};
    const int n = 200000;
    tsr_rng_init(&a, 7, 0);
    tsr_rng_init(&b, 7, 0);
    tsr_rng_init(&c, 7, 1);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t v = tsr_rng_u64(&a);
        ck_assert(v == tsr_rng_u64(&b));
        same += v == tsr_rng_u64(&c);
    }
    ck_assert_int_eq(same, 0);
    for (int i = 0; i < n; i++) {
        float x = tsr_rng_normal(&a), u = tsr_rng_float(&a);
        double d = tsr_rng_double(&a);
        ck_assert(fabsf(x) <= 6 && u >= 0 && u < 1 && d >= 0 && d < 1);
        sum += (double)x;
        square += (double)x * (double)x;
        histogram[tsr_rng_below(&a, 10)]++;
    }
    /* five standard deviations */
    ck_assert(fabs(sum / n) < 5 / sqrt(n));
    ck_assert(fabs(square / n - 1) < 5 * sqrt(2.0 / n));
    for (int i = 0; i < 10; i++) ck_assert(fabs((double)histogram[i] - n / 10.0) < 5 * sqrt(n * 0.09));
}
END_TEST

/* What the recipes of streams already written depend on. */
START_TEST(rng_never_changes)
{
    struct tsr_rng r;
    struct tsr_key key;
    tsr_rng_init(&r, 1, 0);
    ck_assert(tsr_rng_u64(&r) == UINT64_C(0xee127fe613436e33));
    ck_assert(tsr_rng_u64(&r) == UINT64_C(0xd6dad8d34a1874ea));
    ck_assert(tsr_rng_u64(&r) == UINT64_C(0x2a52c16cec1116a9));
    for (int i = 0; i < TSR_KEY_LEN; i++) key.b[i] = (uint8_t)i;
    tsr_rng_init_key(&r, 1, &key, 2);
    ck_assert(tsr_rng_u64(&r) == UINT64_C(0x706efb99a152ecea));
}
END_TEST

START_TEST(shuffle_is_a_permutation)
{
    struct tsr_rng r;
    uint32_t index[257];
    bool seen[257] = {false};
    for (uint32_t i = 0; i < 257; i++) index[i] = i;
    tsr_rng_init(&r, 3, 0);
    tsr_rng_shuffle(&r, index, 257);
    int moved = 0;
    for (uint32_t i = 0; i < 257; i++) {
        ck_assert(index[i] < 257 && !seen[index[i]]);
        seen[index[i]] = true;
        moved += index[i] != i;
    }
    ck_assert_int_gt(moved, 240);
    tsr_rng_shuffle(&r, index, 1);
    tsr_rng_shuffle(&r, index, 0);
}
END_TEST

START_TEST(checked_memory)
{
    size_t v = 5;
    ck_assert(!tsr_mul_size(SIZE_MAX / 2, 3, &v) && v == 5);
    ck_assert(!tsr_add_size(SIZE_MAX, 1, &v) && v == 5);
    ck_assert(tsr_mul_size(6, 7, &v) && v == 42);
    void *p = tsr_malloc(SIZE_MAX / 4, 8);
    ck_assert_ptr_null(p);
    p = tsr_aligned(100);
    ck_assert(p != NULL && (uintptr_t)p % 64 == 0);
    tsr_free(p);
    p = tsr_malloc(0, 8);
    ck_assert_ptr_nonnull(p);
    tsr_free(p);

    int *list = NULL;
    size_t cap = 0;
    struct tsr_error err;
    for (size_t n = 1; n < 1000; n++) {
        ck_assert_int_eq(tsr_grow(&list, &cap, n, sizeof *list, &err), TSR_OK);
        ck_assert(cap >= n);
        list[n - 1] = (int)n;
    }
    int *before = list;
    size_t old = cap;
    tsr_mem_fail_after(1);
    ck_assert_int_eq(tsr_grow(&list, &cap, cap + 1, sizeof *list, &err), TSR_E_NOMEM);
    tsr_mem_fail_after(0);
    ck_assert(list == before && cap == old && list[998] == 999);
    ck_assert_int_eq(tsr_grow(&list, &cap, SIZE_MAX / 2, sizeof *list, &err), TSR_E_NOMEM);
    tsr_free(list);
}
END_TEST

START_TEST(buffer)
{
    struct tsr_buf b = {0};
    struct tsr_error err;
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(tsr_buf_append(&b, "0123456789", 10, &err), TSR_OK);
    ck_assert_uint_eq(b.len, 10000);
    ck_assert_mem_eq(b.data + 9990, "0123456789", 10);
    tsr_buf_clear(&b);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_int_eq(tsr_buf_reserve(&b, SIZE_MAX - 5, &err), TSR_E_NOMEM);
    tsr_buf_release(&b);
    ck_assert(b.data == NULL && b.cap == 0);
}
END_TEST

START_TEST(error_sentences)
{
    struct tsr_error err = {0};
    ck_assert_int_eq(tsr_fail(&err, TSR_E_CORRUPT, "record %d is damaged", 7), TSR_E_CORRUPT);
    ck_assert_int_eq(err.status, TSR_E_CORRUPT);
    ck_assert_int_eq(strncmp(err.message, "record 7 is damaged", 19), 0);
    tsr_error_prefix(&err, "'%s'", "x.tsr");
    ck_assert_int_eq(err.status, TSR_E_CORRUPT);
    ck_assert_int_eq(strncmp(err.message, "'x.tsr': record 7", 17), 0);
    ck_assert_int_eq(tsr_fail(NULL, TSR_E_IO, "nobody reads this"), TSR_E_IO);
    char longer[2000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(tsr_fail(&err, TSR_E_IO, "%s", longer), TSR_E_IO);
    ck_assert_uint_lt(strlen(err.message), sizeof err.message);
    ck_assert_str_eq(tsr_status_name(TSR_E_CORRUPT), "corrupt");
}
END_TEST

struct job {
    struct tsr_pool *pool;
    atomic_int *times;
    int64_t n;
    atomic_int worker_bad, nested;
};

static void nested(void *arg, int64_t i, int worker)
{
    struct job *j = arg;
    (void)i;
    (void)worker;
    atomic_fetch_add(&j->nested, 1);
}

static void once(void *arg, int64_t i, int worker)
{
    struct job *j = arg;
    if (worker < 0 || worker >= tsr_pool_threads(j->pool)) atomic_fetch_add(&j->worker_bad, 1);
    atomic_fetch_add(&j->times[i], 1);
    if (i % 100 == 0) tsr_pool_run(j->pool, 3, nested, j);
}

/* Every index exactly once, for any number of threads and of indices, many times over. */
START_TEST(pool)
{
    struct tsr_error err;
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 1000};
    struct job j = {.pool = NULL};
    ck_assert_int_eq(tsr_pool_new(_i, &j.pool, &err), TSR_OK);
    ck_assert_int_ge(tsr_pool_threads(j.pool), 1);
    if (_i > 0) ck_assert_int_eq(tsr_pool_threads(j.pool), _i);
    j.times = calloc(1000, sizeof *j.times);
    for (int round = 0; round < 50; round++) {
        if (round % 5 == 0) usleep(300); /* by now the workers have stopped spinning and sleep */
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            for (int i = 0; i < 1000; i++) atomic_store(&j.times[i], 0);
            tsr_pool_run(j.pool, sizes[k], once, &j);
            for (int64_t i = 0; i < 1000; i++) ck_assert_int_eq(atomic_load(&j.times[i]), i < sizes[k]);
        }
    }
    ck_assert_int_eq(atomic_load(&j.worker_bad), 0);
    ck_assert_int_eq(atomic_load(&j.nested), 50 * 3 * (1 + 1 + 1 + 1 + 10));
    free(j.times);
    tsr_pool_free(j.pool);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *c = tcase_create("base");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, little_endian);
    tcase_add_test(c, crc32c);
    tcase_add_test(c, sha256);
    tcase_add_test(c, sample_key);
    tcase_add_test(c, rng_is_uniform_and_repeats);
    tcase_add_test(c, rng_never_changes);
    tcase_add_test(c, shuffle_is_a_permutation);
    tcase_add_test(c, checked_memory);
    tcase_add_test(c, buffer);
    tcase_add_test(c, error_sentences);
    tcase_add_loop_test(c, pool, 0, 6);
    suite_add_tcase(s, c);
    return run_suite(s);
}
