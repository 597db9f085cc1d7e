/* tessera-quantize - stores a token stream in other element types, or brings a model to a grid. */
#include "shared/feed.h"

#include <math.h>

static struct {
    const char *model, *prune, *budget;
    struct tsr_strings refs, exclude;
    int64_t block;
    double percentile;
    int to, calibrator, target, rounding, correct, equalise;
} set = {.to = -1, .calibrator = TSR_CALIBRATE_MSE, .block = 32, .percentile = 99.99};

static const enum tsr_dtype types[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4}; /* the first of the grids */

static const struct tsr_option options[] = {
    TSR_CHOICE(0, "to", "TYPE", &set.to, tsr_grid_names, "what a stream's rows are stored as, or the grid a model is brought to (required)"),
    TSR_STRING('m', "model", "FILE", &set.model, "bring this ONNX model to the grid, calibrated with the stream's inputs"),
    TSR_LIST('r', "refs", "FILE", &set.refs, "calibrate with these inputs instead of a stream (repeatable)"),
    TSR_CHOICE(0, "calibrate", "METHOD", &set.calibrator, tsr_calibrator_names, "how ranges are chosen (default: mse)"),
    TSR_DOUBLE(0, "percentile", "P", &set.percentile, 50, 100, "what --calibrate=percentile keeps, in percent (default: 99.99)"),
    TSR_CHOICE(0, "target", "RUNTIME", &set.target, tsr_quant_target_names, "whose conventions to follow (default: ort)"),
    TSR_INT(0, "block", "N", &set.block, 16, 65536, "weights of 4 bits that share a scale (default: 32)"),
    TSR_STRING(0, "prune", "P", &set.prune, "first set this fraction of the weights to zero, or all but N of M in a row (N:M)"),
    TSR_CHOICE(0, "rounding", "WAY", &set.rounding, tsr_quant_rounding_names, "of weights of 4 bits: learned from the samples (default), or nearest"),
    TSR_CHOICE(0, "correct-bias", "WHEN", &set.correct, tsr_quant_choice_names, "shift biases by the mean error, where that helps (default: auto)"),
    TSR_CHOICE(0, "equalise", "WHEN", &set.equalise, tsr_quant_choice_names, "even out channels between layers, where that helps (default: auto)"),
    TSR_STRING(0, "budget", "KL", &set.budget, "keep the most sensitive layers in more bits until the outputs diverge less: 'kl<=0.01'"),
    TSR_LIST(0, "exclude", "NODE", &set.exclude, "leave this node in float (repeatable)"),
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

/* ---- models --------------------------------------------------------------------------------- */

static enum tsr_status feed_files(struct tsr_cli *cli, struct tsr_quantiser *q, const struct tsr_graph *g,
                                  struct tsr_progress *progress, struct tsr_error *err)
{
    struct tsr_feed feed;
    struct tsr_tensor x[TSR_FEED_INPUTS];
    int64_t rows = 0, m = 0;
    enum tsr_status status =
        tsr_feed_open(&feed, cli, g, (int)set.refs.n, (char *const *)(uintptr_t)set.refs.item, err);
    while (status == TSR_OK && !feed.ended) {
        status = tsr_feed_next(&feed, TSR_BLOCK_ROWS, x, &m, err);
        if (status != TSR_OK) break;
        if (m > 0) status = tsr_quantiser_block(q, x, feed.n_inputs, err);
        for (size_t k = 0; k < feed.n_inputs; k++) tsr_tensor_release(&x[k]);
        tsr_progress_update(progress, rows += m);
        if (m == 0) break;
        if (status == TSR_OK) status = tsr_cli_poll(err);
    }
    tsr_feed_close(&feed);
    return status;
}

static void show(void *arg, int64_t rows) { tsr_progress_update(arg, rows); }

static enum tsr_status calibrate(struct tsr_cli *cli, struct tsr_quantiser *q, const struct tsr_graph *g, struct tsr_error *err)
{
    struct tsr_progress progress;
    struct tsr_source *src;
    if (!tsr_quantiser_wants_samples(q) && !(tsr_grid_is_half((enum tsr_grid)set.to) && set.refs.n > 0)) return TSR_OK;
    tsr_progress_begin(&progress, cli, "calibrating", "samples", 0);
    enum tsr_status status;
    if (set.refs.n > 0) {
        status = feed_files(cli, q, g, &progress, err);
    } else {
        status = tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &src, err);
        if (status == TSR_OK) {
            status = tsr_quantise_stream(q, g, src, show, &progress, err);
            tsr_source_close(src);
        }
    }
    tsr_progress_end(&progress);
    return status;
}

