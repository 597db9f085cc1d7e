#include "shared/internal.h"

#include <unistd.h>

bool tsr_standard(const char *path) { return !path || strcmp(path, "-") == 0; }

enum tsr_status tsr_cli_input(struct tsr_cli *cli, const char *path, enum tsr_cli_content content,
                              struct tsr_source **out, struct tsr_error *err)
{
    *out = NULL;
    if (!tsr_standard(path)) return tsr_source_open(path, out, err);
    if (cli->stdin_taken) return tsr_fail(err, TSR_E_USAGE, "standard input is asked for twice");
    if (isatty(STDIN_FILENO) == 1 && (content == TSR_BINARY || !path))
        return tsr_fail(err, TSR_E_USAGE, "standard input is a terminal; name a file or redirect the input");
    cli->stdin_taken = true;
    return tsr_source_open("-", out, err);
}

enum tsr_status tsr_cli_output(struct tsr_cli *cli, enum tsr_cli_content content, struct tsr_sink **out,
                               struct tsr_error *err)
{
    *out = NULL;
    if (!tsr_standard(cli->output)) return tsr_sink_open(cli->output, out, err);
    if (content == TSR_BINARY && isatty(STDOUT_FILENO) == 1)
        return tsr_fail(err, TSR_E_USAGE, "refusing to write binary data to a terminal; redirect standard output%s",
                        cli->program->takes & TSR_TAKES_OUTPUT ? " or use --output" : "");
    return tsr_sink_open("-", out, err);
}

enum tsr_status tsr_cli_finish(struct tsr_sink *out, enum tsr_status status, struct tsr_error *err)
{
    if (status == TSR_OK && out) return tsr_sink_close(out, err);
    tsr_sink_abandon(out);
    return status;
}

static enum tsr_status open_report(struct tsr_cli *cli, struct tsr_error *err)
{
    if (cli->report_sink) return TSR_OK;
    return tsr_sink_open(cli->report, &cli->report_sink, err);
}

enum tsr_status tsr_cli_report(struct tsr_cli *cli, const struct tsr_json *line, struct tsr_error *err)
{
    if (!cli->report) return TSR_OK;
    const struct tsr_json *schema = tsr_json_get(line, "schema");
    if (!schema || tsr_json_kind(schema) != TSR_JSON_STRING)
        return tsr_fail(err, TSR_E_INTERNAL, "a line of the report has no schema");
    struct tsr_buf text = {0};
    enum tsr_status status = open_report(cli, err);
    if (status == TSR_OK) status = tsr_json_print(line, &text, err);
    if (status == TSR_OK) status = tsr_buf_append(&text, "\n", 1, err);
    if (status == TSR_OK) status = tsr_sink_write(cli->report_sink, text.data, text.len, err);
    tsr_buf_release(&text);
    return status;
}

enum tsr_status tsr_finish_report(struct tsr_cli *cli, enum tsr_status status, struct tsr_error *err)
{
    struct tsr_sink *sink = cli->report_sink;
    struct tsr_error late;
    cli->report_sink = NULL;
    if (status != TSR_E_LIMIT) return tsr_cli_finish(sink, status, err);
    enum tsr_status kept = tsr_cli_finish(sink, TSR_OK, &late); /* the report says why policy forbids */
    if (kept == TSR_OK) return status;
    *err = late;
    return kept;
}
