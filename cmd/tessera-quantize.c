#include "shared/cli.h"

static struct {
    int to;
} set = {.to = -1};

static const char *const words[] = {"f32", "f16", "bf16", "int8", "int4", NULL};
static const enum tsr_dtype types[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4};

static const struct tsr_option options[] = {
    TSR_CHOICE(0, "to", "TYPE", &set.to, words, "what the rows are stored as: f32, f16, bf16, int8 or int4 (required)"),
};

/* One line of the report for every record, and a note. */
static enum tsr_status tell(void *arg, const struct tsr_requantised *what, struct tsr_error *err)
{
    struct tsr_cli *cli = arg;
    struct tsr_json *line;
    const char *layer = what->from.layer;
    TSR_TRY(tsr_cli_poll(err));
    tsr_cli_note(cli, "%s%s%s: %s to %s, relative error %.3g", what->record->name, layer ? " " : "", layer ? layer : "",
                 tsr_dtype_name(what->from.set.dtype), tsr_dtype_name(what->to.set.dtype), what->error);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-quantize.record/1", err);
    if (status == TSR_OK) status = tsr_json_set_string(line, "type", what->record->name, err);
    if (status == TSR_OK && layer != NULL) status = tsr_json_set_string(line, "layer", layer, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "segment", (int64_t)what->record->segment, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "sequence", (int64_t)what->record->sequence, err);
    if (status == TSR_OK) status = tsr_json_set_string(line, "from", tsr_dtype_name(what->from.set.dtype), err);
    if (status == TSR_OK) status = tsr_json_set_string(line, "to", tsr_dtype_name(what->to.set.dtype), err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "rows", (int64_t)what->to.set.rows, err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "error", what->error, err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "kl", what->kl, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status filter(struct tsr_cli *cli, struct tsr_source *src, struct tsr_sink *sink, struct tsr_error *err)
{
    struct tsr_stream *from = NULL;
    struct tsr_stream_writer *to = NULL;
    char producer[64];
    snprintf(producer, sizeof producer, "%s %s", cli->program->name, TSR_VERSION);
    struct tsr_requantise how = {.producer = producer, .to = types[set.to], .arg = cli};
    if (cli->report != NULL || cli->verbose > 0) how.done = tell;
    enum tsr_status status = tsr_stream_open(src, NULL, &from, err);
    if (status == TSR_OK) status = tsr_writer_new(sink, TSR_LEVEL_AUTO, &to, err);
    if (status == TSR_OK) status = tsr_stream_requantise(from, to, &how, err);
    tsr_writer_free(to);
    tsr_stream_close(from);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_source *src;
    struct tsr_sink *sink;
    if (set.to < 0) return tsr_fail(err, TSR_E_USAGE, "option '--to' is required: f32, f16, bf16, int8 or int4");
    TSR_TRY(tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &src, err));
    enum tsr_status status = tsr_cli_output(cli, TSR_BINARY, &sink, err);
    if (status == TSR_OK) {
        status = filter(cli, src, sink, err);
        if (status == TSR_OK)
            status = tsr_sink_close(sink, err);
        else
            tsr_sink_abandon(sink);
    }
    tsr_source_close(src);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-quantize",
    .purpose = "store a token stream in other element types",
    .usage = "--to TYPE [FILE]",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_REPORT,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
