#include "drift/compare.h"

#include "base/mem.h"
#include "drift/pending.h"

#include <string.h>

/* Slot 0 is the outputs, slot 1 + i layer i: one of the same name on both sides, or a pair. */
struct slot {
    bool seen, absent; /* the side has it; it has read a block without it */
    bool pair;         /* of the reference's side: two names */
};

struct meeting { /* of the reference and one candidate in one slot */
    struct tsr_pending pending;
    struct tsr_target *target;
};

struct run {
    const struct tsr_drift_options *opt;
    struct tsr_drift *d;
    struct tsr_side *side;  /* [1 + n]: the reference first */
    struct slot *slot;      /* [side][slots of room] */
    struct meeting *meet;   /* [candidate][slots of room] */
    size_t *pair;           /* [pairs]: their slots; 0: neither layer has come yet */
    size_t n, slots, room;
    size_t waiting;         /* bytes of batches that somebody waits for */
};

static struct slot *slot_of(struct run *r, size_t side, size_t slot) { return &r->slot[side * r->room + slot]; }
static struct meeting *meeting_of(struct run *r, size_t c, size_t slot) { return &r->meet[c * r->room + slot]; }

/* ---- names ---- */

/* Is that the name of the pair's layer on this side? */
static bool names(const char *pair, size_t side, const char *layer)
{
    const char *eq = strchr(pair, '=');
    if (side > 0) return strcmp(eq + 1, layer) == 0;
    return strncmp(pair, layer, (size_t)(eq - pair)) == 0 && layer[eq - pair] == '\0';
}

/* More room for slots: the tables are laid out anew. */
static enum tsr_status widen(struct run *r, struct tsr_error *err)
{
    size_t room = 2 * r->room;
    struct slot *slot = tsr_calloc((r->n + 1) * room, sizeof *slot);
    struct meeting *meet = tsr_calloc(r->n * room, sizeof *meet);
    if (slot == NULL || meet == NULL) {
        tsr_free(slot);
        tsr_free(meet);
        return tsr_nomem(err, (r->n + 1) * room * sizeof *meet);
    }
    for (size_t s = 0; s <= r->n; s++) memcpy(slot + s * room, r->slot + s * r->room, r->room * sizeof *slot);
    for (size_t c = 0; c < r->n; c++) memcpy(meet + c * room, r->meet + c * r->room, r->room * sizeof *meet);
    tsr_free(r->slot);
    tsr_free(r->meet);
    r->slot = slot;
    r->meet = meet;
    r->room = room;
    return TSR_OK;
}

static enum tsr_status new_slot(struct run *r, const char *name, size_t *out, struct tsr_error *err)
{
    if (r->slots == r->room) TSR_TRY(widen(r, err));
    TSR_TRY(tsr_grow(&r->d->layer, &r->d->cap_layer, r->d->n_layers + 1, sizeof *r->d->layer, err));
    char *copy = tsr_strdup(name);
    if (copy == NULL) return tsr_nomem(err, strlen(name) + 1);
    r->d->layer[r->d->n_layers++] = copy;
    *out = r->slots++;
    for (size_t s = 0; s <= r->n; s++) slot_of(r, s, *out)->absent = r->side[s].blocks > 1 || r->side[s].ended;
    return TSR_OK;
}

static enum tsr_status find_slot(struct run *r, const char *layer, size_t *out, struct tsr_error *err)
{
    *out = 0;
    if (layer == NULL) return TSR_OK;
    for (size_t i = 0; i < r->d->n_layers; i++)
        if (!slot_of(r, 0, 1 + i)->pair && strcmp(r->d->layer[i], layer) == 0) {
            *out = 1 + i;
            return TSR_OK;
        }
    return new_slot(r, layer, out, err);
}

static enum tsr_status find_pair_slot(struct run *r, size_t pair, size_t *out, struct tsr_error *err)
{
    if (r->pair[pair] == 0) {
        TSR_TRY(new_slot(r, r->opt->pair[pair], &r->pair[pair], err));
        slot_of(r, 0, r->pair[pair])->pair = true;
    }
    *out = r->pair[pair];
    return TSR_OK;
}

/* ---- rows ---- */

static enum tsr_status new_target(struct run *r, const struct tsr_batch *ref, const struct tsr_batch *x,
                                  struct tsr_target **out, struct tsr_error *err)
{
    struct tsr_target_shape shape = {.kind = {ref->kind, x->kind}, .cols = {ref->cols, x->cols},
                                     .top_k = r->opt->top_k, .apart = strcmp(ref->hub, x->hub) != 0,
                                     .clustered = r->opt->views};
    return tsr_target_new(&shape, out, err);
}