/* A line of the report for each node that could be on the grid, and a warning about those that are not. */
static enum tsr_status tell_nodes(struct tsr_cli *cli, const struct tsr_quant_plan *plan, struct tsr_error *err)
{
    for (size_t i = 0; i < plan->g->n_node; i++) {
        const struct tsr_node *node = &plan->g->node[i];
        const struct tsr_quant_layer *l = &plan->layer[i];
        bool on = l->on && (l->role == TSR_ROLE_PRODUCT || l->role == TSR_ROLE_STORED || l->role == TSR_ROLE_LOOKUP);
        struct tsr_json *line;
        if (!on && l->why == NULL) continue;
        if (!on) tsr_cli_warn(cli, "node '%s' (%s) stays float: %s", node->name, node->op_type, l->why);
        TSR_TRY(tsr_json_object(&line, err));
        enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-quantize.node/1", err);
        if (status == TSR_OK) status = tsr_json_set_string(line, "node", node->name, err);
        if (status == TSR_OK) status = tsr_json_set_string(line, "op", node->op_type, err);
        if (status == TSR_OK) status = tsr_json_set_int(line, "weight_bits", tsr_quant_layer_bits(l), err);
        if (status == TSR_OK) status = tsr_json_set_int(line, "activation_bits", l->activation_bits, err);
        if (status == TSR_OK && isfinite(l->sensitivity)) status = tsr_json_set_number(line, "sensitivity", l->sensitivity, err);
        if (status == TSR_OK && l->why != NULL) status = tsr_json_set_string(line, "why", l->why, err);
        if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
        tsr_json_free(line);
        TSR_TRY(status);
    }
    return TSR_OK;
}

