/* The allocator of sessions: blocks never overlap, gaps grow together, and what is taken stays near
 * the most that was held at once. */
#include "iotest.h"

#include "graph/recycler.h"

#include <string.h>

static void *get(struct tsr_recycler *r, size_t n)
{
    void *p = r->allocator.get(r->allocator.self, n);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    return p;
}

static void put(struct tsr_recycler *r, void *p, size_t n) { r->allocator.put(r->allocator.self, p, n); }

START_TEST(same_block_again)
{
    struct tsr_recycler r;
    static const size_t size[] = {1, 64, 65, 5000, 16384, 16385, 100000, 1 << 20, 5 << 20};
    tsr_recycler_init(&r);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        void *a = get(&r, size[i]);
        memset(a, 1, size[i]);
        put(&r, a, size[i]);
        void *b = get(&r, size[i]);
        ck_assert_ptr_eq(a, b);
        put(&r, b, size[i]);
    }
    ck_assert_uint_eq(r.region[0].top, 0);
    ck_assert_uint_eq(r.region[0].n_gap, 0);
    tsr_recycler_release(&r);
}
END_TEST

/* Three neighbours given back in every order leave one gap, into which one large block goes. */
START_TEST(gaps_grow_together)
{
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    enum { N = 1 << 20 };
    for (int o = 0; o < 6; o++) {
        struct tsr_recycler r;
        tsr_recycler_init(&r);
        void *p[3], *last;
        for (int i = 0; i < 3; i++) p[i] = get(&r, N);
        last = get(&r, N);
        size_t top = r.region[0].top;
        for (int i = 0; i < 3; i++) put(&r, p[order[o][i]], N);
        ck_assert_uint_eq(r.region[0].n_gap, 1);
        void *big = get(&r, 3 * N);
        ck_assert_ptr_eq(big, p[0]);
        ck_assert_uint_eq(r.region[0].top, top);
        put(&r, big, 3 * N);
        put(&r, last, N);
        ck_assert_uint_eq(r.region[0].top, 0);
        ck_assert_uint_eq(r.region[0].n_gap, 0);
        tsr_recycler_release(&r);
    }
}
END_TEST

/* The smallest gap that is large enough is taken. */
START_TEST(best_fit)
{
    struct tsr_recycler r;
    tsr_recycler_init(&r);
    void *a = get(&r, 300000), *x = get(&r, 20000), *b = get(&r, 100000), *y = get(&r, 20000);
    put(&r, a, 300000);
    put(&r, b, 100000);
    void *c = get(&r, 90000);
    ck_assert_ptr_eq(c, b);
    put(&r, c, 90000);
    put(&r, x, 20000);
    put(&r, y, 20000);
    ck_assert_uint_eq(r.region[0].top, 0);
    tsr_recycler_release(&r);
}
END_TEST

/* Blocks of any size come and go; each keeps what was written into it. The region stays within a
 * quarter of the most that was held at once. */
START_TEST(coming_and_going)
{
    enum { LIVE = 60, TURNS = 20000 };
    struct tsr_recycler r;
    struct tsr_rng rng;
    struct {
        uint8_t *p;
        size_t n;
        uint8_t mark;
    } block[LIVE] = {{0}};
    size_t held = 0, most = 0, top = 0;
    tsr_recycler_init(&r);
    tsr_rng_init(&rng, 3, 0);
    for (int t = 0; t < TURNS; t++) {
        size_t i = tsr_rng_below(&rng, LIVE);
        if (block[i].p != NULL) {
            for (size_t k = 0; k < block[i].n; k += 1 + block[i].n / 7) ck_assert_uint_eq(block[i].p[k], block[i].mark);
            ck_assert_uint_eq(block[i].p[block[i].n - 1], block[i].mark);
            put(&r, block[i].p, block[i].n);
            held -= block[i].n;
            block[i].p = NULL;
            continue;
        }
        block[i].n = 1 + tsr_rng_below(&rng, 1u << (4 + tsr_rng_below(&rng, 16)));
        block[i].mark = (uint8_t)t;
        block[i].p = get(&r, block[i].n);
        memset(block[i].p, block[i].mark, block[i].n);
        held += block[i].n;
        if (held > most) most = held;
        if (r.region[0].top > top) top = r.region[0].top;
    }
    ck_assert_msg(top < most + most / 4, "%zu bytes for %zu held at once", top, most);
    for (size_t i = 0; i < LIVE; i++)
        if (block[i].p != NULL) put(&r, block[i].p, block[i].n);
    ck_assert_uint_eq(r.region[0].top, 0);
    tsr_recycler_release(&r);
}
END_TEST

