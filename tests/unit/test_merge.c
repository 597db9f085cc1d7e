/* The parts of merging: arithmetic, embeddings, quantiles, rules, rolls, lists. What they make of streams is in
 * tests/cli/merge. */
#include "base/mem.h"
#include "base/rng.h"
#include "merge/factor.h"
#include "merge/kernel.h"
#include "merge/merge.h"
#include "merge/plane.h"
#include "merge/real.h"
#include "merge/roll.h"
#include "merge/roster.h"
#include "merge/rule.h"
#include "merge/table.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tsr_error err;

#define OK(expression) ck_assert_msg((expression) == TSR_OK, "%s", err.message)

START_TEST(exponential_and_logarithm)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 1, 0);
    for (int i = 0; i < 100000; i++) {
        double x = (tsr_rng_double(&r) - 0.5) * (i % 2 ? 2 : 1300), y = tsr_real_exp(x), e = exp(x);
        ck_assert(fabs(y - e) <= 1e-14 * e);
        if (i % 2 == 0) continue;
        double z = tsr_real_log(y);
        ck_assert(fabs(z - log(y)) <= 1e-15 * fmax(1, fabs(z)));
    }
    ck_assert(tsr_real_exp(0) == 1 && tsr_real_log(1) == 0);
    ck_assert(tsr_real_exp(-1e9) == 0 && isinf(tsr_real_exp(1e9)) && isnan(tsr_real_exp(NAN)));
}
END_TEST

START_TEST(embedding_and_back)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 2, 0);
    for (int k = 0; k < 200; k++) {
        struct tsr_embed roots = tsr_embed_roots(7), central = tsr_embed_central(7, 0.5f);
        float x[7], p[7], y[8], back[7], cls = (float)(k % 7);
        double d[8], sum = 0;
        for (int i = 0; i < 7; i++) sum += exp((double)(x[i] = 4 * tsr_rng_normal(&r)));
        ck_assert(tsr_embed_row(&roots, TSR_KIND_LOGITS, x, y) == TSR_EMBED_FINE);
        for (int i = 0; i < 7; i++) d[i] = (double)y[i];
        tsr_embed_back(&roots, d, p);
        for (int i = 0; i < 7; i++) ck_assert(fabs((double)p[i] - exp((double)x[i]) / sum) < 1e-6);
        ck_assert(tsr_embed_row(&roots, TSR_KIND_PROBABILITIES, p, y) == TSR_EMBED_FINE);
        for (int i = 0; i < 7; i++) d[i] = (double)y[i];
        tsr_embed_back(&roots, d, back);
        for (int i = 0; i < 7; i++) ck_assert(fabsf(p[i] - back[i]) < 1e-6f);
        ck_assert(tsr_embed_row(&roots, TSR_KIND_ARGMAX, &cls, y) == TSR_EMBED_FINE);
        ck_assert(y[k % 7] == 1);
        ck_assert(tsr_embed_row(&central, TSR_KIND_REGRESSION, x, y) == TSR_EMBED_FINE);
        for (int i = 0; i < 8; i++) d[i] = 3 * (double)y[i]; /* of any length */
        tsr_embed_back(&central, d, back);
        for (int i = 0; i < 7; i++) ck_assert(fabsf(x[i] - back[i]) < 1e-4f * (1 + fabsf(x[i])));
    }
}
END_TEST

