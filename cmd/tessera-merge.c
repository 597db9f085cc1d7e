/* tessera-merge - one aggregate from the token streams of many. */
#include "shared/cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const rules[] = {"cclip", "huber", "mean", "median", "trim", "geomed", "fltrust", "spectral", "krum", "multikrum",
                                    "bulyan", "nnm+mean", "nnm+median", "nnm+trim", "nnm+geomed", "nnm+cclip", "nnm+huber",
                                    "nnm+krum", NULL};
static const char *const confidences[] = {"rule", "standardised-mean", "max-confidence", "energy", NULL};
static const char *const armors[] = {"none", "in", "out", "both", NULL};
static const char *const kinds[] = {"both", "outputs", "hub", NULL};

static struct {
    int rule, only, outputs, armor;
    double radius, assume, scale, max_weight;
    int64_t iterations, since, until, min_contributors, min_answers, shards;
    const char *layer, *from, *round, *allow, *weights, *seen, *ledger;
    double half_life;
    bool partial;
} set = {.half_life = 604800, .radius = 0.75, .assume = 0.3, .scale = 1, .max_weight = 1, .iterations = 4, .min_contributors = 1, .min_answers = 1};

static const struct tsr_option options[] = {
    TSR_CHOICE('R', "rule", "RULE", &set.rule, rules,
               "cclip (default), huber, mean, median, trim, geomed, fltrust or spectral; for up to 10000 contributors krum, "
               "multikrum, bulyan, or nnm+RULE"),
    TSR_DOUBLE(0, "radius", "D", &set.radius, 1e-6, 2, "cclip: distance beyond which a row is pulled in (default: 0.75)"),
    TSR_DOUBLE(0, "assume", "SHARE", &set.assume, 0, 0.499, "trim, spectral, krum and the like: share of hostile contributors to withstand (default: 0.3)"),
    TSR_INT(0, "iterations", "N", &set.iterations, 1, 1000, "huber, geomed: steps after the first centre (default: 4)"),
    TSR_DOUBLE(0, "scale", "S", &set.scale, 1e-18, 1e18, "usual size of regression outputs (default: 1)"),
    TSR_CHOICE(0, "only", "WHAT", &set.only, kinds, "outputs, hub: merge one of them; both (default)"),
    TSR_CHOICE(0, "outputs", "HOW", &set.outputs, confidences,
               "how outputs of classes are merged: by the rule (default), or by confidence, where contributors know different "
               "classes: standardised-mean, max-confidence or energy"),
    TSR_STRING('l', "layer", "TENSOR", &set.layer, "whose hub tokens to merge (default: each stream's first)"),
    TSR_STRING(0, "from", "FILE", &set.from, "the aggregate of the round before, trusted rows, or a state to go on from"),
    TSR_FLAG(0, "partial", &set.partial, "write a partial aggregate, to be merged with others"),
    TSR_CHOICE(0, "armor", "WHERE", &set.armor, armors,
               "in, out or both: token streams as text, one line of base64 each (default: none)"),
    TSR_INT(0, "shards", "N", &set.shards, 0, 1000000000, "refuse unless the inputs make up N shards (default: 0, any number)"),
    TSR_STRING(0, "round", "NAME", &set.round, "take answers to this round only"),
    TSR_INT(0, "since", "TIME", &set.since, 0, INT64_C(1) << 40, "take answers given at this time or later, in seconds since 1970"),
    TSR_INT(0, "until", "TIME", &set.until, 0, INT64_C(1) << 40, "take answers given at this time or earlier"),
    TSR_STRING(0, "allow", "FILE", &set.allow, "who may take part: a name a line, perhaps a weight behind it"),
    TSR_STRING(0, "weights", "FILE", &set.weights, "weights of contributors, 0 to leave out (default: 1 for everyone)"),
    TSR_STRING(0, "seen", "FILE", &set.seen, "digests of streams that counted before and may not again"),
    TSR_STRING(0, "ledger", "FILE", &set.ledger, "add a line of credit for each contributor to FILE, and reckon with those in it"),
    TSR_DOUBLE(0, "half-life", "SECONDS", &set.half_life, 1, 1e12, "age at which a contribution's freshness is a half (default: 604800)"),
    TSR_INT(0, "min-contributors", "N", &set.min_contributors, 1, INT64_C(1) << 40, "refuse with fewer (default: 1)"),
    TSR_INT(0, "min-answers", "N", &set.min_answers, 1, UINT32_MAX, "leave out samples that fewer answered (default: 1)"),
    TSR_DOUBLE(0, "max-weight", "SHARE", &set.max_weight, 1e-9, 1, "refuse where one contributor has more of the weight (default: 1)"),
};

