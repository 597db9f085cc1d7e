#include "merge/batch.h"

#include "base/mem.h"
#include "merge/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void tsr_batch_release(struct tsr_merge_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        tsr_free(b->held[i].row);
        tsr_free(b->held[i].x);
    }
    tsr_free(b->held);
    *b = (struct tsr_merge_batch){0};
}

static int by_cell(const void *a, const void *b)
{
    const struct tsr_merge_row *x = a, *y = b;
    if (x->plane != y->plane) return x->plane < y->plane ? -1 : 1;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

static int by_key(const void *a, const void *b)
{
    const struct tsr_merge_held *x = a, *y = b;
    return memcmp(x->key.b, y->key.b, TSR_KEY_LEN);
}

enum tsr_status tsr_batch_add(struct tsr_merge_batch *b, const struct tsr_key *key, int64_t weight, const struct tsr_merge_row *row,
                              size_t rows, const struct tsr_merge_plane *plane, struct tsr_error *err)
{
    size_t numbers = 0;
    if (b->n == TSR_MERGE_BATCH)
        return tsr_fail(err, TSR_E_LIMIT, "this rule compares all contributors with each other: it takes at most %d", TSR_MERGE_BATCH);
    for (size_t i = 0; i < rows; i++) numbers += plane[row[i].plane].embed.width;
    TSR_TRY(tsr_grow(&b->held, &b->cap, b->n + 1, sizeof *b->held, err));
    struct tsr_merge_held h = {.key = *key, .weight = weight, .row = tsr_memdup(row, rows * sizeof *row), .rows = rows,
                               .x = tsr_malloc(numbers, sizeof *h.x)};
    if (h.row == NULL || h.x == NULL) {
        tsr_free(h.row);
        tsr_free(h.x);
        return tsr_nomem(err, numbers * sizeof *h.x);
    }
    qsort(h.row, rows, sizeof *h.row, by_cell);
    float *to = h.x;
    for (size_t i = 0; i < rows; i++) {
        size_t m = plane[h.row[i].plane].embed.width;
        double norm2, dot;
        tsr_merge_measure(h.row[i].x, NULL, m, &norm2, &dot);
        float inverse = (float)(1 / sqrt(norm2));
        for (size_t k = 0; k < m; k++) to[k] = h.row[i].x[k] * inverse;
        h.row[i].x = to;
        to += m;
    }
    b->held[b->n++] = h;
    return TSR_OK;
}

/* The mean squared distance over the rows that both have; 4, the most there is, where they have none. */
static float distance(const struct tsr_merge_held *a, const struct tsr_merge_held *b, const struct tsr_merge_plane *plane)
{
    double sum = 0;
    size_t i = 0, j = 0, n = 0;
    while (i < a->rows && j < b->rows) {
        int order = by_cell(&a->row[i], &b->row[j]);
        if (order == 0) {
            double norm2, dot;
            tsr_merge_measure(a->row[i].x, b->row[j].x, plane[a->row[i].plane].embed.width, &norm2, &dot);
            sum += dot < 1 ? 2 - 2 * dot : 0;
            n++;
        }
        if (order <= 0) i++;
        if (order >= 0) j++;
    }
    return n > 0 ? (float)(sum / (double)n) : 4.0f;
}

static enum tsr_status all_distances(const struct tsr_merge_batch *b, const struct tsr_merge_plane *plane, float **out,
                                     struct tsr_error *err)
{
    float *d = tsr_calloc(b->n * b->n, sizeof *d);
    if (d == NULL) return tsr_nomem(err, b->n * b->n * sizeof *d);
    for (size_t i = 0; i < b->n; i++)
        for (size_t j = i + 1; j < b->n; j++) d[i * b->n + j] = d[j * b->n + i] = distance(&b->held[i], &b->held[j], plane);
    *out = d;
    return TSR_OK;
}

/* Numbers with where they come from, to be sorted; equal ones keep the order of the keys. */
struct scored {
    float score;
    uint32_t at;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) return x->score < y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Krum's score of each: the sum of its n - f - 2 smallest distances to others. */
static enum tsr_status krum_scores(const float *d, size_t n, size_t f, struct scored *out, struct tsr_error *err)
{
    struct scored *row = tsr_malloc(n, sizeof *row);
    if (row == NULL) return tsr_nomem(err, n * sizeof *row);
    size_t near = n > f + 2 ? n - f - 2 : 1;
    for (size_t i = 0; i < n; i++) {
        size_t m = 0;
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i) row[m++] = (struct scored){d[i * n + j], (uint32_t)j};
        qsort(row, m, sizeof *row, by_score);
        for (size_t k = 0; k < near && k < m; k++) sum += (double)row[k].score;
        out[i] = (struct scored){(float)sum, (uint32_t)i};
    }
    qsort(out, n, sizeof *out, by_score);
    tsr_free(row);
    return TSR_OK;
}

