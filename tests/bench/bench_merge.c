/* bench_merge - how well the rules of merging withstand attackers, and how fast sums are. JSON lines.
 *     bench_merge kappa         |outcome - honest mean|^2 / honest variance, the worst of eight attacks in three
 *                               spreads, 100 contributors of 2048 numbers, 20, 30 and 40 % hostile
 *     bench_merge core          int8 rows a second of one thread, decoded in memory, added by cclip */
#include "base/mem.h"
#include "base/rng.h"
#include "merge/kernel.h"
#include "merge/merge.h"
#include "merge/plane.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 100, D = 2048 };

static struct tsr_error err;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "bench_merge: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static float x[N][D], common[D], cluster[4][D], mean[D], deviation[D], before[D];

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < D; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void scale_to(float *a, double length)
{
    double f = length / sqrt(dot(a, a));
    for (int i = 0; i < D; i++) a[i] = (float)((double)a[i] * f);
}

static void random_unit(struct tsr_rng *r, float *a)
{
    for (int i = 0; i < D; i++) a[i] = tsr_rng_normal(r);
    scale_to(a, 1);
}

/* Honest rows: cosine 0.74 to their mean, four clusters, noise. */
static void make_world(struct tsr_rng *r)
{
    random_unit(r, common);
    for (int k = 0; k < 4; k++) random_unit(r, cluster[k]);
    for (int i = 0; i < D; i++) {
        float m = (cluster[0][i] + cluster[1][i] + cluster[2][i] + cluster[3][i]) / 4;
        for (int k = 0; k < 4; k++) cluster[k][i] -= m;
    }
    for (int k = 0; k < 4; k++) {
        float along = (float)dot(cluster[k], common);
        for (int i = 0; i < D; i++) cluster[k][i] -= along * common[i];
        scale_to(cluster[k], 0.5);
    }
}

static void honest_row(struct tsr_rng *r, int k, float *a)
{
    for (int i = 0; i < D; i++) a[i] = 0.74f * common[i] + cluster[k][i] + 0.45f / sqrtf(D) * tsr_rng_normal(r);
    scale_to(a, 1);
}

static const char *const attacks[] = {"flip", "ipm", "alie", "mimic", "gaussian", "minmax", "minsum", "labelflip", "scaling"};
enum { ATTACKS = 8, SCALING = 8 };

/* The greatest g for which mean + g * deviation is no further from the honest rows than they are from each
 * other: the farthest (min-max) or their sum (min-sum); Shejwalkar and Houmansadr 2021. */
static float reach(const float *direction, int from, bool sums)
{
    double limit = 0, low = 0, high = 20;
    for (int i = from; i < N; i++) {
        double sum = 0;
        for (int j = from; j < N; j++) {
            double d = 2 - 2 * dot(x[i], x[j]);
            sum += d;
            if (!sums && d > limit) limit = d;
        }
        if (sums && sum > limit) limit = sum;
    }
    for (int step = 0; step < 30; step++) {
        double g = (low + high) / 2, most = 0, sum = 0;
        static float evil[D];
        for (int i = 0; i < D; i++) evil[i] = mean[i] + (float)g * direction[i];
        for (int i = from; i < N; i++) {
            double d = dot(evil, evil) + 1 - 2 * dot(evil, x[i]);
            sum += d;
            if (d > most) most = d;
        }
        if ((sums ? sum : most) <= limit) low = g;
        else high = g;
    }
    return (float)low;
}