START_TEST(embedding_refuses)
{
    struct tsr_embed roots = tsr_embed_roots(2), line = tsr_embed_direction(2), central = tsr_embed_central(2, 1);
    float y[3];
    ck_assert(tsr_embed_row(&roots, TSR_KIND_LOGITS, (float[]){1, NAN}, y) == TSR_EMBED_NAN);
    ck_assert(tsr_embed_row(&roots, TSR_KIND_LOGITS, (float[]){1, INFINITY}, y) == TSR_EMBED_NAN);
    ck_assert(tsr_embed_row(&roots, TSR_KIND_PROBABILITIES, (float[]){1, -0.1f}, y) == TSR_EMBED_NAN);
    ck_assert(tsr_embed_row(&roots, TSR_KIND_PROBABILITIES, (float[]){0, 0}, y) == TSR_EMBED_ZERO);
    ck_assert(tsr_embed_row(&roots, TSR_KIND_ARGMAX, (float[]){2}, y) == TSR_EMBED_CLASS);
    ck_assert(tsr_embed_row(&roots, TSR_KIND_ARGMAX, (float[]){NAN}, y) == TSR_EMBED_CLASS);
    ck_assert(tsr_embed_row(&line, TSR_KIND_NONE, (float[]){0, 0}, y) == TSR_EMBED_ZERO);
    ck_assert(tsr_embed_row(&line, TSR_KIND_NONE, (float[]){0, -INFINITY}, y) == TSR_EMBED_NAN);
    ck_assert(tsr_embed_row(&central, TSR_KIND_NONE, (float[]){NAN, 0}, y) == TSR_EMBED_NAN);
    /* huge and tiny ones have a direction like all others */
    for (float s = 1e-44f; s < 1e38f; s *= 1000) {
        ck_assert(tsr_embed_row(&line, TSR_KIND_NONE, (float[]){s, -s}, y) == TSR_EMBED_FINE);
        ck_assert(y[0] == -y[1] && y[0] >= 0.5f && y[0] <= 1);
    }
    ck_assert(tsr_embed_row(&central, TSR_KIND_NONE, (float[]){3e38f, 3e38f}, y) == TSR_EMBED_FINE);
}
END_TEST

/* Rows around a direction, `hostile` of them elsewhere. */
static void make_rows(float *x, size_t n, size_t m, size_t hostile, uint64_t seed)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            x[i * m + k] = i < hostile ? (k % 2 ? -1.0f : 0.5f) : (k < m / 2 ? 1.0f : 0.1f) + 0.3f * tsr_rng_normal(&r);
}

static void run_rule(const struct tsr_merge_rule_options *o, const float *x, const size_t *order, size_t n, size_t m, double *y)
{
    struct tsr_merge_plane p;
    struct tsr_embed e = tsr_embed_direction(m);
    tsr_plane_init(&p, &e);
    p.bins = 256;
    for (int step = 0; step < tsr_rule_steps(o, false); step++) {
        OK(tsr_rule_begin(o, false, step, &p, &err));
        OK(tsr_plane_grow(&p, 1, &err));
        for (size_t i = 0; i < n; i++) {
            struct tsr_merge_look look;
            OK(tsr_plane_add(&p, 0, x + order[i] * m, 1, &look, &err));
            ck_assert(look.safe);
        }
        tsr_plane_settle(&p);
    }
    tsr_plane_result(&p, 0, y);
    tsr_plane_release(&p);
}

static double off(const double *y, const double *mean, size_t m)
{
    double sum = 0;
    for (size_t k = 0; k < m; k++) sum += (y[k] - mean[k]) * (y[k] - mean[k]);
    return sqrt(sum);
}

enum { N = 200, M = 37 };

static const struct tsr_merge_rule_options every_rule[] = {
    {TSR_RULE_CCLIP, 0.75, 0.3, 4, false}, {TSR_RULE_HUBER, 0.75, 0.3, 4, false},  {TSR_RULE_MEAN, 0.75, 0.3, 4, false},
    {TSR_RULE_MEDIAN, 0.75, 0.3, 4, false}, {TSR_RULE_TRIM, 0.75, 0.3, 4, false}, {TSR_RULE_GEOMED, 0.75, 0.3, 8, false},
};

static void honest_mean(const float *x, size_t from, double *mean)
{
    memset(mean, 0, M * sizeof *mean);
    for (size_t i = from; i < N; i++) {
        double norm = 0;
        for (size_t k = 0; k < M; k++) norm += (double)x[i * M + k] * (double)x[i * M + k];
        for (size_t k = 0; k < M; k++) mean[k] += (double)x[i * M + k] / sqrt(norm) / (double)(N - from);
    }
}

START_TEST(rules_withstand)
{
    static float x[N * M];
    const struct tsr_merge_rule_options *o = &every_rule[_i];
    size_t order[N], other[N];
    double y[M], z[M], mean[M];
    struct tsr_rng r;
    tsr_rng_init(&r, 7, 0);
    for (size_t i = 0; i < N; i++) order[i] = other[i] = i;
    for (size_t i = N; i-- > 1;) {
        size_t j = (size_t)tsr_rng_below(&r, i + 1), t = other[i];
        other[i] = other[j];
        other[j] = t;
    }
    make_rows(x, N, M, 0, 3);
    honest_mean(x, 0, mean);
    run_rule(o, x, order, N, M, y);
    ck_assert_msg(off(y, mean, M) < 0.05, "%s: %g from the mean without attackers", tsr_rule_name(o->rule), off(y, mean, M));
    make_rows(x, N, M, N * 3 / 10, 4);
    honest_mean(x, N * 3 / 10, mean);
    run_rule(o, x, order, N, M, y);
    run_rule(o, x, other, N, M, z);
    ck_assert(memcmp(y, z, sizeof y) == 0);
    if (o->rule == TSR_RULE_MEAN) ck_assert(off(y, mean, M) > 0.3);
    else ck_assert_msg(off(y, mean, M) < 0.28, "%s: %g with 30 %% attackers", tsr_rule_name(o->rule), off(y, mean, M));
}
END_TEST

