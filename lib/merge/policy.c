/* policy.c - who may take part, with which weight, and what partial aggregates must agree on. */
#include "merge/merge_impl.h"

#include <string.h>

static enum tsr_status fill(const struct tsr_merge *m, struct tsr_json *p, struct tsr_error *err)
{
    const struct tsr_merge_options *o = &m->opt;
    TSR_TRY(tsr_json_set_string(p, "rule", tsr_rule_name(o->rule.rule), err));
    TSR_TRY(tsr_json_set_number(p, "radius", o->rule.radius, err));
    TSR_TRY(tsr_json_set_number(p, "assume", o->rule.assume, err));
    TSR_TRY(tsr_json_set_int(p, "iterations", o->rule.iterations, err));
    TSR_TRY(tsr_json_set_bool(p, "mix", o->rule.mix, err));
    TSR_TRY(tsr_json_set_number(p, "scale", o->scale, err));
    TSR_TRY(tsr_json_set_bool(p, "outputs", o->outputs, err));
    TSR_TRY(tsr_json_set_bool(p, "hub", o->hub, err));
    if (o->confidence != TSR_CONFIDENCE_NONE)
        TSR_TRY(tsr_json_set_string(p, "confidence", tsr_confidence_name(o->confidence), err));
    if (o->layer != NULL) TSR_TRY(tsr_json_set_string(p, "layer", o->layer, err));
    if (o->round != NULL) TSR_TRY(tsr_json_set_string(p, "round", o->round, err));
    if (o->since > 0) TSR_TRY(tsr_json_set_int(p, "since", o->since, err));
    if (o->until > 0) TSR_TRY(tsr_json_set_int(p, "until", o->until, err));
    if (o->allow != NULL) TSR_TRY(tsr_json_set_string(p, "allow", o->allow->digest, err));
    if (o->weights != NULL) TSR_TRY(tsr_json_set_string(p, "weights", o->weights->digest, err));
    if (o->seen != NULL) TSR_TRY(tsr_json_set_string(p, "seen", o->seen->digest, err));
    return TSR_OK;
}

enum tsr_status tsr_merge_policy(const struct tsr_merge *m, struct tsr_json **out, struct tsr_error *err)
{
    TSR_TRY(tsr_json_object(out, err));
    enum tsr_status status = fill(m, *out, err);
    if (status == TSR_OK) return TSR_OK;
    tsr_json_free(*out);
    *out = NULL;
    return status;
}

static enum tsr_status adopt_rule(struct tsr_merge *m, const struct tsr_json *p, struct tsr_error *err)
{
    const char *rule;
    double radius, assume, scale;
    int64_t iterations;
    struct tsr_merge_options *o = &m->opt;
    TSR_TRY(tsr_json_need_string(p, "rule", &rule, err));
    TSR_TRY(tsr_json_need_number(p, "radius", 1e-6, 2, &radius, err));
    TSR_TRY(tsr_json_need_number(p, "assume", 0, 0.499, &assume, err));
    TSR_TRY(tsr_json_need_number(p, "scale", 1e-18, 1e18, &scale, err));
    TSR_TRY(tsr_json_need_int(p, "iterations", 1, 1000, &iterations, err));
    TSR_TRY(tsr_json_need_bool(p, "outputs", &o->outputs, err));
    TSR_TRY(tsr_json_need_bool(p, "hub", &o->hub, err));
    if (tsr_json_get(p, "confidence") != NULL) {
        const char *name;
        TSR_TRY(tsr_json_need_string(p, "confidence", &name, err));
        int mode = tsr_confidence_of(name);
        if (mode < 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "outputs are merged by '%.40s', which is not known", name);
        o->confidence = m->c.confidence = (enum tsr_merge_confidence)mode;
    }
    int r = tsr_rule_of(rule);
    if (r < 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "the rule '%.40s' is not known", rule);
    o->rule = (struct tsr_merge_rule_options){(enum tsr_merge_rule)r, radius, assume, iterations, false};
    if (tsr_rule_batch(&o->rule)) return tsr_fail(err, TSR_E_CORRUPT, "the rule '%s' makes no partial aggregates", rule);
    o->scale = scale;
    return TSR_OK;
}

/* The first field that two policies differ in. */
static const char *difference(const struct tsr_json *a, const struct tsr_json *b)
{
    for (const struct tsr_json *f = tsr_json_first(a); f != NULL; f = tsr_json_next(f)) {
        const struct tsr_json *other = tsr_json_get(b, tsr_json_key(f));
        if (other == NULL || !tsr_json_equal(f, other)) return tsr_json_key(f);
    }
    for (const struct tsr_json *f = tsr_json_first(b); f != NULL; f = tsr_json_next(f))
        if (tsr_json_get(a, tsr_json_key(f)) == NULL) return tsr_json_key(f);
    return NULL;
}

enum tsr_status tsr_merge_adopt(struct tsr_merge *m, const struct tsr_json *policy, struct tsr_error *err)
{
    if (m->opt.adopt && !m->begun) {
        struct tsr_json *copy;
        TSR_TRY(adopt_rule(m, policy, err));
        TSR_TRY(tsr_json_object(&copy, err));
        enum tsr_status status = TSR_OK;
        for (const struct tsr_json *f = tsr_json_first(policy); f != NULL && status == TSR_OK; f = tsr_json_next(f))
            status = tsr_json_set_copy(copy, tsr_json_key(f), f, err);
        if (status != TSR_OK) {
            tsr_json_free(copy);
            return status;
        }
        tsr_json_free(m->policy);
        m->policy = copy;
        return TSR_OK;
    }
    const char *field = difference(m->policy, policy);
    if (field == NULL) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH, "the partial aggregate was made with another setting of '%.40s'", field);
}

enum tsr_merge_fault tsr_merge_judge_key(const struct tsr_merge *m, const struct tsr_key *key, int64_t *weight)
{
    const struct tsr_merge_options *o = &m->opt;
    const struct tsr_roster_entry *e;
    *weight = 1;
    if (o->allow != NULL) {
        if ((e = tsr_roster_find(o->allow, key)) == NULL) return TSR_FAULT_UNLISTED;
        *weight = e->weight;
    }
    if (o->weights != NULL && (e = tsr_roster_find(o->weights, key)) != NULL) *weight = e->weight;
    return *weight > 0 ? TSR_FAULT_NONE : TSR_FAULT_WEIGHT;
}

enum tsr_merge_fault tsr_merge_judge(const struct tsr_merge *m, const struct tsr_contribution *c, int64_t *weight)
{
    const struct tsr_merge_options *o = &m->opt;
    enum tsr_merge_fault fault = TSR_FAULT_NONE;
    *weight = 0;
    if (!c->space.contributors && (fault = tsr_merge_judge_key(m, &c->key, weight)) != TSR_FAULT_NONE) return fault;
    if (o->round != NULL && (c->space.round == NULL || strcmp(c->space.round, o->round) != 0)) return TSR_FAULT_ROUND;
    if ((o->since > 0 || o->until > 0) && c->time == 0) return TSR_FAULT_TIME;
    if ((o->since > 0 && c->time < o->since) || (o->until > 0 && c->time > o->until)) return TSR_FAULT_TIME;
    if (o->seen != NULL) {
        struct tsr_key head = tsr_roster_key(c->head);
        if (tsr_roster_find(o->seen, &head) != NULL) return TSR_FAULT_REPLAY;
    }
    return TSR_FAULT_NONE;
}