static enum tsr_status tell_model(struct tsr_cli *cli, const struct tsr_quantise_report *r, struct tsr_error *err)
{
    struct tsr_json *line;
    if (r->quantised + r->left > 0)
        tsr_cli_note(cli, "%d nodes on the grid, %d left in float, %lld samples", r->quantised, r->left, (long long)r->samples);
    if (r->quantised == 0 && r->left > 0)
        tsr_cli_warn(cli, "nothing of the model is on the grid %s; it is written in float", tsr_grid_names[set.to]);
    if (isfinite(r->kl))
        tsr_cli_note(cli, "divergence of the outputs %.3g nats, %.3g before it was refined%s%s%s", r->kl, r->kl_nearest,
                     r->pairs > 0 ? "; channels equalised" : "", r->rounded ? "; rounding learned" : "", r->shifted ? "; biases corrected" : "");
    if (r->overflown > 0)
        tsr_cli_warn(cli, "%lld outputs of the samples are no finite numbers in %s: something that is computed is beyond its largest "
                     "number; take bf16 or int8", (long long)r->overflown, tsr_grid_names[set.to]);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-quantize.model/1", err);
    if (status == TSR_OK) status = tsr_json_set_string(line, "grid", tsr_grid_names[set.to], err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "samples", r->samples, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "quantised", r->quantised, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "left", r->left, err);
    if (status == TSR_OK && r->weights > 0) status = tsr_json_set_int(line, "zeros", r->zeros, err);
    if (status == TSR_OK && r->weights > 0) status = tsr_json_set_int(line, "weights", r->weights, err);
    if (status == TSR_OK && isfinite(r->kl)) status = tsr_json_set_number(line, "kl", r->kl, err);
    if (status == TSR_OK && isfinite(r->kl)) status = tsr_json_set_number(line, "kl_nearest", r->kl_nearest, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "equalised", r->pairs, err);
    if (status == TSR_OK) status = tsr_json_set_bool(line, "rounded", r->rounded, err);
    if (status == TSR_OK) status = tsr_json_set_bool(line, "bias_corrected", r->shifted, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status quantise_model(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_graph *g = NULL, *made = NULL;
    struct tsr_quantiser *q = NULL;
    struct tsr_sink *sink = NULL;
    struct tsr_quantise_report report;
    struct tsr_quantise_options o = tsr_quantise_defaults((enum tsr_grid)set.to);
    o.target = (enum tsr_quant_target)set.target;
    o.calibrator = (enum tsr_calibrator)set.calibrator;
    o.percentile = set.percentile / 100;
    o.block = set.block;
    o.exclude = set.exclude.item, o.n_exclude = set.exclude.n;
    o.pool = cli->pool;
    o.seed = (uint64_t)cli->seed;
    o.rounding = (enum tsr_quant_rounding)set.rounding;
    o.correct_bias = (enum tsr_quant_choice)set.correct;
    o.equalise = (enum tsr_quant_choice)set.equalise;
    if (set.budget != NULL) TSR_TRY(tsr_quant_budget_parse(set.budget, &o.budget, err));
    if (set.budget != NULL && tsr_grid_weight_bits(o.grid) > 8)
        return tsr_fail(err, TSR_E_USAGE, "--budget goes with grids of 8 bits and fewer, not with --to %s", tsr_grid_names[set.to]);
    if (set.prune != NULL) TSR_TRY(tsr_prune_parse(set.prune, &o.prune, err));
    enum tsr_status status;
    TSR_GO(status, done, tsr_cli_model(cli, set.model, &g, err));
    TSR_GO(status, done, tsr_quantiser_new(g, &o, &q, err));
    TSR_GO(status, done, tsr_cli_output(cli, TSR_BINARY, &sink, err));
    TSR_GO(status, done, calibrate(cli, q, g, err));
    TSR_GO(status, done, tsr_quantiser_finish(q, &made, &report, err));
    TSR_GO(status, done, tell_nodes(cli, tsr_quantiser_plan(q), err));
    TSR_GO(status, done, tell_model(cli, &report, err));
    status = tsr_cli_put_model(cli, made, sink, err);
done:
    status = tsr_cli_finish(sink, status, err);
    tsr_graph_free(made);
    tsr_quantiser_free(q);
    tsr_graph_free(g);
    return status;
}

/* ---- streams -------------------------------------------------------------------------------- */

static enum tsr_status requantise(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_source *src;
    struct tsr_sink *sink = NULL;
    if ((size_t)set.to >= TSR_LENGTH(types))
        return tsr_fail(err, TSR_E_USAGE, "--to %s is for models (--model); a stream takes f32, f16, bf16, int8 or int4",
                        tsr_grid_names[set.to]);
    TSR_TRY(tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &src, err));
    enum tsr_status status = tsr_cli_output(cli, TSR_BINARY, &sink, err);
    if (status == TSR_OK) status = filter(cli, src, sink, err);
    status = tsr_cli_finish(sink, status, err);
    tsr_source_close(src);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    static const char *const models_only[] = {"refs", "calibrate", "percentile", "target", "block", "prune", "rounding", "correct-bias", "equalise", "budget", "exclude", "external"};
    if (set.to < 0) return tsr_fail(err, TSR_E_USAGE, "option '--to' is required: f32, f16, bf16, int8, int4, w4a8 or w4a4");
    if (set.model != NULL) return quantise_model(cli, err);
    for (size_t i = 0; i < TSR_LENGTH(models_only); i++)
        if (tsr_cli_given(cli, models_only[i]))
            return tsr_fail(err, TSR_E_USAGE, "--%s goes with --model", models_only[i]);
    return requantise(cli, err);
}

static const struct tsr_program program = {
    .name = "tessera-quantize",
    .purpose = "store a token stream or a model in fewer bits",
    .usage = "--to TYPE [FILE]\n-m MODEL --to GRID [FILE]\n-m MODEL --to GRID -r INPUTS.npy",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_MODEL | TSR_TAKES_REPORT | TSR_TAKES_THREADS | TSR_TAKES_PROGRESS | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
