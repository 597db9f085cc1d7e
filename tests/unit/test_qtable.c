/* Bytes that are looked up: every kernel of this machine, any length, in place. */
#include "suite.h"

#include "base/rng.h"
#include "tensor/qtable.h"

#include <string.h>

START_TEST(all_kernels)
{
    enum { MOST = 400 };
    uint8_t table[256], x[MOST], y[MOST + 1];
    struct tsr_rng r;
    tsr_rng_init(&r, 8, 0);
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)tsr_rng_below(&r, 256);
    for (int i = 0; i < MOST; i++) x[i] = (uint8_t)(i * 7); /* all 256 values, and some again */
    for (int level = 0; level <= 2; level++) {
        if (tsr_qtable_limit(level) != level) continue; /* not on this machine */
        for (int n = 0; n <= MOST; n++) {
            memset(y, 0xa5, sizeof y);
            tsr_qtable(n, table, x, y);
            for (int i = 0; i < n; i++) ck_assert_msg(y[i] == table[x[i]], "level %d, %d of %d", level, i, n);
            ck_assert_int_eq(y[n], 0xa5);
            memcpy(y, x, (size_t)n);
            tsr_qtable(n, table, y, y);
            for (int i = 0; i < n; i++) ck_assert_msg(y[i] == table[x[i]], "level %d in place, %d of %d", level, i, n);
        }
    }
    ck_assert_int_le(tsr_qtable_limit(2), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor/qtable");
    TCase *c = tcase_create("all");
    tcase_add_test(c, all_kernels);
    suite_add_tcase(s, c);
    return run_suite(s);
}
