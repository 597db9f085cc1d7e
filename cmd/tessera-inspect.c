#include "shared/cli.h"
#include "shared/show.h"

static struct {
    bool check, json, prove, salvage;
    const char *export;
    int rows;
} set;

static const char *const row_words[] = {"ref", "view", NULL};

static const struct tsr_option options[] = {
    TSR_FLAG('c', "check", &set.check, "verify everything, bodies too, and print one line"),
    TSR_FLAG('j', "json", &set.json, "print one JSON object per segment or model"),
    TSR_FLAG(0, "prove", &set.prove, "prove for each integer layer of a model that no sum wraps and no rounding is off by more than 1"),
    TSR_STRING('e', "export", "NAME", &set.export,
               "write outputs, keys, inputs, hub, basis or a layer's activations as .npy"),
    TSR_CHOICE(0, "rows", "ref|view", &set.rows, row_words, "which rows to export: of the references or of the views (default: ref)"),
    TSR_FLAG(0, "salvage", &set.salvage, "write what can be read of a damaged stream as a sound one"),
};

/* ---- streams ---- */

static enum tsr_status show_segment(const struct tsr_stream_summary *s, struct tsr_error *err)
{
    if (!set.json) {
        tsr_show_segment(s);
        return TSR_OK;
    }
    struct tsr_json *j;
    TSR_TRY(tsr_stream_summary_json(s, &j, err));
    enum tsr_status status = tsr_show_json(j, err);
    tsr_json_free(j);
    return status;
}

struct totals {
    uint64_t segments, records, bytes;
};

/* Reads to the end; every segment is shown once it is complete, the last one also where the
 * stream breaks off. */
static enum tsr_status read_stream(struct tsr_stream *s, struct tsr_stream_check *check, struct tsr_stream_summary *sum,
                                   struct totals *t, struct tsr_error *err)
{
    const struct tsr_record *rec;
    for (;;) {
        TSR_TRY(tsr_cli_poll(err));
        TSR_TRY(tsr_stream_next(s, &rec, err));
        if (rec == NULL) return TSR_OK;
        if (check != NULL) TSR_TRY(tsr_stream_check_record(check, s, rec, err));
        TSR_TRY(tsr_stream_summary_add(sum, s, rec, err));
        if (rec->type != TSR_ENDS) continue;
        t->segments++;
        t->records += sum->records;
        t->bytes += sum->stored;
        if (!set.check) TSR_TRY(show_segment(sum, err));
        tsr_stream_summary_release(sum);
    }
}

static enum tsr_status look(const struct tsr_cli *cli, struct tsr_source *src, struct tsr_error *err)
{
    struct tsr_stream *s = NULL;
    struct tsr_stream_check *check = NULL;
    struct tsr_stream_summary sum = {0};
    struct totals t = {0};
    struct tsr_stream_options opt = {.allow_unknown = !set.check};
    enum tsr_status status = tsr_stream_open(src, &opt, &s, err);
    if (status == TSR_OK && set.check) status = tsr_stream_check_new(&check, err);
    if (status == TSR_OK) status = read_stream(s, check, &sum, &t, err);
    if (status == TSR_OK && set.check && !cli->quiet)
        printf("%s: sound: %llu segment%s, %llu records, %llu bytes\n", tsr_source_name(src),
               (unsigned long long)t.segments, t.segments == 1 ? "" : "s", (unsigned long long)t.records,
               (unsigned long long)t.bytes);
    if (status != TSR_OK && !set.check && sum.records > 0) (void)show_segment(&sum, NULL);
    tsr_stream_summary_release(&sum);
    tsr_stream_check_free(check);
    tsr_stream_close(s);
    return status;
}

static enum tsr_status export(struct tsr_source *src, struct tsr_sink *sink, struct tsr_error *err)
{
    struct tsr_export what = tsr_export_parse(set.export, set.rows == 1);
    struct tsr_stream *s;
    TSR_TRY(tsr_stream_open(src, &(struct tsr_stream_options){.allow_unknown = true}, &s, err));
    enum tsr_status status = tsr_stream_export(s, &what, sink, err);
    tsr_stream_close(s);
    return status;
}

static void tell_loss(void *arg, uint64_t offset, uint64_t bytes, const struct tsr_error *why)
{
    tsr_cli_warn(arg, "lost %llu bytes at byte %llu: %s", (unsigned long long)bytes, (unsigned long long)offset,
                 why->message);
}

static enum tsr_status salvage(struct tsr_cli *cli, struct tsr_source *src, struct tsr_sink *sink, struct tsr_error *err)
{
    struct tsr_salvage s = {.producer = cli->program->name, .lost = tell_loss, .arg = cli};
    char producer[64];
    snprintf(producer, sizeof producer, "%s %s", cli->program->name, TSR_VERSION);
    s.producer = producer;
    TSR_TRY(tsr_stream_salvage(src, sink, &s, err));
    tsr_cli_note(cli, "kept %llu records", (unsigned long long)s.kept);
    if (s.gaps > 0) cli->verdict = 1;
    return TSR_OK;
}

