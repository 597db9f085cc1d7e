/* tessera-drift - how far candidates have moved from a reference, and whether that is allowed; or how
 * far a model would move. */
#include "shared/foresee.h"

#include <string.h>

static struct {
    struct tsr_strings gates, pairs, also, refs, grids;
    const char *labels, *model;
    double confidence;
    int64_t top_k, memory, on;
    bool views, common, json, junit, tap, html, predict;
} set = {.confidence = 0.99, .top_k = 5, .memory = (int64_t)1 << 30};

static const struct tsr_option options[] = {
    TSR_LIST('g', "gate", "GATE", &set.gates, "demand STATISTIC>=NUMBER or <=, of a layer as layer:NAME.STATISTIC (repeatable)"),
    TSR_DOUBLE(0, "confidence", "P", &set.confidence, 0.5, 0.999999, "that all gates together are judged right (default: 0.99)"),
    TSR_FLAG(0, "predict", &set.predict, "predict what grids will do to a model: -m MODEL -r FILE < TOKENS"),
    TSR_STRING('m', "model", "FILE", &set.model, "the model that --predict is about, an ONNX model in float"),
    TSR_LIST('r', "refs", "FILE", &set.refs, "samples that --predict tries it on, of the teacher's reference set (repeatable)"),
    TSR_LIST(0, "grid", "GRID", &set.grids, "a grid for --predict: f16, bf16, int8, int4, w4a8, w4a4 (repeatable; default: f16, int8 and int4)"),
    TSR_INT(0, "on", "N", &set.on, 1, 1000000000, "samples that a prediction will be checked on (default: as many as --refs has)"),
    TSR_STRING('y', "labels", "FILE", &set.labels, "true classes of the reference's samples, in its order"),
    TSR_FLAG(0, "views", &set.views, "compare rows of views, too, not those of the samples alone"),
    TSR_FLAG(0, "common", &set.common, "compare the samples that both hold, where one lacks some of the other's"),
    TSR_LIST(0, "pair", "REF=CAND", &set.pairs, "compare the reference's layer REF with the candidate's CAND (repeatable)"),
    TSR_INT(0, "top-k", "K", &set.top_k, 1, 1000, "the K of topk (default: 5)"),
    TSR_SIZE(0, "memory", "SIZE", &set.memory, 1 << 20, (int64_t)1 << 46, "rows that may wait for their counterparts (default: 1GiB)"),
    TSR_FLAG('j', "json", &set.json, "print the report as a JSON object"),
    TSR_FLAG(0, "junit", &set.junit, "print the gates as JUnit's XML"),
    TSR_FLAG(0, "tap", &set.tap, "print the gates in the Test Anything Protocol"),
    TSR_FLAG(0, "html", &set.html, "print the report as a page with figures"),
    TSR_LIST(0, "also", "FILE", &set.also, "write the report there, too, as its suffix says: .txt .json .xml .tap .html (repeatable)"),
};

#define MAX_GATES 256

struct work {
    struct tsr_gate gate[MAX_GATES];
    size_t n_gates;
    struct tsr_samples *labels;
    struct tsr_source *source[1 + TSR_DRIFT_CANDIDATES];
    struct tsr_drift_input input[1 + TSR_DRIFT_CANDIDATES];
    char label[1 + TSR_DRIFT_CANDIDATES][256];
    struct tsr_drift *drift;
    struct tsr_judgement *judgement;
};

static bool stopped(void) { return tsr_cli_stop != 0; }

/* What else the report can be, by the suffix of a file. */
static enum tsr_status format_of(const char *path, enum tsr_report_format *out, struct tsr_error *err)
{
    static const struct {
        const char *suffix;
        enum tsr_report_format format;
    } known[] = {{".txt", TSR_REPORT_TEXT}, {".json", TSR_REPORT_JSON}, {".xml", TSR_REPORT_JUNIT},
                 {".tap", TSR_REPORT_TAP},  {".html", TSR_REPORT_HTML}};
    size_t n = strlen(path);
    for (size_t i = 0; i < TSR_LENGTH(known); i++) {
        size_t k = strlen(known[i].suffix);
        if (n <= k || strcmp(path + n - k, known[i].suffix) != 0) continue;
        *out = known[i].format;
        return TSR_OK;
    }
    return tsr_fail(err, TSR_E_USAGE, "option '--also' wants a file that ends in .txt, .json, .xml, .tap or .html, not '%s'", path);
}