static void mark(void *p, size_t n, uint8_t byte)
{
    for (size_t i = 0; i < n; i += 4096) ((uint8_t *)p)[i] = byte;
}

static bool has_mark(const void *p, size_t n, uint8_t byte)
{
    size_t i = 0;
    while (i < n && ((const uint8_t *)p)[i] == byte) i += 4096;
    return i >= n;
}

/* What does not fit into the first region goes into the second, until there is a gap in the first. */
START_TEST(two_regions)
{
    enum { N = 40 << 20 };
    struct tsr_recycler r;
    tsr_recycler_init(&r);
    void *a = get(&r, N), *b = get(&r, N), *c = get(&r, N);
    mark(a, N, 1);
    mark(b, N, 2);
    mark(c, N, 3);
    ck_assert_uint_eq(r.region[0].blocks, 1);
    ck_assert_uint_eq(r.region[1].blocks, 2);
    ck_assert(has_mark(a, N, 1) && has_mark(b, N, 2) && has_mark(c, N, 3));
    put(&r, a, N);
    put(&r, b, N);
    ck_assert(has_mark(c, N, 3));
    void *d = get(&r, N); /* a gap is better than growth */
    ck_assert_ptr_eq(d, b);
    void *e = get(&r, N);
    ck_assert_ptr_eq(e, a);
    put(&r, c, N);
    put(&r, d, N);
    put(&r, e, N);
    for (size_t i = 0; i < TSR_RECYCLER_REGIONS; i++) {
        ck_assert_uint_eq(r.region[i].top, 0);
        ck_assert_uint_eq(r.region[i].n_gap, 0);
        ck_assert_uint_eq(r.region[i].blocks, 0);
    }
    tsr_recycler_release(&r);
}
END_TEST

/* Pages of address space of this process; 0: the system does not say. */
static long pages(void)
{
    long n = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL) return 0;
    if (fscanf(f, "%ld", &n) != 1) n = 0;
    (void)fclose(f);
    return n;
}

/* Many sessions live at once, under limits on address space (ulimit -v), and an emulator pays for it. */
START_TEST(little_address_space)
{
    struct tsr_recycler r;
    tsr_recycler_init(&r);
    const long before = pages();
    void *a = get(&r, 1 << 20);
    const long more = pages() - before;
    put(&r, a, 1 << 20);
    tsr_recycler_release(&r);
    ck_assert_msg(more < 1 << 15, "%ld pages of address space for 1 MiB", more);
}
END_TEST

/* Without address space of its own it lives on plain memory, as under a limit (ulimit -v). */
START_TEST(without_a_region)
{
    struct tsr_recycler r;
    tsr_recycler_init(&r);
    for (size_t i = 0; i < TSR_RECYCLER_REGIONS; i++) r.region[i].asked = true;
    void *a = get(&r, 1 << 20), *b = get(&r, 100);
    memset(a, 1, 1 << 20);
    put(&r, a, 1 << 20);
    put(&r, b, 100);
    ck_assert_ptr_null(r.allocator.get(&r, SIZE_MAX / 2));
    tsr_recycler_release(&r);
}
END_TEST

static enum tsr_status some_blocks(void)
{
    struct tsr_recycler r;
    tsr_recycler_init(&r);
    void *p[4] = {0};
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < 4; i++) {
        p[i] = r.allocator.get(&r, 30000 << i * 2);
        if (p[i] == NULL) status = TSR_E_NOMEM;
    }
    for (size_t i = 0; i < 4; i++)
        if (p[i] != NULL) put(&r, p[i], 30000 << i * 2);
    tsr_recycler_release(&r);
    return status;
}

START_TEST(short_of_memory)
{
    TORTURE(some_blocks());
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {same_block_again, gaps_grow_together, best_fit, coming_and_going, two_regions,
                                  little_address_space, without_a_region, short_of_memory};
    return run_tests("recycler", tests, sizeof tests / sizeof *tests);
}