/* Leaves only the `keep` best by Krum's score. */
static enum tsr_status select_best(struct tsr_merge_batch *b, const float *d, size_t f, size_t keep, struct tsr_error *err)
{
    struct scored *s = tsr_malloc(b->n, sizeof *s);
    bool *kept = tsr_calloc(b->n, sizeof *kept);
    enum tsr_status status = s == NULL || kept == NULL ? tsr_nomem(err, b->n * sizeof *s) : krum_scores(d, b->n, f, s, err);
    for (size_t i = 0; i < keep && status == TSR_OK; i++) kept[s[i].at] = true;
    size_t n = 0;
    for (size_t i = 0; i < b->n && status == TSR_OK; i++) {
        if (kept[i]) {
            b->held[n++] = b->held[i];
        } else {
            tsr_free(b->held[i].row);
            tsr_free(b->held[i].x);
        }
    }
    if (status == TSR_OK) b->n = n;
    tsr_free(s);
    tsr_free(kept);
    return status;
}

/* y = the mean of a's rows over those of the `near` nearest that have them. */
static enum tsr_status mix_one(const struct tsr_merge_batch *b, const struct scored *near, size_t n, size_t self,
                               const struct tsr_merge_plane *plane, float **out, struct tsr_error *err)
{
    const struct tsr_merge_held *a = &b->held[self];
    size_t numbers = 0, at = 0;
    for (size_t i = 0; i < a->rows; i++) numbers += plane[a->row[i].plane].embed.width;
    double *sum = tsr_calloc(numbers, sizeof *sum);
    uint32_t *count = tsr_calloc(a->rows, sizeof *count);
    float *y = tsr_malloc(numbers, sizeof *y);
    enum tsr_status status = sum == NULL || count == NULL || y == NULL ? tsr_nomem(err, numbers * 12) : TSR_OK;
    for (size_t k = 0; k < n && status == TSR_OK; k++) {
        const struct tsr_merge_held *o = &b->held[near[k].at];
        size_t j = 0;
        at = 0;
        for (size_t i = 0; i < a->rows; i++) {
            size_t m = plane[a->row[i].plane].embed.width;
            while (j < o->rows && by_cell(&o->row[j], &a->row[i]) < 0) j++;
            if (j < o->rows && by_cell(&o->row[j], &a->row[i]) == 0) {
                for (size_t e = 0; e < m; e++) sum[at + e] += (double)o->row[j].x[e];
                count[i]++;
            }
            at += m;
        }
    }
    at = 0;
    for (size_t i = 0; i < a->rows && status == TSR_OK; i++)
        for (size_t e = 0; e < plane[a->row[i].plane].embed.width; e++, at++) y[at] = (float)(sum[at] / (double)count[i]);
    tsr_free(sum);
    tsr_free(count);
    if (status != TSR_OK) tsr_free(y);
    else *out = y;
    return status;
}