static enum tsr_report_format chosen(void)
{
    return set.json ? TSR_REPORT_JSON : set.junit ? TSR_REPORT_JUNIT : set.tap ? TSR_REPORT_TAP : set.html ? TSR_REPORT_HTML : TSR_REPORT_TEXT;
}

static enum tsr_status check_formats(struct tsr_error *err)
{
    bool gates = set.junit || set.tap;
    if (set.json + set.junit + set.tap + set.html > 1)
        return tsr_fail(err, TSR_E_USAGE, "only one of --json, --junit, --tap and --html can be printed; --also writes others");
    for (size_t i = 0; i < set.also.n; i++) {
        enum tsr_report_format f = TSR_REPORT_TEXT;
        TSR_TRY(format_of(set.also.item[i], &f, err));
        gates = gates || f == TSR_REPORT_JUNIT || f == TSR_REPORT_TAP;
    }
    if (gates && set.gates.n == 0)
        return tsr_fail(err, TSR_E_USAGE, "JUnit and TAP reports are about gates; give at least one --gate");
    return TSR_OK;
}

static enum tsr_status parse_gates(struct work *w, struct tsr_error *err)
{
    if (set.gates.n > MAX_GATES) return tsr_fail(err, TSR_E_USAGE, "there are more than %d gates", MAX_GATES);
    for (size_t i = 0; i < set.gates.n; i++) {
        TSR_TRY(tsr_gate_parse(set.gates.item[i], &w->gate[i], err));
        w->n_gates++;
        if (set.labels == NULL && tsr_gate_wants_labels(&w->gate[i]))
            return tsr_fail(err, TSR_E_USAGE, "gate '%.100s' needs labels; give them with --labels", set.gates.item[i]);
    }
    return TSR_OK;
}

/* Operand "NAME=FILE" or "FILE"; names are shown, and need not be paths. */
static enum tsr_status open_stream(struct tsr_cli *cli, struct work *w, size_t i, struct tsr_error *err)
{
    const char *arg = cli->argv[i], *eq = strchr(arg, '='), *slash = strchr(arg, '/');
    bool named = eq != NULL && eq != arg && eq[1] != '\0' && (slash == NULL || slash > eq);
    if (named) snprintf(w->label[i], sizeof w->label[i], "%.*s", (int)(eq - arg), arg);
    else snprintf(w->label[i], sizeof w->label[i], "%s", strcmp(arg, "-") == 0 ? "standard input" : arg);
    tsr_page_clean(w->label[i]);
    TSR_TRY(tsr_cli_input(cli, named ? eq + 1 : arg, TSR_BINARY, &w->source[i], err));
    w->input[i] = (struct tsr_drift_input){.source = w->source[i], .name = w->label[i]};
    return TSR_OK;
}

static enum tsr_status compare(struct tsr_cli *cli, struct work *w, struct tsr_error *err)
{
    size_t n = (size_t)cli->argc - 1;
    if (n > TSR_DRIFT_CANDIDATES)
        return tsr_fail(err, TSR_E_USAGE, "more than %d candidates", TSR_DRIFT_CANDIDATES);
    for (size_t i = 0; i <= n; i++) TSR_TRY(open_stream(cli, w, i, err));
    if (set.labels != NULL) TSR_TRY(tsr_samples_open(set.labels, NULL, TSR_I64, &w->labels, err));
    struct tsr_drift_options o = {.views = set.views, .common = set.common, .top_k = (size_t)set.top_k,
                                  .memory = (size_t)set.memory, .labels = w->labels, .pair = set.pairs.item,
                                  .n_pairs = set.pairs.n, .stop = stopped};
    TSR_TRY(tsr_drift_compare(&w->input[0], &w->input[1], n, &o, &w->drift, err));
    w->judgement = tsr_calloc(w->n_gates * n + 1, sizeof *w->judgement);
    if (w->judgement == NULL) return tsr_nomem(err, w->n_gates * n * sizeof *w->judgement);
    return tsr_gates_judge(w->drift, w->gate, w->n_gates, set.confidence, w->judgement, err);
}

static enum tsr_status put(const struct tsr_report *r, enum tsr_report_format format, struct tsr_sink *to,
                           struct tsr_error *err)
{
    struct tsr_buf page = {0};
    enum tsr_status status = tsr_report_write(r, format, &page, err);
    if (status == TSR_OK) status = tsr_sink_write(to, page.data, page.len, err);
    tsr_buf_release(&page);
    return status;
}