static enum tsr_status add_pair(struct run *r, struct tsr_target *t, const struct tsr_batch *ref, size_t ref_row,
                                const struct tsr_batch *x, size_t row, struct tsr_error *err)
{
    if (ref->cols != t->cols[0] || x->cols != t->cols[1] || ref->kind != t->kind[0] || x->kind != t->kind[1])
        return tsr_fail(err, TSR_E_CORRUPT, "rows change their width or kind between blocks");
    size_t i = ref_row % ref->count;
    struct tsr_target_row pair = {.key = &ref->key[i], .label = -1, .ref = ref->x + ref_row * ref->cols,
                                  .x = x->x + row * x->cols, .view = ref->view > 0};
    if (!pair.view && ref->label != NULL) pair.label = ref->label[i];
    if (pair.view) {
        struct tsr_view_plan plan;
        tsr_view_plan(&r->side[0].views, pair.key, (uint32_t)ref->view + (uint32_t)(ref_row / ref->count),
                      (uint32_t)ref->count, &plan);
        if (plan.mixed && plan.partner != i) pair.partner = &ref->key[plan.partner];
    }
    return tsr_target_add(t, &pair, err);
}

/* Gives the batch's rows to those that wait for them, and lets the others wait. */
static enum tsr_status meet(struct run *r, size_t c, size_t slot, int side, struct tsr_batch *b, struct tsr_error *err)
{
    struct meeting *m = meeting_of(r, c, slot);
    size_t users = b->users;
    for (size_t row = 0; row < b->rows; row++) {
        struct tsr_key id;
        size_t other_row;
        tsr_pending_id(b, row, &id);
        struct tsr_batch *other = tsr_pending_pop(&m->pending, !side, &id, &other_row);
        if (other == NULL) {
            TSR_TRY(tsr_pending_push(&m->pending, side, &id, b, row, err));
            continue;
        }
        enum tsr_status status = TSR_OK;
        const struct tsr_batch *ref = side == 0 ? b : other, *x = side == 0 ? other : b;
        if (m->target == NULL) status = new_target(r, ref, x, &m->target, err);
        if (status == TSR_OK)
            status = add_pair(r, m->target, ref, side == 0 ? row : other_row, x, side == 0 ? other_row : row, err);
        if (other->users == 1) r->waiting -= other->bytes;
        tsr_batch_drop(other);
        if (status != TSR_OK) {
            if (err != NULL) (void)tsr_error_prefix(err, "'%s'", r->side[c + 1].name);
            return status;
        }
    }
    if (users == 1 && b->users > 1) r->waiting += b->bytes;
    return TSR_OK;
}

static enum tsr_status too_many(struct run *r, struct tsr_error *err)
{
    if (r->waiting <= r->opt->memory) return TSR_OK;
    return tsr_fail(err, TSR_E_LIMIT,
                    "more than %zu MiB of rows wait for their counterparts: the streams hold their samples in different "
                    "orders, or are of different reference sets", r->opt->memory >> 20);
}

static enum tsr_status take_in(struct run *r, size_t side, size_t slot, struct tsr_batch *b, struct tsr_error *err)
{
    slot_of(r, side, slot)->seen = true;
    for (size_t c = 0; c < r->n; c++) {
        if (side > 0 && c != side - 1) continue;
        if (slot_of(r, side, slot)->absent || slot_of(r, side == 0 ? c + 1 : 0, slot)->absent) continue;
        TSR_TRY(meet(r, c, slot, side > 0, b, err));
    }
    return TSR_OK;
}

/* A batch of this side: for one candidate, or for all where it is the reference's; under its name and in its pairs. */
static enum tsr_status take(struct run *r, size_t side, struct tsr_batch *b, struct tsr_error *err)
{
    size_t slot;
    TSR_TRY(find_slot(r, b->layer, &slot, err));
    struct tsr_drift_stream *facts = side == 0 ? &r->d->ref : &r->d->candidate[side - 1].stream;
    if (facts->dtype == TSR_NONE || slot == 0) facts->dtype = b->dtype;
    TSR_TRY(take_in(r, side, slot, b, err));
    for (size_t i = 0; b->layer != NULL && i < r->opt->n_pairs; i++) {
        if (!names(r->opt->pair[i], side, b->layer)) continue;
        TSR_TRY(find_pair_slot(r, i, &slot, err));
        TSR_TRY(take_in(r, side, slot, b, err));
    }
    return too_many(r, err);
}