START_TEST(median_is_the_median)
{
    static float x[N * M];
    size_t order[N];
    double y[M], column[N];
    for (size_t i = 0; i < N; i++) order[i] = i;
    make_rows(x, N, M, 20, 5);
    run_rule(&every_rule[3], x, order, N, M, y);
    for (size_t k = 0; k < M; k++) {
        for (size_t i = 0; i < N; i++) {
            double norm = 0, v;
            for (size_t j = 0; j < M; j++) norm += (double)x[i * M + j] * (double)x[i * M + j];
            v = (double)x[i * M + k] / sqrt(norm);
            size_t at = i;
            for (; at > 0 && column[at - 1] > v; at--) column[at] = column[at - 1];
            column[at] = v;
        }
        ck_assert(y[k] >= column[N / 2 - 2] - 2e-5 && y[k] <= column[N / 2 + 1] + 2e-5);
    }
}
END_TEST

/* One row among many moves centred clipping by at most 2 radius w / W, whatever it is. */
START_TEST(influence_is_bounded)
{
    static float x[N * M];
    struct tsr_rng r;
    double with[M], without[M];
    tsr_rng_init(&r, 11, 0);
    make_rows(x, N, M, 0, 6);
    for (int trial = 0; trial < 50; trial++) {
        for (int k = 0; k < 2; k++) {
            struct tsr_merge_plane p;
            struct tsr_embed e = tsr_embed_direction(M);
            struct tsr_merge_look look;
            float one[M], evil[M], safe[M];
            tsr_plane_init(&p, &e);
            p.pull = TSR_PULL_CLIP;
            p.radius = 0.75;
            OK(tsr_plane_begin(&p, TSR_STEP_SUM, &err));
            OK(tsr_plane_grow(&p, 1, &err));
            for (size_t i = 0; i < M; i++) one[i] = i < M / 2 ? 1.0f : 0.1f;
            tsr_plane_centre(&p, 0, one);
            for (size_t i = 0; i + 1 < N; i++) OK(tsr_plane_add(&p, 0, x + i * M, 1, &look, &err));
            float size = powf(10, (float)(trial % 60 - 30));
            for (size_t i = 0; i < M; i++) evil[i] = size * tsr_rng_normal(&r);
            ck_assert(tsr_embed_row(&e, TSR_KIND_NONE, k == 0 ? x : evil, safe) == TSR_EMBED_FINE);
            OK(tsr_plane_add(&p, 0, safe, 1, &look, &err));
            tsr_plane_settle(&p);
            tsr_plane_result(&p, 0, k == 0 ? without : with);
            tsr_plane_release(&p);
        }
        ck_assert(off(with, without, M) <= 2 * 0.75 / N);
    }
}
END_TEST

START_TEST(weights_are_bounded)
{
    struct tsr_merge_plane p;
    struct tsr_embed e = tsr_embed_direction(4);
    struct tsr_merge_look look;
    float x[4] = {1, 2, 3, 4};
    tsr_plane_init(&p, &e);
    OK(tsr_plane_begin(&p, TSR_STEP_SUM, &err));
    OK(tsr_plane_grow(&p, 1, &err));
    OK(tsr_plane_add(&p, 0, x, TSR_MERGE_MAX_WEIGHT - 1, &look, &err));
    OK(tsr_plane_add(&p, 0, x, 1, &look, &err));
    ck_assert(tsr_plane_add(&p, 0, x, 1, &look, &err) == TSR_E_LIMIT);
    ck_assert(p.sum[3] > 0 && p.answers[0] == 2);
    tsr_plane_release(&p);
}
END_TEST

static struct tsr_key key_of(uint64_t n)
{
    struct tsr_key k = {{0}};
    for (int i = 0; i < 8; i++) k.b[i] = (uint8_t)(n >> (56 - 8 * i));
    return k;
}

