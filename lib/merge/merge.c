#include "merge/merge_impl.h"

#include "base/mem.h"
#include "merge/confidence.h"

#include <string.h>

struct tsr_merge_options tsr_merge_defaults(void)
{
    return (struct tsr_merge_options){.rule = {.rule = TSR_RULE_CCLIP, .radius = 0.75, .assume = 0.3, .iterations = 4},
                                      .scale = 1, .outputs = true, .hub = true, .min_contributors = 1,
                                      .min_answers = 1, .max_share = 1};
}

enum tsr_status tsr_merge_new(const struct tsr_merge_options *o, struct tsr_merge **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_merge *m = tsr_calloc(1, sizeof *m);
    if (m == NULL) return tsr_nomem(err, sizeof *m);
    m->opt = *o;
    m->c.scale = o->scale;
    m->c.layer = o->layer;
    m->c.outputs = o->outputs;
    m->c.hub = o->hub;
    m->c.confidence = o->confidence;
    enum tsr_status status = tsr_merge_policy(m, &m->policy, err);
    if (status != TSR_OK) tsr_merge_free(m);
    else *out = m;
    return status;
}

void tsr_merge_free(struct tsr_merge *m)
{
    if (m == NULL) return;
    tsr_contribution_clear(&m->c);
    for (int i = 0; i < PLANES; i++) tsr_plane_release(&m->plane[i]);
    tsr_table_release(&m->table);
    tsr_space_release(&m->space);
    tsr_roll_release(&m->roll);
    tsr_json_free(m->policy);
    tsr_merge_part_free(m->part);
    tsr_merge_forget(m);
    tsr_spectral_release(&m->spectral);
    tsr_batch_release(&m->batch);
    tsr_free(m->profile);
    tsr_free(m->numbers);
    tsr_buf_release(&m->body);
    tsr_free(m->row);
    tsr_free(m);
}

enum tsr_status tsr_merge_open_plane(struct tsr_merge *m, int plane, struct tsr_error *err)
{
    struct tsr_merge_plane *p = &m->plane[plane];
    if (p->embed.width > 0) return TSR_OK;
    bool hub = plane >= PLANE_HUB || (m->space.contributors && m->space.hub[0] != '\0');
    struct tsr_embed e = hub ? tsr_space_hub(&m->space) : tsr_space_outputs(&m->space, m->opt.scale, (int)m->opt.confidence);
    tsr_plane_init(p, &e);
    /* Bins by what the histograms of all rows may take: few for the long rows of many samples. */
    p->bins = m->space.contributors ? 512 : e.width <= 64 ? 32 : 8;
    p->centred = m->centred;
    return tsr_rule_begin(&m->opt.rule, m->centred, m->step, p, err);
}

enum tsr_status tsr_merge_grow(struct tsr_merge *m, struct tsr_error *err)
{
    for (int i = 0; i < PLANES; i++) {
        size_t cells = m->space.contributors ? 1 : i % 2 == 0 ? m->table.samples : m->table.view_cells;
        if (m->plane[i].embed.width > 0) TSR_TRY(tsr_plane_grow(&m->plane[i], cells, err));
    }
    return TSR_OK;
}

/* A contribution may answer a row once only. */
static bool answers_twice(const struct tsr_contribution *c)
{
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t j = i + 1; j < c->n_rows && c->rows[j].block == c->rows[i].block; j++)
            if (c->rows[i].hub == c->rows[j].hub && c->rows[i].views == c->rows[j].views &&
                c->rows[i].view < c->rows[j].view + c->rows[j].n_views &&
                c->rows[j].view < c->rows[i].view + c->rows[i].n_views)
                return true;
    return false;
}

/* A whole contribution: counted, or reported as left out. */
static enum tsr_status commit(struct tsr_merge *m, const char *source, struct tsr_error *err)
{
    struct tsr_contribution *c = &m->c;
    int64_t weight = 0;
    TSR_TRY(tsr_confidence_apply(c, err));
    if (m->loading) {
        if (c->fault != TSR_FAULT_NONE) return tsr_fail(err, TSR_E_CORRUPT, "%s: %s", source, c->why);
        TSR_TRY(tsr_space_join(&m->space, &c->space, err));
        return tsr_merge_count(m, source, 1, err);
    }
    if (c->fault == TSR_FAULT_NONE) tsr_contribution_fault(c, tsr_merge_judge(m, c, &weight), NULL);
    if (c->fault == TSR_FAULT_NONE && answers_twice(c))
        tsr_contribution_fault(c, TSR_FAULT_RECORD, "it answers a row twice");
    if (c->fault == TSR_FAULT_NONE) {
        enum tsr_roll_answer known = tsr_roll_find(&m->roll, &c->key, c->root);
        if (known == TSR_ROLL_OTHER)
            return tsr_fail(err, TSR_E_LIMIT, "%s: contributor '%.100s' sent two different streams; give it the weight 0, or remove one",
                            source, c->id);
        if (known == TSR_ROLL_SAME) tsr_contribution_fault(c, TSR_FAULT_DUPLICATE, NULL);
    }
    if (c->fault == TSR_FAULT_NONE) {
        enum tsr_status status = tsr_space_join(&m->space, &c->space, err);
        if (status == TSR_E_MISMATCH && m->lenient) {
            tsr_contribution_fault(c, TSR_FAULT_MISMATCH, err->message);
        } else if (status != TSR_OK) {
            (void)tsr_error_prefix(err, "%s: contributor '%.100s'", source, c->id);
            return status;
        }
    }
    if (c->fault == TSR_FAULT_NONE) return tsr_merge_count(m, source, weight, err);
    tsr_merge_say(m, c->id, source, c->fault, c->why, weight, 0, 0);
    return TSR_OK;
}