/* Rows 0 .. f - 1 become hostile; the honest ones are known to them. */
static double attack(struct tsr_rng *r, int which, int spread, int f)
{
    double variance = 0;
    memset(mean, 0, sizeof mean);
    for (int i = 0; i < N; i++) honest_row(r, i % 4, x[i]);
    for (int i = f; i < N; i++)
        for (int k = 0; k < D; k++) mean[k] += x[i][k] / (float)(N - f);
    for (int k = 0; k < D; k++) {
        double sum = 0;
        for (int i = f; i < N; i++) sum += (double)(x[i][k] - mean[k]) * (double)(x[i][k] - mean[k]);
        deviation[k] = (float)sqrt(sum / (N - f));
        variance += sum / (N - f);
    }
    static float away[D];
    for (int k = 0; k < D; k++) away[k] = -deviation[k];
    float g = which == 5 || which == 6 ? reach(away, f, which == 6) : 0;
    for (int i = 0; i < f; i++)
        for (int k = 0; k < D; k++) {
            switch (which) {
            case 0: x[i][k] = -mean[k]; break;
            case 1: x[i][k] = -2 * mean[k]; break;
            case 2: x[i][k] = mean[k] - 1.5f * deviation[k]; break;
            case 3: x[i][k] = x[f][k]; break;
            case 4: x[i][k] = tsr_rng_normal(r); break;
            case 5:
            case 6: x[i][k] = mean[k] + g * away[k]; break;
            case 7: x[i][k] = 0.74f * common[k] + 1.5f * cluster[0][k]; break;
            default: x[i][k] = i == 0 ? 1e6f * (common[k] + cluster[0][k]) : x[i][k];
            }
        }
    const float noise[] = {0, 0.1f, 0.45f};
    for (int i = 0; i < f && which != SCALING; i++)
        for (int k = 0; k < D; k++) x[i][k] += noise[spread] / sqrtf(D) * tsr_rng_normal(r);
    return variance;
}

static struct tsr_buf stream_of(const float *rows, size_t n)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_stream_head h = {.outputs = TSR_KIND_REGRESSION, .classes = D, .contributors = true};
    struct tsr_key key[N];
    struct tsr_block_keys k = {.count = n, .key = key};
    struct tsr_rows r = {.type = TSR_OUTS, .count = (int64_t)n,
                         .set = {TSR_F32, TSR_CODE_PLAIN, TSR_LAYOUT_ROWS, TSR_KIND_REGRESSION, n, D}};
    memset(key, 0, sizeof key);
    for (size_t i = 0; i < n; i++) key[i].b[0] = (uint8_t)(i + 1);
    must(tsr_sink_from_memory(&b, "memory", &sink, &err));
    must(tsr_writer_new(sink, 1, &w, &err));
    must(tsr_stream_head_set(&h.producer, "bench", &err));
    must(tsr_stream_head_put(w, &h, &err));
    must(tsr_keys_put(w, &k, &err));
    must(tsr_rows_put(w, &r, rows, &err));
    must(tsr_writer_finish(w, &err));
    tsr_stream_head_release(&h);
    tsr_writer_free(w);
    must(tsr_sink_close(sink, &err));
    return b;
}

static void take(struct tsr_merge *m, const struct tsr_buf *b, bool from)
{
    struct tsr_source *s;
    must(tsr_source_from_memory(b->data, b->len, "memory", &s, &err));
    must(from ? tsr_merge_from(m, s, &err) : tsr_merge_take(m, s, &err));
    tsr_source_close(s);
}