/* Names of options that say how to merge; without any, partial aggregates bring all of it along. */
static const char *const policy[] = {"rule", "radius", "assume", "iterations", "scale", "only", "outputs", "layer", "round",
                                     "since", "until", "allow", "weights", "seen"};

struct work {
    struct tsr_cli *cli;
    struct tsr_merge *m;
    struct tsr_roster allow, weights, seen;
    struct tsr_ledger ledger;
    struct tsr_merge_report counts; /* of the step that was taken last */
    FILE *spool; /* standard input, where it is to be read more than once */
    struct tsr_error err;
    enum tsr_status report; /* of the first line that could not be written */
};

static bool stopped(void) { return tsr_cli_stop != 0; }

static enum tsr_status decision_line(const struct tsr_merge_decision *d, struct tsr_json *line, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_string(line, "schema", "tessera-merge.contribution/1", err));
    TSR_TRY(tsr_json_set_string(line, "contributor", d->contributor, err));
    TSR_TRY(tsr_json_set_string(line, "source", d->source, err));
    TSR_TRY(tsr_json_set_string(line, "stream", d->stream, err));
    TSR_TRY(tsr_json_set_bool(line, "counts", d->fault == TSR_FAULT_NONE, err));
    TSR_TRY(tsr_json_set_string(line, "reason", tsr_merge_fault_name(d->fault), err));
    if (d->why[0] != '\0') TSR_TRY(tsr_json_set_string(line, "why", d->why, err));
    TSR_TRY(tsr_json_set_int(line, "weight", d->weight, err));
    TSR_TRY(tsr_json_set_int(line, "rows", (int64_t)d->rows, err));
    if (d->novelty >= 0) TSR_TRY(tsr_json_set_number(line, "novelty", d->novelty, err));
    if (d->time > 0) TSR_TRY(tsr_json_set_int(line, "time", d->time, err));
    if (d->centred) TSR_TRY(tsr_json_set_number(line, "quality", d->quality, err));
    return TSR_OK;
}

static void tell(void *arg, const struct tsr_merge_decision *d)
{
    struct work *k = arg;
    struct tsr_json *line;
    if (d->fault != TSR_FAULT_NONE)
        tsr_cli_note(k->cli, "%s: '%.100s' does not count (%s)%s%s", d->source, d->contributor, tsr_merge_fault_name(d->fault),
                     d->why[0] != '\0' ? ": " : "", d->why);
    if (k->report == TSR_OK && set.ledger != NULL) k->report = tsr_ledger_add(&k->ledger, d, &k->err);
    if (k->report != TSR_OK || k->cli->report == NULL) return;
    k->report = tsr_json_object(&line, &k->err);
    if (k->report != TSR_OK) return;
    k->report = decision_line(d, line, &k->err);
    if (k->report == TSR_OK) k->report = tsr_cli_report(k->cli, line, &k->err);
    tsr_json_free(line);
}

static enum tsr_status load_roster(const char *path, struct tsr_roster *r, const struct tsr_roster **out, struct tsr_error *err)
{
    struct tsr_source *src;
    if (path == NULL) return TSR_OK;
    TSR_TRY(tsr_source_open(path, &src, err));
    enum tsr_status status = tsr_roster_load(r, src, err);
    tsr_source_close(src);
    *out = r;
    return status;
}