static bool is_part(const struct tsr_record *rec)
{
    return rec->type == TSR_PART || (rec->type == TSR_AGGR && tsr_json_get(rec->meta, "part") != NULL);
}

/* What kind of segment it is shows at its second record. */
enum kind { FRESH, PARTIAL, CROWD, ANSWERS };

static enum tsr_status take_record(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                   enum kind *kind, struct tsr_error *err)
{
    if (rec->type == TSR_HEAD) {
        tsr_contribution_clear(&m->c);
        *kind = FRESH;
        m->segment_rows = 0;
        tsr_roll_break(&m->roll);
        m->segment_weight = 0;
        m->segment_cosines = 0;
        return tsr_contribution_head(&m->c, rec, err);
    }
    if (*kind == FRESH) *kind = is_part(rec) ? PARTIAL : m->c.space.contributors ? CROWD : ANSWERS;
    if (*kind == PARTIAL) return tsr_merge_part_record(m, s, rec, err);
    if (is_part(rec)) return tsr_fail(err, TSR_E_CORRUPT, "%s: a partial aggregate stands among answers", rec->source);
    m->begun = m->begun || !m->loading;
    m->answers = m->answers || !m->loading;
    if (*kind == CROWD)
        return rec->type == TSR_ENDS ? tsr_merge_crowd_end(m, rec, err) : tsr_merge_crowd_rows(m, s, rec, err);
    TSR_TRY(tsr_contribution_record(&m->c, s, rec, err));
    return rec->type == TSR_ENDS ? commit(m, rec->source, err) : TSR_OK;
}

static enum tsr_status take_all(struct tsr_merge *m, struct tsr_source *from, bool *partial, struct tsr_error *err)
{
    struct tsr_stream *s;
    const struct tsr_record *rec = NULL;
    enum kind kind = FRESH;
    TSR_TRY(tsr_stream_open(from, NULL, &s, err));
    *partial = true;
    enum tsr_status status;
    do {
        status = tsr_stream_next(s, &rec, err);
        if (status == TSR_OK && rec != NULL) status = take_record(m, s, rec, &kind, err);
        if (kind != PARTIAL && kind != FRESH) *partial = false;
    } while (status == TSR_OK && rec != NULL);
    tsr_contribution_clear(&m->c);
    tsr_merge_part_free(m->part);
    m->part = NULL;
    tsr_stream_close(s);
    return status;
}

/* A centre makes some steps needless, so it must be there before the first. */
enum tsr_status tsr_merge_from(struct tsr_merge *m, struct tsr_source *from, struct tsr_error *err)
{
    struct tsr_error local;
    bool partial;
    if (err == NULL) err = &local;
    if (m->begun) return tsr_fail(err, TSR_E_USAGE, "a centre must be given before anything is merged");
    m->loading = m->centred = true;
    enum tsr_status status = take_all(m, from, &partial, err);
    m->loading = false;
    TSR_TRY(status);
    m->lenient = true;
    /* The answers' round is that of the round before. */
    tsr_free(m->space.round);
    m->space.round = NULL;
    return partial ? TSR_OK : tsr_merge_digest_state(m, err);
}

enum tsr_status tsr_merge_take(struct tsr_merge *m, struct tsr_source *from, struct tsr_error *err)
{
    struct tsr_error local;
    bool partial;
    TSR_TRY(take_all(m, from, &partial, err != NULL ? err : &local));
    if (!partial) m->shards++;
    return TSR_OK;
}

bool tsr_merge_last(const struct tsr_merge *m)
{
    return m->step + 1 >= tsr_rule_steps(&m->opt.rule, m->centred);
}

bool tsr_merge_answers(const struct tsr_merge *m) { return m->answers; }

enum tsr_status tsr_merge_step(struct tsr_merge *m, struct tsr_error *err)
{
    if (!tsr_merge_answers(m)) TSR_TRY(tsr_merge_permitted(m, err)); /* else the last step asks, which tells who was refused */
    enum tsr_merge_step done = tsr_rule_step(&m->opt.rule, m->centred, m->step);
    if (done == TSR_STEP_SCATTER) TSR_TRY(tsr_spectral_axes(&m->spectral, err));
    if (done == TSR_STEP_PROJECT) tsr_spectral_limit(&m->spectral, m->opt.rule.assume);
    m->step++;
    for (int i = 0; i < PLANES; i++) {
        if (m->plane[i].embed.width == 0) continue;
        tsr_plane_settle(&m->plane[i]);
        TSR_TRY(tsr_rule_begin(&m->opt.rule, m->centred, m->step, &m->plane[i], err));
    }
    tsr_roll_release(&m->roll);
    m->shards = 0;
    m->rejected = 0;
    return tsr_merge_digest_state(m, err);
}

void tsr_merge_counts(const struct tsr_merge *m, struct tsr_merge_report *report)
{
    *report = (struct tsr_merge_report){.contributors = m->roll.contributors, .rejected = m->rejected,
                                        .weight = m->roll.weight, .steps = m->step + 1};
}