/* Merges the rows in b by a rule, around `centre` or without one (NULL), and reads the outcome. */
static void merge(const struct tsr_merge_options *o, const struct tsr_buf *b, const struct tsr_buf *centre, float *out)
{
    struct tsr_merge *m;
    struct tsr_merge_report report;
    struct tsr_buf to = {0};
    struct tsr_sink *sink;
    struct tsr_source *src;
    struct tsr_stream_writer *w;
    struct tsr_stream *s;
    const struct tsr_record *rec;
    must(tsr_merge_new(o, &m, &err));
    if (centre != NULL) take(m, centre, true);
    for (;;) {
        take(m, b, false);
        if (tsr_merge_last(m)) break;
        must(tsr_merge_step(m, &err));
    }
    must(tsr_sink_from_memory(&to, "memory", &sink, &err));
    must(tsr_writer_new(sink, 1, &w, &err));
    must(tsr_merge_finish(m, w, &report, &err));
    tsr_writer_free(w);
    must(tsr_sink_close(sink, &err));
    must(tsr_source_from_memory(to.data, to.len, "memory", &src, &err));
    must(tsr_stream_open(src, NULL, &s, &err));
    do {
        struct tsr_rows r;
        must(tsr_stream_next(s, &rec, &err));
        if (rec == NULL || rec->type != TSR_OUTS) continue;
        must(tsr_rows_parse(rec, &r, &err));
        must(tsr_rows_load(s, &r, out, &err));
    } while (rec != NULL);
    tsr_stream_close(s);
    tsr_source_close(src);
    tsr_buf_release(&to);
    tsr_merge_free(m);
}

static const struct {
    const char *name;
    enum tsr_merge_rule rule;
    bool mix, centre;
    int most; /* percentage of hostile ones that it is meant for */
} cases[] = {
    {"mean", TSR_RULE_MEAN, false, false, 40},          {"median", TSR_RULE_MEDIAN, false, false, 40},
    {"trim", TSR_RULE_TRIM, false, false, 40},          {"geomed", TSR_RULE_GEOMED, false, false, 40},
    {"cclip", TSR_RULE_CCLIP, false, true, 40},         {"cclip, first round", TSR_RULE_CCLIP, false, false, 40},
    {"huber", TSR_RULE_HUBER, false, true, 40},         {"fltrust", TSR_RULE_FLTRUST, false, true, 40},
    {"spectral", TSR_RULE_SPECTRAL, false, true, 40},   {"spectral, first round", TSR_RULE_SPECTRAL, false, false, 40},
    {"krum", TSR_RULE_KRUM, false, false, 40},          {"multikrum", TSR_RULE_MULTIKRUM, false, false, 40},
    {"bulyan", TSR_RULE_BULYAN, false, false, 20},      {"nnm+geomed", TSR_RULE_GEOMED, true, false, 40},
    {"nnm+trim", TSR_RULE_TRIM, true, false, 40},       {"nnm+cclip", TSR_RULE_CCLIP, true, true, 40},
};

static double kappa(size_t c, int f, double assume, const struct tsr_buf *b, const struct tsr_buf *centre, double variance)
{
    static float y[D];
    struct tsr_merge_options o = tsr_merge_defaults();
    double sum = 0;
    (void)f;
    o.producer = "bench";
    o.rule.rule = cases[c].rule;
    o.rule.mix = cases[c].mix;
    o.rule.assume = assume;
    o.rule.iterations = cases[c].rule == TSR_RULE_GEOMED ? 12 : 4;
    merge(&o, b, cases[c].centre ? centre : NULL, y);
    for (int k = 0; k < D; k++) sum += (double)(y[k] - mean[k]) * (double)(y[k] - mean[k]);
    return sum / variance;
}

