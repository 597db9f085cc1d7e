#include "transfer/lesson.h"

#include "base/mem.h"
#include "base/rng.h"
#include "graph/adapt.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HELD 2000 /* rows held out of the largest lessons: enough to compare by */

struct keyed {
    struct tsr_key key;
    uint32_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = memcmp(x->key.b, y->key.b, TSR_KEY_LEN);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

/* at[i] = row of the receiver's set that holds stream sample i (the first of equal ones). */
static enum tsr_status join(struct tsr_lesson *l, const struct tsr_key *key, struct tsr_error *err)
{
    const struct tsr_tokens *t = l->tokens;
    size_t m = (size_t)l->refs->shape.dim[0];
    struct keyed *sorted = tsr_malloc(m, sizeof *sorted);
    l->at = tsr_malloc(t->refs, sizeof *l->at);
    if (sorted == NULL || l->at == NULL) {
        tsr_free(sorted);
        return tsr_nomem(err, m * sizeof *sorted);
    }
    for (size_t i = 0; i < m; i++) sorted[i] = (struct keyed){key[i], (uint32_t)i};
    qsort(sorted, m, sizeof *sorted, by_key);
    for (uint32_t i = 0; i < t->refs; i++) {
        struct keyed want = {t->key[i], 0};
        size_t lo = 0, hi = m;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (by_key(&sorted[mid], &want) < 0) lo = mid + 1;
            else hi = mid;
        }
        bool found = lo < m && memcmp(sorted[lo].key.b, want.key.b, TSR_KEY_LEN) == 0;
        l->at[i] = found ? sorted[lo].at : UINT32_MAX;
        l->refs_used += found;
    }
    tsr_free(sorted);
    if (l->refs_used == 0)
        return tsr_fail(err, TSR_E_MISMATCH,
                        "none of the stream's %u samples is in the reference set given; the receiver needs the same "
                        "inputs that the transmitter answered",
                        t->refs);
    return TSR_OK;
}

static void plan_row(const struct tsr_tokens *t, struct tsr_token_row r, struct tsr_view_plan *plan)
{
    tsr_view_plan(&t->views, &t->key[r.ref], r.view, r.block->count, plan);
}

static bool can_make(const struct tsr_lesson *l, struct tsr_token_row r)
{
    if (l->at[r.ref] == UINT32_MAX) return false;
    if (r.view == 0) return true;
    struct tsr_view_plan plan;
    plan_row(l->tokens, r, &plan);
    return !plan.mixed || l->at[r.block->first + plan.partner] != UINT32_MAX;
}

enum tsr_status tsr_lesson_init(struct tsr_lesson *l, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                                const struct tsr_key *key, double held_share, bool with_views, uint64_t seed,
                                struct tsr_error *err)
{
    *l = (struct tsr_lesson){.tokens = tokens, .refs = refs};
    enum tsr_status status;
    with_views = with_views && tokens->views.count > 0;
    if (with_views) TSR_GO(status, fail, tsr_views_check(&tokens->views, refs->dtype, err));
    TSR_GO(status, fail, join(l, key, err));
    size_t rows = with_views ? tokens->rows : tokens->refs;
    if (rows > UINT32_MAX) {
        status = tsr_fail(err, TSR_E_LIMIT, "the stream has too many rows (%zu)", rows);
        goto fail;
    }
    l->row = tsr_malloc(rows, sizeof *l->row);
    if (l->row == NULL) {
        status = tsr_nomem(err, rows * sizeof *l->row);
        goto fail;
    }
    for (size_t r = 0; r < rows; r++)
        if (can_make(l, tsr_tokens_row(tokens, r))) l->row[l->n++] = (uint32_t)r;
    struct tsr_rng rng;
    tsr_rng_init(&rng, seed, 0x6c6573736f6e);
    tsr_rng_shuffle(&rng, l->row, l->n);
    if (l->n >= 10) {
        l->held = (uint32_t)(held_share * (double)(l->n < MOST_HELD * 10 ? l->n : MOST_HELD * 10));
        if (l->held == 0 && held_share > 0) l->held = 1;
    }
    return TSR_OK;
fail:
    tsr_lesson_release(l);
    return status;
}

void tsr_lesson_release(struct tsr_lesson *l)
{
    tsr_free(l->at);
    tsr_free(l->row);
    tsr_tensor_release(&l->batch);
    *l = (struct tsr_lesson){0};
}

enum tsr_status tsr_lesson_input(struct tsr_lesson *l, const uint32_t *index, int64_t n, const struct tsr_graph *g,
                                 struct tsr_session *s, struct tsr_error *err)
{
    const struct tsr_tokens *t = l->tokens;
    struct tsr_shape shape = l->refs->shape;
    shape.dim[0] = n;
    struct tsr_view_block block = tsr_view_block(l->refs, NULL);
    size_t bytes = tsr_dtype_bytes(block.dtype, tsr_shape_count(&block.shape));
    tsr_tensor_release(&l->batch);
    TSR_TRY(tsr_tensor_new(&l->batch, l->refs->dtype, &shape, NULL, err));
    for (int64_t i = 0; i < n; i++) {
        struct tsr_token_row r = tsr_tokens_row(t, l->row[index[i]]);
        block.key = t->key + r.block->first;
        block.at = l->at + r.block->first;
        block.n = r.block->count;
        tsr_view_row(&t->views, &block, r.ref - r.block->first, r.view, (char *)l->batch.data + bytes * (size_t)i);
    }
    TSR_TRY(tsr_input_adapt(&l->batch, &g->value[g->input[0]], err));
    return tsr_session_set_input(s, g->input[0], &l->batch, err);
}