START_TEST(rolls_list)
{
    struct tsr_roll a = {0}, b = {0};
    uint8_t one[16] = {1}, two[16] = {2}, ra[32], rb[32];
    for (uint64_t i = 0; i < 1000; i++) {
        struct tsr_key k = key_of(i * 7919), l = key_of((999 - i) * 7919);
        ck_assert(tsr_roll_find(&a, &k, one) == TSR_ROLL_NEW);
        OK(tsr_roll_add(&a, &k, one, (int64_t)(i % 5), &err));
        tsr_roll_digest(&a, k.b, sizeof k.b);
        ck_assert(tsr_roll_find(&a, &k, one) == TSR_ROLL_SAME);
        ck_assert(tsr_roll_find(&a, &k, two) == TSR_ROLL_OTHER);
        tsr_roll_digest(&b, l.b, sizeof l.b);
    }
    tsr_roll_root(&a, ra);
    tsr_roll_root(&b, rb);
    ck_assert(memcmp(ra, rb, 32) == 0);
    tsr_roll_digest(&b, one, 1);
    tsr_roll_root(&b, rb);
    ck_assert(memcmp(ra, rb, 32) != 0);
    ck_assert(a.contributors == 1000 && a.weight == 2000 && a.most == 4);
    tsr_roll_sort(&a);
    struct tsr_key k = key_of(7919);
    ck_assert(tsr_roll_find(&a, &k, one) == TSR_ROLL_SAME);
    OK(tsr_roll_add(&b, &k, two, 1, &err));
    ck_assert(tsr_roll_join(&a, &b, &err) == TSR_E_LIMIT);
    tsr_roll_release(&a);
    tsr_roll_release(&b);
}
END_TEST

static bool next(struct tsr_roll *r, uint64_t n)
{
    struct tsr_key k = key_of(n);
    bool fresh;
    OK(tsr_roll_next(r, &k, &fresh, &err));
    return fresh;
}

START_TEST(rolls_of_runs)
{
    struct tsr_roll *a = tsr_calloc(1, sizeof *a), *b = tsr_calloc(1, sizeof *b);
    ck_assert(next(a, 10) && next(a, 20) && next(a, 30));
    ck_assert(!next(a, 30) && !next(a, 20) && !next(a, 25) && !next(a, 10));
    ck_assert(next(a, 5) && next(a, 7) && !next(a, 15)); /* a second run, up to the first */
    ck_assert(next(a, 8) && next(a, 31) && next(a, 32));
    ck_assert(next(b, 40) && next(b, 50));
    OK(tsr_roll_join(a, b, &err));
    ck_assert(tsr_roll_join(a, b, &err) == TSR_E_LIMIT);
    ck_assert(!next(a, 45) && next(a, 35));
    b->runs = 0;
    ck_assert(next(b, 1) && next(b, 60)); /* around everything */
    ck_assert(tsr_roll_join(a, b, &err) == TSR_E_LIMIT);
    struct tsr_key k;
    bool fresh;
    /* what lies between two streams is nobody's */
    b->runs = b->at = 0;
    ck_assert(next(b, 10) && next(b, 20));
    tsr_roll_break(b);
    ck_assert(next(b, 40) && next(b, 50));
    ck_assert(b->runs == 2 && next(b, 30) && !next(b, 15) && !next(b, 45));
    k = key_of(5);
    OK(tsr_roll_next(b, &k, &fresh, &err));
    ck_assert(fresh);
    tsr_roll_release(a);
    tsr_roll_release(b);
    tsr_free(a);
    tsr_free(b);
}
END_TEST

static enum tsr_status parse_roster(const char *text, struct tsr_roster *r)
{
    struct tsr_source *s;
    OK(tsr_source_from_memory(text, strlen(text), "list", &s, &err));
    enum tsr_status status = tsr_roster_load(r, s, &err);
    tsr_source_close(s);
    return status;
}