/* The verdict's first reason on stderr, since the report may have gone to a file. */
static void tell(const struct tsr_cli *cli, const struct work *w, enum tsr_verdict v)
{
    size_t n = w->n_gates * w->drift->n, others = 0;
    const struct tsr_judgement *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (w->judgement[i].verdict != v) continue;
        if (first == NULL) first = &w->judgement[i];
        else others++;
    }
    if (first == NULL || v == TSR_PASS) return;
    char more[64] = "";
    if (others > 0) snprintf(more, sizeof more, " (and %zu more)", others);
    tsr_cli_warn(cli, "gate '%.100s' %s for '%.100s'%s", first->gate->text, v == TSR_FAIL ? "failed" : "could not be decided",
                 w->drift->candidate[first->candidate].stream.name, more);
}

static enum tsr_status report(struct tsr_cli *cli, const struct work *w, struct tsr_error *err)
{
    struct tsr_report r = {.drift = w->drift, .confidence = set.confidence, .views = set.views, .judgement = w->judgement,
                           .judgements = w->n_gates * w->drift->n};
    struct tsr_sink *out;
    for (size_t i = 0; i < set.also.n; i++) {
        enum tsr_report_format format = TSR_REPORT_TEXT;
        TSR_TRY(format_of(set.also.item[i], &format, err));
        TSR_TRY(tsr_sink_open(set.also.item[i], &out, err));
        TSR_TRY(tsr_cli_finish(out, put(&r, format, out, err), err));
    }
    TSR_TRY(tsr_cli_output(cli, TSR_TEXT, &out, err));
    TSR_TRY(tsr_cli_finish(out, put(&r, chosen(), out, err), err));
    if (r.judgements == 0) return TSR_OK;
    enum tsr_verdict v = tsr_gates_verdict(r.judgement, r.judgements);
    tell(cli, w, v);
    cli->verdict = v == TSR_PASS ? 0 : v == TSR_FAIL ? 1 : 6;
    return TSR_OK;
}

/* Options that belong to the other job. */
static enum tsr_status check_job(const struct tsr_cli *cli, struct tsr_error *err)
{
    static const char *const compare_only[] = {"gate", "views", "common", "pair", "top-k", "memory", "junit", "tap", "html", "also"};
    static const char *const predict_only[] = {"model", "refs", "grid", "on"};
    for (size_t i = 0; set.predict && i < TSR_LENGTH(compare_only); i++)
        if (tsr_cli_given(cli, compare_only[i]))
            return tsr_fail(err, TSR_E_USAGE, "option '--%s' does not go with --predict", compare_only[i]);
    for (size_t i = 0; !set.predict && i < TSR_LENGTH(predict_only); i++)
        if (tsr_cli_given(cli, predict_only[i]))
            return tsr_fail(err, TSR_E_USAGE, "option '--%s' goes with --predict", predict_only[i]);
    if (!set.predict && cli->argc < 2)
        return tsr_fail(err, TSR_E_USAGE, "two operands or more are wanted: the reference and its candidates");
    return TSR_OK;
}

static enum tsr_status predict(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_foresight f = {.model = set.model, .refs = set.refs, .grids = set.grids, .labels = set.labels, .on = set.on,
                              .confidence = tsr_cli_given(cli, "confidence") ? set.confidence : 0.95, .json = set.json};
    return tsr_cli_foresee(cli, &f, err);
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    static struct work w;
    TSR_TRY(check_job(cli, err));
    if (set.predict) return predict(cli, err);
    TSR_TRY(check_formats(err));
    enum tsr_status status = parse_gates(&w, err);
    if (status == TSR_OK) status = compare(cli, &w, err);
    if (status == TSR_OK) status = report(cli, &w, err);
    tsr_free(w.judgement);
    tsr_drift_free(w.drift);
    tsr_samples_close(w.labels);
    for (size_t i = 0; i < TSR_LENGTH(w.source); i++) tsr_source_close(w.source[i]);
    for (size_t i = 0; i < w.n_gates; i++) tsr_gate_release(&w.gate[i]);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-drift",
    .purpose = "measure how far candidates moved from a reference, and judge it",
    .usage = "[--gate GATE]... REFERENCE [NAME=]CANDIDATE...\n--predict -m MODEL -r FILE [TOKENS]",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_THREADS | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = -1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
