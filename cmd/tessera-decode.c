/* tessera-decode - teaches a receiver from a token stream. */
#include "shared/feed.h"

#include <math.h>

static const char *const modes[] = {"auto", "a", "b", "both", NULL};
static const char *const budgets[] = {"quick", "quality", NULL};

static struct {
    const char *model, *layer, *lr, *grid_lr;
    struct tsr_strings refs;
    int64_t steps, batch, grid_steps;
    double hub_weight, temperature, retain;
    int mode, budget, grid, target;
    bool stitch, keep_zeros, no_head, grid_only;
} set = {.hub_weight = 1, .temperature = 1, .budget = 1, .grid = TSR_GRID_F32};

static const struct tsr_option options[] = {
    TSR_STRING('m', "model", "FILE", &set.model, "the receiver, an ONNX model"),
    TSR_LIST('r', "refs", "FILE", &set.refs, "the reference inputs, in any order (default: those in the stream)"),
    TSR_CHOICE(0, "mode", "MODE", &set.mode, modes, "a: hub tokens, b: outputs, both; auto: outputs where there are some"),
    TSR_CHOICE(0, "budget", "NAME", &set.budget, budgets, "quick, or quality (default)"),
    TSR_INT(0, "steps", "N", &set.steps, 0, 100000000, "optimiser steps; overrides --budget"),
    TSR_INT(0, "batch", "N", &set.batch, 0, 65536, "rows a step (default: 64)"),
    TSR_STRING(0, "lr", "RATE", &set.lr, "learning rate, or 'auto': tried on held-out tokens (default: auto)"),
    TSR_DOUBLE(0, "temperature", "T", &set.temperature, 0.01, 100, "of the softmax on both sides (default: 1)"),
    TSR_DOUBLE(0, "hub-weight", "W", &set.hub_weight, 0, 1e6, "weight of the hub tokens in modes a and both (default: 1)"),
    TSR_DOUBLE(0, "retain", "W", &set.retain, 0, 1e6, "weight of what the receiver itself answered before, 1 to keep it (default: 0)"),
    TSR_FLAG(0, "keep-zeros", &set.keep_zeros, "weights that are zero stay zero"),
    TSR_CHOICE(0, "grid", "GRID", &set.grid, tsr_grid_names, "then teach it on this grid and write it quantised (default: f32)"),
    TSR_FLAG(0, "grid-only", &set.grid_only, "the receiver was taught before: teach it on the grid alone"),
    TSR_INT(0, "grid-steps", "N", &set.grid_steps, 0, 100000000, "optimiser steps on the grid; overrides --budget"),
    TSR_STRING(0, "grid-lr", "RATE", &set.grid_lr, "learning rate on the grid, or 'auto' (default: auto)"),
    TSR_CHOICE(0, "target", "RUNTIME", &set.target, tsr_quant_target_names, "whose conventions --grid follows (default: ort)"),
    TSR_FLAG(0, "no-head-refit", &set.no_head, "do not try the closed-form last layer"),
    TSR_STRING('l', "layer", "TENSOR", &set.layer, "whose hub tokens to use (default: the first in the stream)"),
    TSR_FLAG(0, "stitch", &set.stitch, "no training: the receiver's head on decoded tokens, outputs as .npy"),
};

/* Everything a run works on. */
struct work {
    struct tsr_graph *g;
    struct tsr_tokens tokens;
    struct tsr_tensor refs;
    struct tsr_key *key;
    struct tsr_sink *out;
};

/* Keys and views are of samples as the transmitter had them: its type, its shape. */
static enum tsr_status read_refs(struct tsr_cli *cli, struct work *k, struct tsr_error *err)
{
    struct tsr_feed feed;
    const struct tsr_tokens *t = &k->tokens;
    int n = (int)set.refs.n;
    char *const *file = (char *const *)(uintptr_t)set.refs.item;
    enum tsr_status status = t->n_inputs == 1
        ? tsr_feed_open_as(&feed, cli, k->g->value[k->g->input[0]].name, t->input_dtype, &t->input_shape, n, file, err)
        : tsr_feed_open(&feed, cli, k->g, n, file, err);
    if (status == TSR_OK) status = tsr_feed_all(&feed, &k->refs, err);
    tsr_feed_close(&feed);
    return status;
}