START_TEST(rosters)
{
    struct tsr_roster r, s;
    OK(parse_roster("b 2\n\n # nobody\r\n  a\t 0 # not now\n00112233445566778899aabbccddeeff 9", &r));
    struct tsr_key a = tsr_roster_key("a"), c = tsr_roster_key("c"), raw = {{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                                             0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};
    ck_assert(tsr_roster_find(&r, &a)->weight == 0);
    ck_assert(tsr_roster_find(&r, &raw)->weight == 9);
    ck_assert(tsr_roster_find(&r, &c) == NULL);
    OK(parse_roster("a 0\n00112233445566778899aabbccddeeff 9\nb 2\n", &s));
    ck_assert_str_eq(r.digest, s.digest);
    tsr_roster_release(&s);
    tsr_roster_release(&r);
    OK(parse_roster("", &r));
    ck_assert(r.n == 0);
    tsr_roster_release(&r);
    ck_assert(parse_roster("a\nb\na\n", &r) == TSR_E_FORMAT);
    ck_assert(parse_roster("a 1000001\n", &r) == TSR_E_FORMAT);
    ck_assert(parse_roster("a 1.5\n", &r) == TSR_E_FORMAT);
    ck_assert(parse_roster("a 1 2\n", &r) == TSR_E_FORMAT);
}
END_TEST

START_TEST(tables_keep_no_order)
{
    uint32_t order[2][40], block[2][4];
    struct tsr_merge_table t[2] = {{.views = 3}, {.views = 3}};
    for (int k = 0; k < 2; k++) {
        for (int b = 0; b < 4; b++) {
            uint32_t sample[10];
            size_t number;
            int which = k == 0 ? b : 3 - b;
            t[k].stamp++;
            for (int i = 0; i < 10; i++) { /* blocks overlap by a half, and every third sample is there twice */
                struct tsr_key key = key_of((uint64_t)(which * 5 + i - i % 3 / 2));
                OK(tsr_table_next(&t[k], &key, which * 5 + i, &sample[i], &err));
            }
            OK(tsr_table_block(&t[k], sample, 10, which * 5, &number, &err));
            ck_assert(number == (size_t)b);
        }
        struct tsr_key anchor[2] = {key_of(12), key_of(3)};
        OK(tsr_table_order(&t[k], anchor, 2, order[k], block[k], &err));
        ck_assert(t[k].sample[order[k][0]].key.b[7] == 12 && t[k].sample[order[k][1]].key.b[7] == 3);
    }
    ck_assert(t[0].samples == t[1].samples && t[0].view_cells == 120);
    for (size_t i = 0; i < t[0].samples; i++) {
        const struct tsr_merge_sample *a = &t[0].sample[order[0][i]], *b = &t[1].sample[order[1][i]];
        ck_assert(memcmp(&a->key, &b->key, sizeof a->key) == 0 && a->place == b->place && a->nth == b->nth);
    }
    for (size_t i = 0; i < 4; i++) ck_assert(memcmp(&t[0].block[block[0][i]].id, &t[1].block[block[1][i]].id, 16) == 0);
    tsr_table_release(&t[0]);
    tsr_table_release(&t[1]);
}
END_TEST

START_TEST(factoring)
{
    enum { ROWS = 60, COLS = 50, RANK = 6 };
    static float h[ROWS * COLS], u[ROWS * RANK], v[RANK * COLS], basis[COLS * 64], c[64];
    struct tsr_rng r;
    size_t rank;
    tsr_rng_init(&r, 9, 0);
    for (size_t i = 0; i < ROWS * RANK; i++) u[i] = tsr_rng_normal(&r);
    for (size_t i = 0; i < RANK * COLS; i++) v[i] = tsr_rng_normal(&r);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLS; j++)
            for (size_t k = 0; k < RANK; k++) h[i * COLS + j] += u[i * RANK + k] * v[k * COLS + j] / (float)(k + 1);
    OK(tsr_factor(h, ROWS, COLS, 20, basis, &rank, &err));
    ck_assert(rank == RANK);
    for (size_t a = 0; a < rank; a++)
        for (size_t b = 0; b < rank; b++) {
            double dot = 0;
            for (size_t j = 0; j < COLS; j++) dot += (double)basis[j * rank + a] * (double)basis[j * rank + b];
            ck_assert(fabs(dot - (a == b)) < 1e-5);
        }
    for (size_t i = 0; i < ROWS; i++) {
        tsr_factor_row(h + i * COLS, COLS, basis, rank, c);
        for (size_t j = 0; j < COLS; j++) {
            double back = 0;
            for (size_t k = 0; k < rank; k++) back += (double)c[k] * (double)basis[j * rank + k];
            ck_assert(fabs(back - (double)h[i * COLS + j]) < 1e-4);
        }
    }
    memset(h, 0, sizeof h);
    ck_assert(tsr_factor(h, ROWS, COLS, 20, basis, &rank, &err) == TSR_E_NUMERIC);
}
END_TEST