static void count_waiting(struct run *r)
{
    r->waiting = 0;
    for (size_t i = 0; i < r->n * r->room; i++) {
        const struct tsr_pending *p = &r->meet[i].pending;
        const struct tsr_batch *last = NULL;
        for (size_t k = 0; k < p->n; k++) {
            if (p->entry[k].batch != NULL && p->entry[k].batch != last) r->waiting += p->entry[k].batch->bytes;
            last = p->entry[k].batch;
        }
    }
}

/* The side has read a whole block: what was not in it will not come. */
static void settle_absent(struct run *r, size_t side)
{
    bool dropped = false;
    for (size_t slot = 0; slot < r->slots; slot++) {
        struct slot *s = slot_of(r, side, slot);
        if (s->seen || s->absent) continue;
        s->absent = true;
        for (size_t c = 0; c < r->n; c++) {
            struct tsr_pending *p = &meeting_of(r, c, slot)->pending;
            if ((side > 0 && c != side - 1) || p->waiting[0] + p->waiting[1] == 0) continue;
            tsr_pending_clear(p);
            dropped = true;
        }
    }
    if (dropped) count_waiting(r);
}

/* The reference begins another block: samples whose rows all met are complete. */
static void settle_clusters(struct run *r)
{
    for (size_t i = 0; i < r->n * r->room; i++) {
        const struct tsr_pending *p = &r->meet[i].pending;
        if (r->meet[i].target != NULL && p->waiting[0] + p->waiting[1] == 0) tsr_target_settle(r->meet[i].target);
    }
}

/* ---- the streams ---- */

/* The side that has told least, so that few rows wait: in samples, then in records of the block. */
static struct tsr_side *behind(struct run *r)
{
    struct tsr_side *best = NULL;
    for (size_t i = 0; i <= r->n; i++) {
        struct tsr_side *s = &r->side[i];
        if (s->ended) continue;
        if (best == NULL || s->samples < best->samples || (s->samples == best->samples && s->records < best->records))
            best = s;
    }
    return best;
}

static enum tsr_status same_recipe(struct run *r, const struct tsr_side *s, struct tsr_error *err)
{
    const struct tsr_json *a = r->side[0].recipe, *b = s->recipe;
    if (!r->opt->views || s == &r->side[0] || a == NULL || b == NULL || tsr_json_equal(a, b)) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH, "'%s' derived its views by another recipe or seed than '%s'", s->name, r->side[0].name);
}

static enum tsr_status read_all(struct run *r, struct tsr_error *err)
{
    for (struct tsr_side *s; (s = behind(r)) != NULL;) {
        struct tsr_batch *b;
        int64_t blocks = s->blocks;
        size_t number = (size_t)(s - r->side);
        if (r->opt->stop != NULL && r->opt->stop()) return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted");
        TSR_TRY(tsr_side_step(s, &b, err));
        if (b != NULL) {
            enum tsr_status status = same_recipe(r, s, err);
            if (status == TSR_OK) status = take(r, number, b, err);
            tsr_batch_drop(b);
            TSR_TRY(status);
        }
        if ((s->blocks > blocks && s->blocks == 2) || s->ended) settle_absent(r, number);
        if (s->blocks > blocks && number == 0) settle_clusters(r);
    }
    return TSR_OK;
}

/* ---- the end ---- */

static enum tsr_status nothing(const struct run *r, size_t c, struct tsr_error *err)
{
    const struct tsr_side *a = &r->side[0], *b = &r->side[c + 1];
    if (a->samples == 0 || b->samples == 0)
        return tsr_fail(err, TSR_E_MISMATCH, "'%s' holds no samples", a->samples == 0 ? a->name : b->name);
    return tsr_fail(err, TSR_E_MISMATCH,
                    "'%s' and '%s' hold nothing that can be compared: outputs, or activations of the same layer (or of "
                    "two that are named as a pair)", a->name, b->name);
}

