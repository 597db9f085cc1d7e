/* tessera-encode - activations to hub tokens. */
#include "shared/cli.h"

#include <string.h>

static const char *const precisions[] = {"f32", "f16", "bf16", "int8", "int4", NULL};
static const enum tsr_dtype dtypes[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4};

static struct {
    int64_t anchors, rank;
    int to;
    bool keep;
} set = {.anchors = TSR_HUB_DIM, .rank = 64, .to = 1};

static const struct tsr_option options[] = {
    TSR_INT(0, "anchors", "N", &set.anchors, 2, TSR_HUB_DIM, "reference samples that span the hub (default: the first 2048)"),
    TSR_INT(0, "rank", "R", &set.rank, 1, TSR_HUB_DIM, "coefficients of a token, at most (default: 64)"),
    TSR_CHOICE(0, "to", "TYPE", &set.to, precisions, "precision of tokens and basis (default: f16)"),
    TSR_FLAG(0, "keep-activations", &set.keep, "pass the activations on, too"),
};

static enum tsr_status encode(struct tsr_source *in, struct tsr_sink *out,
                              struct tsr_encode_report *report, struct tsr_error *err)
{
    struct tsr_encode_options o = {.producer = "tessera-encode " TSR_VERSION, .anchors = set.anchors, .rank = set.rank,
                                   .dtype = dtypes[set.to], .keep_activations = set.keep};
    struct tsr_stream *s = NULL;
    struct tsr_stream_writer *w = NULL;
    enum tsr_status status = tsr_stream_open(in, NULL, &s, err);
    if (status == TSR_OK) status = tsr_writer_new(out, 0, &w, err);
    if (status == TSR_OK) status = tsr_encode(s, w, &o, report, err);
    tsr_writer_free(w);
    tsr_stream_close(s);
    return status;
}

static enum tsr_status put_report(struct tsr_cli *cli, const struct tsr_encode_report *r, struct tsr_error *err)
{
    struct tsr_json *line;
    if (r->given > 0)
        tsr_cli_warn(cli, "%zu layer%s had tokens already, which stay as they are", r->given, r->given == 1 ? "" : "s");
    tsr_cli_note(cli, "%zu layers, %lld anchors, round-trip error %.4f", r->layers, (long long)r->anchors, r->error);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-encode.result/1", err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "layers", (int64_t)r->layers, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "anchors", r->anchors, err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "round_trip_error", r->error, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_source *in = NULL;
    struct tsr_sink *out = NULL;
    struct tsr_encode_report report;
    enum tsr_status status;
    TSR_GO(status, done, tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &in, err));
    TSR_GO(status, done, tsr_cli_output(cli, TSR_BINARY, &out, err));
    TSR_GO(status, done, encode(in, out, &report, err));
    TSR_GO(status, done, put_report(cli, &report, err));
    status = tsr_sink_close(out, err);
    out = NULL;
done:
    tsr_sink_abandon(out);
    tsr_source_close(in);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-encode",
    .purpose = "turn a stream of activations into hub tokens",
    .usage = "[STREAM]",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_REPORT,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