static void digest_doubles(struct tsr_sha256 *h, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[8];
        uint64_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        tsr_put_le64(bytes, bits);
        tsr_sha256_update(h, bytes, sizeof bytes);
    }
}

/* Pinned: rules, embeddings, directions and their arithmetic give these bits on every machine. */
START_TEST(the_same_everywhere)
{
    static float x[N * M], basis[M * 8];
    size_t order[N], rank;
    double y[M];
    struct tsr_sha256 h;
    uint8_t digest[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    tsr_sha256_init(&h);
    make_rows(x, N, M, 30, 8);
    for (size_t i = 0; i < N; i++) order[i] = i;
    for (size_t k = 0; k < sizeof every_rule / sizeof *every_rule; k++) {
        run_rule(&every_rule[k], x, order, N, M, y);
        digest_doubles(&h, y, M);
    }
    OK(tsr_factor(x, N, M, 8, basis, &rank, &err));
    for (size_t i = 0; i < M * rank; i++) {
        double b = (double)basis[i], e = tsr_real_exp(3 * b), l = tsr_real_log(e);
        digest_doubles(&h, &b, 1);
        digest_doubles(&h, &e, 1);
        digest_doubles(&h, &l, 1);
    }
    for (size_t i = 0; i < N; i++) {
        struct tsr_embed roots = tsr_embed_roots(M), central = tsr_embed_central(M, 0.7f);
        float z[M + 1];
        for (int kind = 0; kind < 2; kind++) {
            size_t width = kind == 0 ? M : M + 1;
            ck_assert(tsr_embed_row(kind == 0 ? &roots : &central, TSR_KIND_LOGITS, x + i * M, z) == TSR_EMBED_FINE);
            for (size_t k = 0; k < width; k++) {
                double v = (double)z[k];
                digest_doubles(&h, &v, 1);
            }
        }
    }
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, hex);
    ck_assert_str_eq(hex, "df6e7ea4d0623b0f53fd49d1fd33ae5706c1606fd43842bd29fe77e73f31376b");
}
END_TEST

/* Votes of n contributors for classes, as a stream of contributions. */
static struct tsr_buf votes(const float *vote, size_t n, int64_t classes, uint64_t first)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {.outputs = TSR_KIND_ARGMAX, .classes = classes, .contributors = true};
    struct tsr_key key[8];
    struct tsr_block_keys k = {.count = n, .key = key};
    struct tsr_rows r = {.type = TSR_OUTS, .count = (int64_t)n,
                         .set = tsr_rowset_choose(TSR_F32, TSR_KIND_ARGMAX, n, 1, (size_t)classes)};
    for (size_t i = 0; i < n; i++) key[i] = key_of(first + i);
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_writer_new(sink, 1, &w, &err));
    OK(tsr_stream_head_set(&h.producer, "test", &err));
    OK(tsr_stream_head_put(w, &h, &err));
    OK(tsr_keys_put(w, &k, &err));
    OK(tsr_rows_put(w, &r, vote, &err));
    OK(tsr_writer_finish(w, &err));
    tsr_stream_head_release(&h);
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    return b;
}

static enum tsr_status take_bytes(struct tsr_merge *m, const struct tsr_buf *b)
{
    struct tsr_source *src;
    OK(tsr_source_from_memory(b->data, b->len, "memory", &src, &err));
    enum tsr_status status = tsr_merge_take(m, src, NULL);
    tsr_source_close(src);
    return status;
}

/* The first row of outputs in a stream. */
static void first_row(const struct tsr_buf *b, float *x)
{
    struct tsr_source *src;
    struct tsr_stream *s;
    const struct tsr_record *rec;
    struct tsr_rows r;
    OK(tsr_source_from_memory(b->data, b->len, "memory", &src, &err));
    OK(tsr_stream_open(src, NULL, &s, &err));
    do OK(tsr_stream_next(s, &rec, &err));
    while (rec->type != TSR_OUTS);
    OK(tsr_rows_parse(rec, &r, &err));
    OK(tsr_rows_load(s, &r, x, &err));
    tsr_stream_close(s);
    tsr_source_close(src);
}