/* Rows of the candidate that found no counterpart, in the first slot where there are any. */
static enum tsr_status check_missing(struct run *r, size_t c, struct tsr_error *err)
{
    const char *a = r->side[0].name, *b = r->side[c + 1].name;
    struct tsr_drift_candidate *out = &r->d->candidate[c];
    bool met = false, waits = false;
    for (size_t slot = 0; slot < r->slots; slot++) {
        const struct meeting *m = meeting_of(r, c, slot);
        met = met || m->target != NULL;
        for (int side = 0; side < 2; side++) {
            if (m->pending.waiting[side] > out->missing[side]) out->missing[side] = m->pending.waiting[side];
            waits = waits || m->pending.waiting[side] > 0;
        }
    }
    if (!met && waits)
        return tsr_fail(err, TSR_E_MISMATCH, "'%s' answers another reference set than '%s': they have no sample in common", b, a);
    if (!met) return nothing(r, c, err);
    if (!waits || r->opt->common) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH,
                    "'%s' lacks %zu rows that '%s' has, and has %zu that '%s' lacks; --common compares those that both have",
                    b, out->missing[0], a, out->missing[1], a);
}

/* Every pair that was asked for is there, in the reference and in some candidate. */
static enum tsr_status check_pairs(struct run *r, struct tsr_error *err)
{
    for (size_t i = 0; i < r->opt->n_pairs; i++) {
        const char *pair = r->opt->pair[i], *eq = strchr(pair, '=');
        bool any = false, ref = r->pair[i] != 0 && slot_of(r, 0, r->pair[i])->seen;
        for (size_t c = 1; c <= r->n && r->pair[i] != 0; c++) any = any || slot_of(r, c, r->pair[i])->seen;
        if (!ref) return tsr_fail(err, TSR_E_NOT_FOUND, "--pair %s: '%s' has no layer '%.*s'", pair, r->side[0].name, (int)(eq - pair), pair);
        if (!any)
            return r->n == 1 ? tsr_fail(err, TSR_E_NOT_FOUND, "--pair %s: '%s' has no layer '%s'", pair, r->side[1].name, eq + 1)
                             : tsr_fail(err, TSR_E_NOT_FOUND, "--pair %s: no candidate has a layer '%s'", pair, eq + 1);
    }
    return TSR_OK;
}

/* Whether slot `slot` was compared with any candidate. */
static bool any_target(const struct run *r, size_t slot)
{
    for (size_t c = 0; c < r->n; c++)
        if (r->meet[c * r->room + slot].target != NULL) return true;
    return false;
}

/* A pair has the reference's name in reports, unless that layer is compared with another one, too. */
static void name_pairs(struct run *r)
{
    for (size_t i = 0; i < r->opt->n_pairs; i++) {
        const char *pair = r->opt->pair[i];
        size_t own = 0, others = 0;
        for (size_t slot = 1; slot < r->slots; slot++)
            if (!slot_of(r, 0, slot)->pair && names(pair, 0, r->d->layer[slot - 1])) own = slot;
        for (size_t k = 0; k < r->opt->n_pairs && own > 0; k++) others += k != i && names(r->opt->pair[k], 0, r->d->layer[own - 1]);
        if (own == 0 || others > 0 || any_target(r, own)) continue;
        char *name = r->d->layer[own - 1];
        r->d->layer[own - 1] = r->d->layer[r->pair[i] - 1];
        r->d->layer[r->pair[i] - 1] = name;
        slot_of(r, 0, own)->pair = true;
    }
}

static enum tsr_status take_facts(const struct tsr_side *s, struct tsr_drift_stream *to, struct tsr_error *err)
{
    to->samples = s->samples;
    to->views = s->recipe != NULL ? (int64_t)s->views.count : 0;
    memcpy(to->digest, s->head.model_digest, sizeof to->digest);
    TSR_TRY(tsr_stream_head_set(&to->name, s->name, err));
    TSR_TRY(tsr_stream_head_set(&to->model, s->head.model, err));
    return tsr_stream_head_set(&to->producer, s->head.producer, err);
}

static enum tsr_status finish(struct run *r, struct tsr_error *err)
{
    TSR_TRY(take_facts(&r->side[0], &r->d->ref, err));
    TSR_TRY(check_pairs(r, err));
    name_pairs(r);
    for (size_t c = 0; c < r->n; c++) {
        struct tsr_drift_candidate *out = &r->d->candidate[c];
        TSR_TRY(take_facts(&r->side[c + 1], &out->stream, err));
        TSR_TRY(check_missing(r, c, err));
        out->layers = tsr_calloc(r->d->n_layers + 1, sizeof(struct tsr_target *));
        if (out->layers == NULL) return tsr_nomem(err, r->d->n_layers * sizeof *out->layers);
        for (size_t slot = 0; slot < r->slots; slot++) {
            struct meeting *m = meeting_of(r, c, slot);
            if (m->target == NULL) continue;
            TSR_TRY(tsr_target_finish(m->target, err));
            *(slot == 0 ? &out->outputs : &out->layers[slot - 1]) = m->target;
            m->target = NULL;
        }
    }
    return TSR_OK;
}