/* The ledger's lines so far; it need not be there yet. */
static enum tsr_status open_ledger(struct work *k, struct tsr_error *err)
{
    struct tsr_source *src;
    k->ledger.now = set.until;
    k->ledger.half_life = set.half_life;
    k->ledger.round = set.round;
    if (set.ledger == NULL || access(set.ledger, F_OK) != 0) return TSR_OK;
    TSR_TRY(tsr_source_open(set.ledger, &src, err));
    enum tsr_status status = tsr_ledger_load(&k->ledger, src, err);
    tsr_source_close(src);
    return status;
}

static enum tsr_status close_ledger(struct work *k, struct tsr_error *err)
{
    struct tsr_sink *sink;
    if (set.ledger == NULL) return TSR_OK;
    TSR_TRY(tsr_sink_open(set.ledger, &sink, err));
    return tsr_cli_finish(sink, tsr_ledger_write(&k->ledger, sink, err), err);
}

static enum tsr_status settings(struct work *k, struct tsr_merge_options *o, const char *producer, struct tsr_error *err)
{
    *o = tsr_merge_defaults();
    bool mix = strncmp(rules[set.rule], "nnm+", 4) == 0;
    o->rule = (struct tsr_merge_rule_options){(enum tsr_merge_rule)tsr_rule_of(rules[set.rule] + (mix ? 4 : 0)), set.radius,
                                              set.assume, set.iterations, mix};
    o->scale = set.scale;
    o->outputs = set.only != 2;
    o->hub = set.only != 1;
    o->confidence = (enum tsr_merge_confidence)set.outputs;
    o->layer = set.layer;
    o->producer = producer;
    o->round = set.round;
    o->since = set.since;
    o->until = set.until;
    o->min_contributors = set.min_contributors;
    o->min_answers = set.min_answers;
    o->max_share = set.max_weight;
    o->shards = set.shards;
    o->adopt = true;
    for (size_t i = 0; i < TSR_LENGTH(policy); i++) o->adopt = o->adopt && !tsr_cli_given(k->cli, policy[i]);
    o->single = set.partial;
    o->novelty = set.ledger != NULL;
    o->decided = tell;
    o->arg = k;
    o->stop = stopped;
    if (o->rule.rule == TSR_RULE_FLTRUST && set.from == NULL)
        return tsr_fail(err, TSR_E_USAGE, "the rule fltrust needs rows to trust: give them with --from FILE");
    if (set.outputs != 0 && (tsr_rule_batch(&o->rule) || o->rule.rule == TSR_RULE_SPECTRAL))
        return tsr_fail(err, TSR_E_USAGE, "the rule %s judges contributors by their outputs: it does not go with --outputs %s",
                        rules[set.rule], confidences[set.outputs]);
    if (set.partial && tsr_rule_batch(&o->rule))
        return tsr_fail(err, TSR_E_USAGE, "the rule %s needs all contributions at once: it makes no partial aggregates", rules[set.rule]);
    TSR_TRY(open_ledger(k, err));
    TSR_TRY(load_roster(set.allow, &k->allow, &o->allow, err));
    TSR_TRY(load_roster(set.weights, &k->weights, &o->weights, err));
    return load_roster(set.seen, &k->seen, &o->seen, err);
}

/* Standard input copied to a file without a name, when more than one pass over it is needed. */
static enum tsr_status copy_stdin(struct work *k, struct tsr_error *err)
{
    struct tsr_source *in;
    char block[65536];
    size_t n;
    TSR_TRY(tsr_cli_input(k->cli, NULL, TSR_BINARY, &in, err));
    enum tsr_status status = TSR_OK;
    k->spool = tmpfile();
    if (k->spool == NULL) status = tsr_fail(err, TSR_E_IO, "cannot make a temporary file: %s", strerror(errno));
    for (n = 1; status == TSR_OK && n > 0;) {
        status = tsr_source_read(in, block, sizeof block, &n, err);
        if (status == TSR_OK && n > 0) status = tsr_fd_write(fileno(k->spool), "a temporary file", block, n, err);
    }
    tsr_source_close(in);
    return status;
}