/* Every contribution becomes the mean of its n - f nearest, itself among them. */
static enum tsr_status mix(struct tsr_merge_batch *b, const float *d, size_t f, const struct tsr_merge_plane *plane,
                           struct tsr_error *err)
{
    size_t n = b->n, near = n - f;
    struct scored *s = tsr_malloc(n, sizeof *s);
    float **mixed = tsr_calloc(n, sizeof *mixed);
    enum tsr_status status = s == NULL || mixed == NULL ? tsr_nomem(err, n * sizeof *s) : TSR_OK;
    for (size_t i = 0; i < n && status == TSR_OK; i++) {
        for (size_t j = 0; j < n; j++) s[j] = (struct scored){j == i ? -1 : d[i * n + j], (uint32_t)j};
        qsort(s, n, sizeof *s, by_score);
        status = mix_one(b, s, near, i, plane, &mixed[i], err);
    }
    for (size_t i = 0; i < n && status == TSR_OK; i++) {
        float *at = mixed[i];
        for (size_t k = 0; k < b->held[i].rows; k++) {
            b->held[i].row[k].x = at;
            at += plane[b->held[i].row[k].plane].embed.width;
        }
        tsr_free(b->held[i].x);
        b->held[i].x = mixed[i];
        mixed[i] = NULL;
    }
    for (size_t i = 0; i < n && mixed != NULL; i++) tsr_free(mixed[i]);
    tsr_free(mixed);
    tsr_free(s);
    return status;
}

/* Choice and mixing; *then is the rule for what is left. */
static enum tsr_status choose(struct tsr_merge_batch *b, const struct tsr_merge_rule_options *o,
                              const struct tsr_merge_plane *plane, struct tsr_merge_rule_options *then, struct tsr_error *err)
{
    size_t n = b->n, f = (size_t)(o->assume * (double)n);
    float *d;
    *then = *o;
    then->mix = false;
    if (n < 2 * f + 3)
        return tsr_fail(err, TSR_E_LIMIT, "%zu contributors of whom %zu may be hostile are too few for this rule: it needs %zu", n, f,
                        2 * f + 3);
    if (o->rule == TSR_RULE_BULYAN && n < 4 * f + 3)
        return tsr_fail(err, TSR_E_LIMIT, "bulyan needs %zu contributors where %zu may be hostile, there are %zu; lower --assume",
                        4 * f + 3, f, n);
    TSR_TRY(all_distances(b, plane, &d, err));
    enum tsr_status status = TSR_OK;
    if (o->mix) status = mix(b, d, f, plane, err);
    if (o->mix && o->rule >= TSR_RULE_KRUM && status == TSR_OK) { /* the mixed ones are compared anew */
        tsr_free(d);
        d = NULL;
        status = all_distances(b, plane, &d, err);
    }
    if (o->rule >= TSR_RULE_KRUM && status == TSR_OK) {
        size_t keep = o->rule == TSR_RULE_KRUM ? 1 : o->rule == TSR_RULE_MULTIKRUM ? n - f : n - 2 * f;
        status = select_best(b, d, f, keep, err);
        then->rule = o->rule == TSR_RULE_BULYAN ? TSR_RULE_TRIM : TSR_RULE_MEAN;
        then->assume = o->rule == TSR_RULE_BULYAN ? (double)f / (double)keep : 0;
    }
    tsr_free(d);
    return status;
}

enum tsr_status tsr_batch_run(struct tsr_merge_batch *b, const struct tsr_merge_rule_options *o, bool centred,
                              struct tsr_merge_plane *plane, int planes, struct tsr_error *err)
{
    struct tsr_merge_rule_options then;
    if (b->n == 0) return TSR_OK;
    qsort(b->held, b->n, sizeof *b->held, by_key);
    TSR_TRY(choose(b, o, plane, &then, err));
    for (int step = 0; step < tsr_rule_steps(&then, centred); step++) {
        for (int i = 0; i < planes; i++)
            if (plane[i].embed.width > 0) TSR_TRY(tsr_rule_begin(&then, centred, step, &plane[i], err));
        for (size_t i = 0; i < b->n; i++)
            for (size_t k = 0; k < b->held[i].rows; k++) {
                const struct tsr_merge_row *r = &b->held[i].row[k];
                struct tsr_merge_look look;
                TSR_TRY(tsr_plane_add(&plane[r->plane], r->cell, r->x, b->held[i].weight, &look, err));
            }
        for (int i = 0; i < planes; i++) tsr_plane_settle(&plane[i]);
    }
    return TSR_OK;
}