static enum tsr_status start(struct run *r, const struct tsr_drift_input *ref, const struct tsr_drift_input *candidate,
                             struct tsr_error *err)
{
    const struct tsr_drift_options *o = r->opt;
    for (size_t i = 0; i < o->n_pairs; i++) {
        const char *eq = strchr(o->pair[i], '=');
        if (eq == NULL || eq == o->pair[i] || eq[1] == '\0')
            return tsr_fail(err, TSR_E_USAGE, "a pair of layers is written REFERENCE=CANDIDATE, not '%s'", o->pair[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(o->pair[k], o->pair[i]) == 0) return tsr_fail(err, TSR_E_USAGE, "the pair %s is there twice", o->pair[i]);
    }
    r->slots = 1;
    r->room = 8;
    r->side = tsr_calloc(r->n + 1, sizeof *r->side);
    r->slot = tsr_calloc((r->n + 1) * r->room, sizeof *r->slot);
    r->meet = tsr_calloc(r->n * r->room, sizeof *r->meet);
    r->pair = tsr_calloc(o->n_pairs + 1, sizeof *r->pair);
    r->d = tsr_calloc(1, sizeof *r->d);
    if (r->pair == NULL || r->side == NULL || r->slot == NULL || r->meet == NULL || r->d == NULL) return tsr_nomem(err, sizeof *r->d);
    r->d->candidate = tsr_calloc(r->n, sizeof *r->d->candidate);
    if (r->d->candidate == NULL) return tsr_nomem(err, r->n * sizeof *r->d->candidate);
    r->d->n = r->n;
    TSR_TRY(tsr_side_open(&r->side[0], ref->source, ref->name, o->labels, o->views, err));
    for (size_t c = 0; c < r->n; c++)
        TSR_TRY(tsr_side_open(&r->side[c + 1], candidate[c].source, candidate[c].name, NULL, o->views, err));
    return TSR_OK;
}

static void release(struct run *r)
{
    for (size_t i = 0; r->meet != NULL && i < r->n * r->room; i++) {
        tsr_pending_release(&r->meet[i].pending);
        tsr_target_free(r->meet[i].target);
    }
    for (size_t i = 0; r->side != NULL && i <= r->n; i++) tsr_side_close(&r->side[i]);
    tsr_free(r->side);
    tsr_free(r->slot);
    tsr_free(r->meet);
    tsr_free(r->pair);
    tsr_drift_free(r->d);
}

enum tsr_status tsr_drift_compare(const struct tsr_drift_input *ref, const struct tsr_drift_input *candidate, size_t n,
                                  const struct tsr_drift_options *options, struct tsr_drift **out, struct tsr_error *err)
{
    *out = NULL;
    if (n == 0 || n > TSR_DRIFT_CANDIDATES)
        return tsr_fail(err, TSR_E_USAGE, "between 1 and %d candidates can be compared at a time", TSR_DRIFT_CANDIDATES);
    struct run r = {.opt = options, .n = n};
    enum tsr_status status = start(&r, ref, candidate, err);
    if (status == TSR_OK) status = read_all(&r, err);
    if (status == TSR_OK) status = finish(&r, err);
    if (status == TSR_OK) {
        *out = r.d;
        r.d = NULL;
    }
    release(&r);
    return status;
}

static void release_facts(struct tsr_drift_stream *s)
{
    tsr_free(s->name);
    tsr_free(s->model);
    tsr_free(s->producer);
}

void tsr_drift_free(struct tsr_drift *d)
{
    if (d == NULL) return;
    release_facts(&d->ref);
    for (size_t c = 0; d->candidate != NULL && c < d->n; c++) {
        struct tsr_drift_candidate *k = &d->candidate[c];
        release_facts(&k->stream);
        tsr_target_free(k->outputs);
        for (size_t i = 0; k->layers != NULL && i < d->n_layers; i++) tsr_target_free(k->layers[i]);
        tsr_free(k->layers);
    }
    tsr_free(d->candidate);
    for (size_t i = 0; i < d->n_layers; i++) tsr_free(d->layer[i]);
    tsr_free(d->layer);
    tsr_free(d);
}