static enum tsr_status open_bytes(struct work *k, int i, struct tsr_source **out, struct tsr_error *err)
{
    const char *path = i < k->cli->argc ? k->cli->argv[i] : NULL;
    if (path != NULL && strcmp(path, "-") != 0) return tsr_source_open(path, out, err);
    if (k->spool == NULL) return tsr_cli_input(k->cli, path, TSR_BINARY, out, err);
    if (lseek(fileno(k->spool), 0, SEEK_SET) != 0) return tsr_fail(err, TSR_E_IO, "cannot rewind: %s", strerror(errno));
    return tsr_source_from_fd(fileno(k->spool), "standard input", out, err);
}

static enum tsr_status open_input(struct work *k, int i, struct tsr_source **out, struct tsr_error *err)
{
    TSR_TRY(open_bytes(k, i, out, err));
    return set.armor == 1 || set.armor == 3 ? tsr_armor_source(*out, out, err) : TSR_OK;
}

static enum tsr_status one_pass(struct work *k, struct tsr_error *err)
{
    int n = k->cli->argc > 0 ? k->cli->argc : 1;
    for (int i = 0; i < n; i++) {
        struct tsr_source *src;
        TSR_TRY(open_input(k, i, &src, err));
        enum tsr_status status = tsr_merge_take(k->m, src, err);
        tsr_source_close(src);
        TSR_TRY(status);
        TSR_TRY(tsr_cli_poll(err));
    }
    return TSR_OK;
}

static bool reads_stdin(const struct tsr_cli *cli)
{
    for (int i = 0; i < cli->argc; i++)
        if (strcmp(cli->argv[i], "-") == 0) return true;
    return cli->argc == 0;
}

/* All steps of the rule over the same inputs, or the only one where partial aggregates are made or merged.
 * *state: what comes out is to be gone on from. */
static enum tsr_status all_passes(struct work *k, bool *state, struct tsr_error *err)
{
    *state = false;
    if (!set.partial && !tsr_merge_last(k->m) && reads_stdin(k->cli)) TSR_TRY(copy_stdin(k, err));
    for (;;) {
        TSR_TRY(one_pass(k, err));
        tsr_merge_counts(k->m, &k->counts);
        if (set.partial || tsr_merge_last(k->m)) return TSR_OK;
        TSR_TRY(tsr_merge_step(k->m, err));
        if (!tsr_merge_answers(k->m)) {
            *state = true;
            return TSR_OK;
        }
    }
}