static enum tsr_status load_refs(struct tsr_cli *cli, struct work *k, struct tsr_error *err)
{
    if (k->g->n_input != 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the receiver has %zu inputs; one is what can be taught", k->g->n_input);
    if (k->tokens.n_inputs > 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the transmitter had %zu inputs; a receiver is taught with one",
                        k->tokens.n_inputs);
    if (set.refs.n == 0 && k->tokens.inputs.dtype == TSR_NONE)
        return tsr_fail(err, TSR_E_USAGE,
                        "the stream does not carry the reference inputs; give them with --refs FILE");
    if (set.refs.n > 0) TSR_TRY(read_refs(cli, k, err));
    else k->refs = tsr_tensor_share(&k->tokens.inputs);
    if (k->refs.shape.dim[0] < 1) return tsr_fail(err, TSR_E_MISMATCH, "the reference set is empty");
    k->key = tsr_malloc((size_t)k->refs.shape.dim[0], sizeof *k->key);
    if (k->key == NULL) return tsr_nomem(err, (size_t)k->refs.shape.dim[0] * sizeof *k->key);
    tsr_sample_keys(&k->refs, 1, k->key);
    return TSR_OK;
}

static enum tsr_status settings(struct tsr_cli *cli, const struct tsr_tokens *tokens, struct tsr_teach_options *o,
                                struct tsr_error *err)
{
    *o = tsr_teach_defaults(set.budget == 1);
    o->outputs = set.mode == 2 || set.mode == 3 || (set.mode == 0 && tokens->out != NULL);
    o->hub = set.mode == 1 || set.mode == 3 || (set.mode == 0 && tokens->out == NULL);
    o->hub_weight = (float)set.hub_weight;
    o->temperature = (float)set.temperature;
    o->retain = (float)set.retain;
    o->keep_zeros = set.keep_zeros;
    if (set.no_head) o->refit_head = false;
    o->seed = (uint64_t)cli->seed;
    o->pool = cli->pool;
    o->stop = tsr_cli_stopped;
    if (set.steps > 0) o->steps = set.steps;
    if (set.batch > 0) o->batch = set.batch;
    return tsr_cli_rate("lr", set.lr, &o->rate, err);
}

static enum tsr_status put_report(struct tsr_cli *cli, const struct tsr_teach_report *r, struct tsr_error *err)
{
    struct tsr_json *line, *rates;
    tsr_cli_note(cli, "%lld steps at rate %g on %zu rows: held-out loss %.5f, before %.5f%s", (long long)r->steps,
                 (double)r->rate.best, r->rows, r->after, r->before, r->head_refitted ? ", head refitted" : "");
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status;
    TSR_GO(status, done, tsr_json_set_string(line, "schema", "tessera-decode.result/1", err));
    TSR_GO(status, done, tsr_json_set_int(line, "refs_used", r->refs_used, err));
    TSR_GO(status, done, tsr_json_set_int(line, "refs_missing", r->refs_missing, err));
    TSR_GO(status, done, tsr_json_set_int(line, "rows", (int64_t)r->rows, err));
    TSR_GO(status, done, tsr_json_set_int(line, "held_out", (int64_t)r->held, err));
    TSR_GO(status, done, tsr_json_set_int(line, "steps", r->steps, err));
    TSR_GO(status, done, tsr_json_set_number(line, "lr", (double)r->rate.best, err));
    TSR_GO(status, done, tsr_json_set_array(line, "trials", &rates, err));
    for (size_t i = 0; r->rate.n > 1 && i < r->rate.n; i++)
        TSR_GO(status, done, isfinite(r->rate.loss[i]) ? tsr_json_set_number(rates, NULL, r->rate.loss[i], err)
                                                       : tsr_json_set_null(rates, NULL, err));
    if (isfinite(r->before)) TSR_GO(status, done, tsr_json_set_number(line, "held_out_before", r->before, err));
    if (isfinite(r->after)) TSR_GO(status, done, tsr_json_set_number(line, "held_out_after", r->after, err));
    TSR_GO(status, done, tsr_json_set_bool(line, "head_refitted", r->head_refitted, err));
    status = tsr_cli_report(cli, line, err);
done:
    tsr_json_free(line);
    return status;
}

static enum tsr_status put_grid_report(struct tsr_cli *cli, const struct tsr_ongrid_report *r, struct tsr_error *err)
{
    struct tsr_json *line;
    tsr_cli_note(cli, "on the grid %s: %lld steps, held-out loss %.5f, before %.5f", tsr_grid_names[set.grid],
                 (long long)r->teach.steps, r->teach.after, r->teach.before);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-decode.grid/1", err);
    if (status == TSR_OK) status = tsr_json_set_string(line, "grid", tsr_grid_names[set.grid], err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "steps", r->teach.steps, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "quantised", r->quant.quantised, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "left", r->quant.left, err);
    if (status == TSR_OK && isfinite(r->teach.before)) status = tsr_json_set_number(line, "held_out_before", r->teach.before, err);
    if (status == TSR_OK && isfinite(r->teach.after)) status = tsr_json_set_number(line, "held_out_after", r->teach.after, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

/* From float to the grid, with what `o` says beside steps and rates; the receiver is replaced by what comes out. */
static enum tsr_status teach_on_grid(struct tsr_cli *cli, struct work *k, const struct tsr_teach_options *o, struct tsr_error *err)
{
    struct tsr_ongrid_report report;
    struct tsr_progress progress;
    struct tsr_graph *made;
    struct tsr_ongrid_options grid = tsr_ongrid_defaults((enum tsr_grid)set.grid, set.budget == 1);
    const struct tsr_teach_options own = grid.teach;
    grid.quant.target = (enum tsr_quant_target)set.target;
    grid.quant.pool = cli->pool;
    grid.quant.seed = (uint64_t)cli->seed;
    grid.teach = *o;
    grid.teach.steps = set.grid_steps > 0 ? set.grid_steps : own.steps;
    grid.teach.rate = own.rate;
    grid.teach.looks = own.looks;
    grid.teach.refit_head = false;
    TSR_TRY(tsr_cli_rate("grid-lr", set.grid_lr, &grid.teach.rate, err));
    tsr_progress_begin(&progress, cli, "teaching on the grid", "steps", grid.teach.steps);
    grid.teach.progress_arg = &progress;
    enum tsr_status status = tsr_teach_on_grid(k->g, &k->tokens, &k->refs, k->key, &grid, &made, &report, err);
    tsr_progress_end(&progress);
    TSR_TRY(status);
    tsr_graph_free(k->g);
    k->g = made;
    return put_grid_report(cli, &report, err);
}

static enum tsr_status teach(struct tsr_cli *cli, struct work *k, struct tsr_error *err)
{
    struct tsr_teach_options o;
    struct tsr_teach_report report;
    struct tsr_progress progress;
    int64_t fixed;
    TSR_TRY(settings(cli, &k->tokens, &o, err));
    TSR_TRY(tsr_anybatch_begin(k->g, &fixed, err));
    o.progress = tsr_progress_step;
    if (!set.grid_only) {
        tsr_progress_begin(&progress, cli, "teaching", "steps", o.steps);
        o.progress_arg = &progress;
        enum tsr_status status = tsr_teach(k->g, &k->tokens, &k->refs, k->key, &o, &report, err);
        tsr_progress_end(&progress);
        TSR_TRY(status);
        if (report.refs_missing > 0)
            tsr_cli_warn(cli, "%u of the stream's %u samples are not among the references; the rest was used",
                         report.refs_missing, report.refs_missing + report.refs_used);
        tsr_cli_warn_reach(cli, &report.reach);
        TSR_TRY(put_report(cli, &report, err));
    }
    if (tsr_cli_given(cli, "grid")) TSR_TRY(teach_on_grid(cli, k, &o, err));
    tsr_anybatch_end(k->g, fixed);
    return tsr_cli_put_model(cli, k->g, k->out, err);
}

static enum tsr_status report_stitch(struct tsr_cli *cli, const struct work *k, const struct tsr_stitch_report *r,
                                     struct tsr_error *err)
{
    struct tsr_json *line;
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-decode.stitch/1", err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "samples", k->tokens.refs, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "anchors", k->tokens.anchors, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "anchors_held", r->anchors_held, err);
    if (status == TSR_OK) status = tsr_json_set_bool(line, "exact", r->exact, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status stitch(struct tsr_cli *cli, struct work *k, struct tsr_error *err)
{
    struct tsr_stitch_report report;
    struct tsr_tensor z = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {k->tokens.refs, 0}}};
    float *out;
    TSR_TRY(tsr_stitch(k->g, &k->tokens, &k->refs, k->key, cli->pool, &out, &z.shape.dim[1], &report, err));
    if (!report.exact)
        tsr_cli_warn(cli, "%lld of the stream's %lld anchors are among the references; the decoder was regressed",
                     (long long)report.anchors_held, (long long)k->tokens.anchors);
    z.data = out;
    enum tsr_status status = tsr_npy_save(k->out, &z, err);
    if (status == TSR_OK) status = report_stitch(cli, k, &report, err);
    tsr_free(out);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct work k = {0};
    struct tsr_source *in = NULL;
    enum tsr_status status;
    if (set.model == NULL) return tsr_fail(err, TSR_E_USAGE, "which receiver? Give --model FILE");
    if (set.stitch && tsr_cli_given(cli, "grid"))
        return tsr_fail(err, TSR_E_USAGE, "--stitch trains nothing, so nothing on a grid either");
    if ((set.grid_only || tsr_cli_given(cli, "grid-steps") || set.grid_lr != NULL || tsr_cli_given(cli, "target")) &&
        !tsr_cli_given(cli, "grid"))
        return tsr_fail(err, TSR_E_USAGE, "--grid-only, --grid-steps, --grid-lr and --target go with --grid");
    if (set.grid_only && (tsr_cli_given(cli, "steps") || set.lr != NULL))
        return tsr_fail(err, TSR_E_USAGE, "--steps and --lr are of teaching in float, which --grid-only leaves out; "
                                          "on the grid they are --grid-steps and --grid-lr");
    if (set.stitch && cli->external)
        return tsr_fail(err, TSR_E_USAGE, "--external is about the model written; --stitch writes none");
    TSR_GO(status, done, tsr_cli_model(cli, set.model, &k.g, err));
    TSR_GO(status, done, tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &in, err));
    TSR_GO(status, done, tsr_tokens_load(in, set.layer, &k.tokens, err));
    TSR_GO(status, done, load_refs(cli, &k, err));
    TSR_GO(status, done, tsr_cli_output(cli, TSR_BINARY, &k.out, err));
    TSR_GO(status, done, set.stitch ? stitch(cli, &k, err) : teach(cli, &k, err));
    status = tsr_sink_close(k.out, err);
    k.out = NULL;
done:
    tsr_sink_abandon(k.out);
    tsr_source_close(in);
    tsr_tokens_release(&k.tokens);
    tsr_tensor_release(&k.refs);
    tsr_free(k.key);
    tsr_graph_free(k.g);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-decode",
    .purpose = "teach a receiver from a token stream",
    .usage = "-m MODEL -r REFERENCES -o TAUGHT [STREAM]\n--stitch -m MODEL -r REFERENCES -o OUTPUTS.npy [STREAM]",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_THREADS | TSR_TAKES_PROGRESS | TSR_TAKES_SEED |
             TSR_TAKES_REPORT | TSR_TAKES_MODEL,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
