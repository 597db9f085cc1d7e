/* model.c - models that commands are given and that they write. */
#include "shared/internal.h"

#include <stdio.h>
#include <string.h>

#define MOST_WEIGHTS ((uint64_t)2000 << 20) /* in one file, whose limit is 2 GiB */

/* The weights, then the message around them; the data file takes its name first, so that a model
 * that is there has its weights. */
static enum tsr_status put_apart(const char *path, const struct tsr_graph *g, struct tsr_sink *out,
                                 struct tsr_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = strlen(path) + sizeof ".data";
    struct tsr_sink *data = NULL;
    char *name = tsr_malloc(n, 1);
    if (name == NULL) return tsr_nomem(err, n);
    (void)snprintf(name, n, "%s.data", path);
    enum tsr_status status = tsr_sink_open(name, &data, err);
    if (status == TSR_OK)
        status = tsr_onnx_save_external(g, out, data, slash != NULL ? name + (slash + 1 - path) : name, err);
    status = tsr_cli_finish(data, status, err);
    tsr_free(name);
    return status;
}

enum tsr_status tsr_cli_put_model(struct tsr_cli *cli, const struct tsr_graph *g, struct tsr_sink *out,
                                  struct tsr_error *err)
{
    if (!cli->external && tsr_onnx_weight_bytes(g) <= MOST_WEIGHTS) return tsr_onnx_save(g, out, err);
    if (!tsr_standard(cli->output)) return put_apart(cli->output, g, out, err);
    return tsr_fail(err, TSR_E_LIMIT,
                    "the model is larger than 2 GiB, so that its weights need a file of their own; use --output");
}

void tsr_cli_warn_model(const struct tsr_cli *cli, const char *name, const struct tsr_graph *g)
{
    for (size_t i = 0; i < g->n_warning; i++) tsr_cli_warn(cli, "'%s': %s", name, g->warning[i]);
}

void tsr_cli_warn_reach(const struct tsr_cli *cli, const struct tsr_reach *reach)
{
    if (!reach->narrow) return;
    tsr_cli_warn(cli, "weights that are stored in 16 bits or fewer stay as they were, only %lld float32 parameters learn; take "
                      "the float model and quantise it afterwards, with tessera-decode --grid or tessera-quantize",
                 (long long)reach->trained);
}

enum tsr_status tsr_cli_model(const struct tsr_cli *cli, const char *path, struct tsr_graph **out, struct tsr_error *err)
{
    TSR_TRY(tsr_onnx_load(path, out, err));
    tsr_cli_warn_model(cli, path, *out);
    return TSR_OK;
}