static void kappas(void)
{
    struct tsr_rng r;
    enum { CASES = sizeof cases / sizeof *cases };
    static double worst[CASES][3], clean[CASES], scaled[CASES];
    int by[CASES][3] = {{0}};
    tsr_rng_init(&r, 1, 0);
    make_world(&r);
    for (int level = 0; level < 3; level++)
        for (int a = 0; a < ATTACKS; a++)
            for (int spread = 0; spread < 3; spread++) {
                int f = 20 + 10 * level;
                random_unit(&r, before); /* the round before: 0.3 off */
                for (int k = 0; k < D; k++) before[k] = common[k] + 0.3f * before[k];
                double variance = attack(&r, a, spread, f);
                struct tsr_buf b = stream_of(x[0], N), centre = stream_of(before, 1);
                for (size_t c = 0; c < CASES; c++) {
                    if (f > cases[c].most) continue;
                    double k = kappa(c, f, (double)f / N, &b, &centre, variance);
                    if (!(k <= worst[c][level])) {
                        worst[c][level] = k;
                        by[c][level] = a;
                    }
                }
                tsr_buf_release(&b);
                tsr_buf_release(&centre);
            }
    for (int k = 0; k < 2; k++) { /* nobody hostile, though 30 % are assumed; and a single one, scaled */
        double variance = attack(&r, SCALING, 0, k);
        random_unit(&r, before);
        for (int i = 0; i < D; i++) before[i] = common[i] + 0.3f * before[i];
        struct tsr_buf b = stream_of(x[0], N), centre = stream_of(before, 1);
        for (size_t c = 0; c < CASES; c++) {
            double assume = cases[c].rule == TSR_RULE_BULYAN ? 0.2 : 0.3;
            *(k == 0 ? &clean[c] : &scaled[c]) = kappa(c, 30, assume, &b, &centre, variance);
        }
        tsr_buf_release(&b);
        tsr_buf_release(&centre);
    }
    for (size_t c = 0; c < CASES; c++) {
        printf("{\"rule\":\"%s\",\"clean\":%.5f,\"scaled\":%.5f", cases[c].name, clean[c], scaled[c]);
        for (int level = 0; level < 3; level++) {
            if (20 + 10 * level <= cases[c].most)
                printf(",\"hostile%d\":%.5f,\"worst%d\":\"%s\"", 20 + 10 * level, worst[c][level], 20 + 10 * level,
                       attacks[by[c][level]]);
        }
        printf("}\n");
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Rows of `d` codes decoded and added by centred clipping: the best of several rounds. */
static void core(size_t d)
{
    enum { ROWS = 512, ROUNDS = 9 };
    struct tsr_merge_plane p;
    struct tsr_embed e = tsr_embed_direction(d);
    struct tsr_rng r;
    uint8_t *code = tsr_malloc(ROWS, d);
    float *table = tsr_malloc(4, d * sizeof *table), *scale = table, *low = table + d, *row = table + 2 * d, *v = table + 3 * d;
    double best = 0;
    if (code == NULL || table == NULL) exit(EXIT_FAILURE);
    tsr_rng_init(&r, 5, 0);
    for (size_t i = 0; i < ROWS * d; i++) code[i] = (uint8_t)(128 + 20 * tsr_rng_normal(&r));
    for (size_t i = 0; i < d; i++) {
        scale[i] = 0.01f + 0.001f * tsr_rng_float(&r);
        low[i] = -1.28f;
        v[i] = tsr_rng_normal(&r);
    }
    tsr_plane_init(&p, &e);
    p.pull = TSR_PULL_CLIP;
    p.radius = 0.75;
    must(tsr_plane_begin(&p, TSR_STEP_SUM, &err));
    must(tsr_plane_grow(&p, 1, &err));
    tsr_plane_centre(&p, 0, v);
    for (int round = 0; round < ROUNDS; round++) {
        size_t done = 0;
        double begin = now(), took;
        do {
            for (size_t i = 0; i < ROWS; i++, done++) {
                struct tsr_merge_look look;
                tsr_merge_decode(code + i * d, 1, scale, low, d, row);
                must(tsr_plane_add(&p, 0, row, 1, &look, &err));
            }
        } while ((took = now() - begin) < 0.2);
        if ((double)done / took > best) best = (double)done / took;
    }
    printf("{\"core\":\"int8 rows a second\",\"numbers\":%zu,\"rate\":%.0f}\n", d, best);
    tsr_plane_release(&p);
    tsr_free(code);
    tsr_free(table);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "kappa") == 0) kappas();
    else if (argc == 2 && strcmp(argv[1], "core") == 0) core(64), core(512), core(2048);
    else return fprintf(stderr, "usage: bench_merge kappa | core\n"), EXIT_FAILURE;
    return EXIT_SUCCESS;
}
