/* tessera-model - makes an untrained network from a one-line specification. */
#include "shared/cli.h"

#include <string.h>

static struct {
    bool list;
} set;

static const struct tsr_option options[] = {
    TSR_FLAG('l', "list", &set.list, "list the families; with FAMILY, the keys it takes"),
};

/* All families, or one of them with its keys. */
static enum tsr_status list(const struct tsr_cli *cli, struct tsr_error *err)
{
    size_t n;
    char line[200];
    const struct tsr_zoo_family *family = tsr_zoo_families(&n);
    bool found = cli->argc == 0;
    if (cli->argc > 1) return tsr_fail(err, TSR_E_USAGE, "option '--list' takes one family at most");
    for (size_t i = 0; i < n; i++) {
        if (cli->argc == 1 && strcmp(family[i].name, cli->argv[0]) != 0) continue;
        printf("%-12s %s\n", family[i].name, family[i].help);
        found = true;
        for (size_t k = 0; cli->argc == 1 && tsr_zoo_key(&family[i], k, line, sizeof line) != NULL; k++)
            printf("  %s\n", line);
    }
    if (found) return TSR_OK;
    return tsr_fail(err, TSR_E_USAGE, "unknown family '%.40s'; tessera-model --list names them all", cli->argv[0]);
}

/* The operands are one specification, quoted or not. */
static enum tsr_status join(const struct tsr_cli *cli, struct tsr_buf *text, struct tsr_error *err)
{
    for (int i = 0; i < cli->argc; i++) {
        TSR_TRY(tsr_buf_append(text, cli->argv[i], strlen(cli->argv[i]), err));
        TSR_TRY(tsr_buf_append(text, i + 1 < cli->argc ? " " : "", 1, err));
    }
    return TSR_OK;
}

static enum tsr_status make(struct tsr_cli *cli, const struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    struct tsr_graph *g;
    struct tsr_sink *out;
    TSR_TRY(tsr_zoo_build(spec, &g, err));
    tsr_cli_note(cli, "%s: %lld parameters", g->name, (long long)tsr_graph_params(g));
    enum tsr_status status = tsr_cli_output(cli, TSR_BINARY, &out, err);
    if (status == TSR_OK) {
        status = tsr_cli_put_model(cli, g, out, err);
        if (status == TSR_OK) status = tsr_sink_close(out, err);
        else tsr_sink_abandon(out);
    }
    tsr_graph_free(g);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_zoo_spec spec;
    struct tsr_buf text = {0};
    if (set.list) return list(cli, err);
    if (cli->argc == 0)
        return tsr_fail(err, TSR_E_USAGE,
                        "a specification is needed, for example 'mlp input=1x16x16 classes=10'; --list names the "
                        "families");
    enum tsr_status status = join(cli, &text, err);
    if (status == TSR_OK) status = tsr_zoo_parse((const char *)text.data, &spec, err);
    tsr_buf_release(&text);
    if (status == TSR_OK && tsr_cli_given(cli, "seed")) spec.seed = cli->seed;
    return status == TSR_OK ? make(cli, &spec, err) : status;
}

static const struct tsr_program program = {
    .name = "tessera-model",
    .purpose = "make an untrained network from a one-line specification",
    .usage = "FAMILY KEY=VALUE... [-o FILE]\n--list [FAMILY]",
    .notes = "Example: tessera-model transformer width=64 depth=2 input=1x16x16 classes=10 -o m.onnx",
    .takes = TSR_TAKES_OUTPUT | TSR_TAKES_MODEL | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = -1,
    .run = run,
};

int main(int argc, char **argv)
{
    return tsr_cli_main(&program, argc, argv);
}