START_TEST(votes_of_contributors)
{
    enum { CLASSES = 1000 };
    static float p[CLASSES];
    struct tsr_buf a = votes((float[]){2, 2, 999, 2, 0}, 5, CLASSES, 10), b = votes((float[]){2, 999, 7}, 3, CLASSES, 100), out = {0};
    struct tsr_buf other = votes((float[]){1}, 1, 9, 200);
    struct tsr_merge_options o = tsr_merge_defaults();
    struct tsr_merge_report report;
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_merge *m;
    o.producer = "test";
    o.rule.rule = TSR_RULE_MEAN;
    OK(tsr_merge_new(&o, &m, &err));
    OK(take_bytes(m, &b));
    OK(take_bytes(m, &a));
    ck_assert(tsr_merge_last(m));
    OK(tsr_sink_from_memory(&out, "memory", &sink, &err));
    OK(tsr_writer_new(sink, 1, &w, &err));
    OK(tsr_merge_finish(m, w, &report, &err));
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, &err));
    ck_assert(report.contributors == 8 && report.samples == 1);
    first_row(&out, p);
    ck_assert(p[2] > p[999] && p[999] > p[0] && fabsf(p[0] - p[7]) < 1e-6f && p[1] < 1e-6f);
    ck_assert(take_bytes(m, &other) == TSR_E_MISMATCH);
    tsr_merge_free(m);
    tsr_buf_release(&a);
    tsr_buf_release(&b);
    tsr_buf_release(&other);
    tsr_buf_release(&out);
}
END_TEST

/* Merging with every allocation failing in turn leaves nothing behind. */
START_TEST(merging_without_memory)
{
    struct tsr_buf a = votes((float[]){2, 2, 1}, 3, 3, 10);
    struct tsr_merge_options o = tsr_merge_defaults();
    o.producer = "test";
    for (long n = 1;; n++) {
        struct tsr_merge *m = NULL;
        struct tsr_source *src;
        OK(tsr_source_from_memory(a.data, a.len, "memory", &src, &err));
        tsr_mem_fail_after(n);
        enum tsr_status status = tsr_merge_new(&o, &m, &err);
        if (status == TSR_OK) status = tsr_merge_take(m, src, &err);
        if (status == TSR_OK) status = tsr_merge_step(m, &err);
        tsr_mem_fail_after(0);
        tsr_merge_free(m);
        tsr_source_close(src);
        if (status == TSR_OK) break;
        ck_assert_msg(status == TSR_E_NOMEM && n < 1000, "%ld: %s", n, err.message);
    }
    tsr_buf_release(&a);
}
END_TEST

START_TEST(failing_allocations)
{
    static float x[N * M];
    struct tsr_embed e = tsr_embed_direction(M);
    make_rows(x, N, M, 0, 3);
    for (long n = 1;; n++) {
        struct tsr_merge_plane p;
        struct tsr_merge_look look;
        enum tsr_status status = TSR_OK;
        tsr_plane_init(&p, &e);
        tsr_mem_fail_after(n);
        for (int step = 0; step < 3 && status == TSR_OK; step++) {
            status = tsr_rule_begin(&every_rule[0], false, step % 2, &p, &err);
            if (status == TSR_OK) status = tsr_plane_grow(&p, (size_t)step + 1, &err);
            if (status == TSR_OK) status = tsr_plane_add(&p, 0, x, 1, &look, &err);
        }
        tsr_mem_fail_after(0);
        tsr_plane_release(&p);
        if (status == TSR_OK) break;
        ck_assert(status == TSR_E_NOMEM && n < 100);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("merge");
    TCase *t = tcase_create("parts");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, exponential_and_logarithm);
    tcase_add_test(t, embedding_and_back);
    tcase_add_test(t, embedding_refuses);
    tcase_add_loop_test(t, rules_withstand, 0, (int)(sizeof every_rule / sizeof *every_rule));
    tcase_add_test(t, median_is_the_median);
    tcase_add_test(t, influence_is_bounded);
    tcase_add_test(t, weights_are_bounded);
    tcase_add_test(t, rolls_list);
    tcase_add_test(t, rolls_of_runs);
    tcase_add_test(t, rosters);
    tcase_add_test(t, tables_keep_no_order);
    tcase_add_test(t, factoring);
    tcase_add_test(t, the_same_everywhere);
    tcase_add_test(t, votes_of_contributors);
    tcase_add_test(t, failing_allocations);
    tcase_add_test(t, merging_without_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