/* One line about a partial aggregate or a state. */
static enum tsr_status counts_line(struct work *k, const char *schema, struct tsr_error *err)
{
    struct tsr_merge_report r = k->counts;
    struct tsr_json *line;
    tsr_cli_note(k->cli, "%llu contributors count, %llu do not", (unsigned long long)r.contributors,
                 (unsigned long long)r.rejected);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", schema, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "contributors", (int64_t)r.contributors, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "refused", (int64_t)r.rejected, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "weight", r.weight, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "step", r.steps, err);
    if (status == TSR_OK) status = tsr_cli_report(k->cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status result_line(struct work *k, const struct tsr_merge_report *r, struct tsr_error *err)
{
    struct tsr_json *line;
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status;
    TSR_GO(status, done, tsr_json_set_string(line, "schema", "tessera-merge.result/1", err));
    TSR_GO(status, done, tsr_json_set_int(line, "contributors", (int64_t)r->contributors, err));
    TSR_GO(status, done, tsr_json_set_int(line, "refused", (int64_t)r->rejected, err));
    TSR_GO(status, done, tsr_json_set_int(line, "weight", r->weight, err));
    TSR_GO(status, done, tsr_json_set_int(line, "steps", r->steps, err));
    TSR_GO(status, done, tsr_json_set_int(line, "samples", (int64_t)r->samples, err));
    TSR_GO(status, done, tsr_json_set_int(line, "views", (int64_t)r->views, err));
    TSR_GO(status, done, tsr_json_set_int(line, "left_out", (int64_t)r->left_out, err));
    TSR_GO(status, done, tsr_json_set_bool(line, "hub", r->hub, err));
    TSR_GO(status, done, tsr_json_set_string(line, "inputs", r->inputs, err));
    TSR_GO(status, done, tsr_json_set_string(line, "state", r->centre, err));
    status = tsr_cli_report(k->cli, line, err);
done:
    tsr_json_free(line);
    return status;
}

static enum tsr_status write_stream(struct work *k, struct tsr_sink *sink, bool state, struct tsr_error *err)
{
    struct tsr_stream_writer *w;
    struct tsr_merge_report report;
    TSR_TRY(tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, err));
    enum tsr_status status = set.partial ? tsr_merge_partial(k->m, w, err)
                             : state     ? tsr_merge_state(k->m, w, err)
                                         : tsr_merge_finish(k->m, w, &report, err);
    tsr_writer_free(w);
    TSR_TRY(status);
    if (set.partial || state) return counts_line(k, state ? "tessera-merge.state/1" : "tessera-merge.partial/1", err);
    tsr_cli_note(k->cli, "%llu contributors count, %llu do not; %llu samples, %llu left out", (unsigned long long)report.contributors,
                 (unsigned long long)report.rejected, (unsigned long long)report.samples, (unsigned long long)report.left_out);
    return result_line(k, &report, err);
}

/* The product as one line of text: it is held until it is complete. */
static enum tsr_status write_out(struct work *k, struct tsr_sink *sink, bool state, struct tsr_error *err)
{
    if (set.armor < 2) return write_stream(k, sink, state, err);
    struct tsr_buf held = {0};
    struct tsr_sink *memory;
    TSR_TRY(tsr_sink_from_memory(&held, "memory", &memory, err));
    enum tsr_status status = write_stream(k, memory, state, err);
    status = tsr_cli_finish(memory, status, err);
    if (status == TSR_OK) status = tsr_armor_write(sink, held.data, held.len, err);
    tsr_buf_release(&held);
    return status;
}

static enum tsr_status merge(struct work *k, const struct tsr_merge_options *o, struct tsr_sink *sink, struct tsr_error *err)
{
    bool state;
    TSR_TRY(tsr_merge_new(o, &k->m, err));
    if (set.from != NULL) {
        struct tsr_source *src;
        TSR_TRY(tsr_source_open(set.from, &src, err));
        enum tsr_status status = tsr_merge_from(k->m, src, err);
        tsr_source_close(src);
        TSR_TRY(status);
    }
    TSR_TRY(all_passes(k, &state, err));
    TSR_TRY(write_out(k, sink, state, err));
    if (k->report != TSR_OK) {
        *err = k->err;
        return k->report;
    }
    return close_ledger(k, err);
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct work k = {.cli = cli};
    struct tsr_merge_options o;
    struct tsr_sink *sink = NULL;
    char producer[64];
    snprintf(producer, sizeof producer, "%s %s", cli->program->name, TSR_VERSION);
    enum tsr_status status = settings(&k, &o, producer, err);
    if (status == TSR_OK) status = tsr_cli_output(cli, set.armor < 2 ? TSR_BINARY : TSR_TEXT, &sink, err);
    if (status == TSR_OK) status = merge(&k, &o, sink, err);
    status = tsr_cli_finish(sink, status, err);
    tsr_merge_free(k.m);
    tsr_roster_release(&k.allow);
    tsr_roster_release(&k.weights);
    tsr_roster_release(&k.seen);
    tsr_ledger_release(&k.ledger);
    if (k.spool != NULL) fclose(k.spool);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-merge",
    .purpose = "merge the token streams of many into one",
    .usage = "[FILE]...",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_REPORT,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = -1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