/* Export and salvage have a product that appears only when it is complete. */
static enum tsr_status produce(struct tsr_cli *cli, struct tsr_source *src, struct tsr_error *err)
{
    struct tsr_sink *sink;
    TSR_TRY(tsr_cli_output(cli, TSR_BINARY, &sink, err));
    enum tsr_status status = set.export != NULL ? export(src, sink, err) : salvage(cli, src, sink, err);
    if (status == TSR_OK) return tsr_sink_close(sink, err);
    tsr_sink_abandon(sink);
    return status;
}

/* ---- models ---- */

static enum tsr_status load_model(struct tsr_source *src, const char *path, struct tsr_graph **g, struct tsr_error *err)
{
    if (path != NULL && strcmp(path, "-") != 0) return tsr_onnx_load(path, g, err);
    struct tsr_buf text = {0};
    enum tsr_status status = tsr_source_read_all(src, (size_t)INT32_MAX, &text, err);
    if (status == TSR_OK) status = tsr_onnx_load_memory(text.data, text.len, tsr_source_name(src), NULL, g, err);
    tsr_buf_release(&text);
    return status;
}

static enum tsr_status prove(struct tsr_cli *cli, struct tsr_source *src, const char *path, struct tsr_error *err)
{
    struct tsr_graph *g;
    struct tsr_proof p;
    TSR_TRY(load_model(src, path, &g, err));
    enum tsr_status status = tsr_prove(g, &p, err);
    for (size_t i = 0; i < p.n && status == TSR_OK; i++) {
        struct tsr_json *j = NULL;
        if (!set.json) tsr_show_proof(&p.layer[i], i == 0);
        else status = tsr_proof_json(&p.layer[i], &j, err);
        if (status == TSR_OK && set.json) status = tsr_show_json(j, err);
        tsr_json_free(j);
    }
    const bool holds = p.n > 0 && p.failed + p.unproven == 0;
    if (status == TSR_OK && !set.json && !cli->quiet)
        printf("%s: %s: %zu layer%s on integers, %zu with a counterexample, %zu not constant; %zu in float\n", tsr_source_name(src),
               p.n == 0 ? "nothing to prove" : holds ? "proven" : "not proven", p.n, p.n == 1 ? "" : "s", p.failed, p.unproven, p.in_float);
    if (!holds) cli->verdict = 1;
    tsr_proof_release(&p);
    tsr_graph_free(g);
    return status;
}

static enum tsr_status look_at_model(const struct tsr_cli *cli, struct tsr_source *src, const char *path,
                                     struct tsr_error *err)
{
    struct tsr_graph *g;
    struct tsr_json *j;
    TSR_TRY(load_model(src, path, &g, err));
    tsr_cli_warn_model(cli, tsr_source_name(src), g);
    enum tsr_status status = tsr_graph_describe(g, &j, err);
    tsr_graph_free(g);
    TSR_TRY(status);
    if (set.check) {
        if (!cli->quiet) printf("%s: sound: an ONNX model\n", tsr_source_name(src));
    } else if (set.json) {
        status = tsr_show_json(j, err);
    } else {
        tsr_show_model(tsr_source_name(src), j, cli->verbose > 0);
    }
    tsr_json_free(j);
    return status;
}

/* A stream begins with a byte that no ONNX file begins with; these are the tags of what a model may
 * begin with, mostly ir_version. */
static bool begins_model(uint8_t byte) { return memchr("\x08\x12\x1a\x22\x28\x3a\x42", byte, 7) != NULL; }

static enum tsr_status inspect(struct tsr_cli *cli, struct tsr_source *src, const char *path, struct tsr_error *err)
{
    const uint8_t *p;
    size_t n;
    TSR_TRY(tsr_source_peek(src, 1, &p, &n, err));
    if (n > 0 && begins_model(p[0]) && !set.salvage) {
        if (set.export != NULL) return tsr_fail(err, TSR_E_USAGE, "'%s' is a model; only streams are exported from", tsr_source_name(src));
        if (set.prove) return prove(cli, src, path, err);
        return look_at_model(cli, src, path, err);
    }
    if (set.prove) return tsr_fail(err, TSR_E_USAGE, "'%s' is no ONNX model; --prove is for models", tsr_source_name(src));
    return set.export != NULL || set.salvage ? produce(cli, src, err) : look(cli, src, err);
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    if (set.prove && (set.check || set.salvage || set.export != NULL))
        return tsr_fail(err, TSR_E_USAGE, "option '--prove' goes with --json alone");
    if (set.check + set.json + set.salvage + (set.export != NULL) > 1)
        return tsr_fail(err, TSR_E_USAGE, "only one of --check, --json, --export and --salvage can be done at a time");
    if (tsr_cli_given(cli, "rows") && set.export == NULL)
        return tsr_fail(err, TSR_E_USAGE, "option '--rows' goes with --export");
    if (cli->output != NULL && set.export == NULL && !set.salvage)
        return tsr_fail(err, TSR_E_USAGE, "option '--output' goes with --export or --salvage");
    const char *path = cli->argc > 0 ? cli->argv[0] : NULL;
    struct tsr_source *src;
    TSR_TRY(tsr_cli_input(cli, path, TSR_BINARY, &src, err));
    enum tsr_status status = inspect(cli, src, path, err);
    tsr_source_close(src);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-inspect",
    .purpose = "show, check, export and salvage token streams; prove models",
    .usage = "[FILE]\n--check [FILE]\n--prove [MODEL]\n--export NAME [FILE]\n--salvage [FILE]",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
