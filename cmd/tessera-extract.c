/* tessera-extract - what a transmitter says of a reference set, as a stream. */
#include "shared/feed.h"

#include <string.h>

enum { MODE_A, MODE_B, MODE_BOTH, MODE_DEFAULT /* both, or b where the model has no head */ };
static const char *const modes[] = {"a", "b", "both", NULL};
static const char *const precisions[] = {"f32", "f16", "bf16", "int8", "int4", NULL};
static const enum tsr_dtype dtypes[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4};
static const char *const kinds[] = {"auto", "logits", "probabilities", "argmax", "regression", NULL};

static struct {
    const char *model, *outputs, *views, *emit, *contributor, *round;
    struct tsr_strings layers, activations;
    int64_t classes, time;
    int mode, to, kind;
    bool view_activations, raw, with_inputs;
} set = {.mode = MODE_DEFAULT};

static const struct tsr_option options[] = {
    TSR_STRING('m', "model", "FILE", &set.model, "the transmitter, an ONNX model"),
    TSR_CHOICE(0, "mode", "MODE", &set.mode, modes, "a: activations, b: outputs, both (default)"),
    TSR_LIST('l', "layer", "TENSOR", &set.layers, "extract this tensor (repeatable; default: the head's input)"),
    TSR_STRING(0, "views", "K", &set.views, "derived inputs a sample; 'auto': about 16000 in all, 'rich': 64000 (default: auto for a model's outputs, else 0)"),
    TSR_FLAG(0, "view-activations", &set.view_activations, "extract activations for the views, too"),
    TSR_FLAG(0, "raw", &set.raw, "activations in their own shape, not pooled to a vector"),
    TSR_CHOICE(0, "kind", "KIND", &set.kind, kinds, "what the outputs are; argmax tells only the class (default: auto)"),
    TSR_CHOICE(0, "to", "TYPE", &set.to, precisions, "precision of the rows (default: f32)"),
    TSR_FLAG(0, "with-inputs", &set.with_inputs, "ship the reference inputs in the stream"),
    TSR_STRING(0, "outputs", "FILE", &set.outputs, "no model: outputs that another framework computed (.npy)"),
    TSR_LIST(0, "activations", "NAME=FILE", &set.activations, "no model: activations of tensor NAME (.npy)"),
    TSR_INT(0, "classes", "N", &set.classes, 0, 1 << 24, "number of classes of argmax outputs given by --outputs"),
    TSR_STRING(0, "contributor", "NAME", &set.contributor, "who answers, where the answers of many will be merged"),
    TSR_STRING(0, "round", "NAME", &set.round, "what is being answered"),
    TSR_INT(0, "time", "SECONDS", &set.time, 0, INT64_C(1) << 40, "when, in seconds since 1970 (default: not told)"),
    TSR_STRING(0, "emit-views", "FILE", &set.emit, "write samples and views as .npy for another framework to answer"),
};

static void show(void *arg, int64_t rows) { tsr_progress_update(arg, rows); }

/* Views are what makes few references suffice, so a model's outputs come with them. */
static enum tsr_status view_count(uint32_t *out, struct tsr_error *err)
{
    int64_t k = 0;
    if (set.views == NULL) *out = set.model != NULL && set.mode != MODE_A ? TSR_VIEWS_AUTO : 0;
    else if (strcmp(set.views, "auto") == 0) *out = TSR_VIEWS_AUTO;
    else if (strcmp(set.views, "rich") == 0) *out = TSR_VIEWS_RICH;
    else {
        TSR_TRY(tsr_parse_int("option '--views'", set.views, 0, 100000, &k, err));
        *out = (uint32_t)k;
    }
    return TSR_OK;
}

/* "teacher" of "dir/teacher.onnx". */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool has_layer(const struct tsr_transmit_options *o, const char *name)
{
    for (size_t i = 0; i < o->n_layers; i++)
        if (strcmp(o->layer[i], name) == 0) return true;
    return false;
}

static enum tsr_status settings(struct tsr_cli *cli, struct tsr_transmit_options *o, struct tsr_error *err)
{
    *o = (struct tsr_transmit_options){
        .producer = "tessera-extract " TSR_VERSION,
        .contributor = set.contributor,
        .round = set.round,
        .time = set.time,
        .model_name = set.model != NULL ? base_name(set.model) : NULL,
        .outputs = set.mode != MODE_A,
        .kind = (enum tsr_row_kind)set.kind,
        .raw = set.raw,
        .view_activations = set.view_activations,
        .with_inputs = set.with_inputs,
        .dtype = dtypes[set.to],
        .seed = (uint64_t)cli->seed,
        .pool = cli->pool,
        .stop = tsr_cli_stopped,
        .progress = show,
    };
    if ((set.contributor != NULL && strlen(set.contributor) > TSR_MAX_NAME) ||
        (set.round != NULL && strlen(set.round) > TSR_MAX_NAME))
        return tsr_fail(err, TSR_E_USAGE, "names of contributors and rounds have at most %d bytes", TSR_MAX_NAME);
    TSR_TRY(view_count(&o->views, err));
    o->views_optional = set.views == NULL;
    if (set.mode == MODE_B) {
        if (set.layers.n > 0) return tsr_fail(err, TSR_E_USAGE, "--layer asks for activations, --mode b for none");
        return TSR_OK;
    }
    if (set.layers.n > TSR_MAX_LAYERS) return tsr_fail(err, TSR_E_USAGE, "more than %d layers", TSR_MAX_LAYERS);
    for (size_t i = 0; i < set.layers.n; i++)
        if (!has_layer(o, set.layers.item[i])) o->layer[o->n_layers++] = set.layers.item[i];
    if (o->n_layers == 0) o->layer[o->n_layers++] = "";
    o->head_optional = set.mode == MODE_DEFAULT;
    return TSR_OK;
}

static enum tsr_status pump(struct tsr_feed *feed, struct tsr_transmitter *t, struct tsr_error *err)
{
    struct tsr_tensor x[TSR_FEED_INPUTS];
    bool first = true;
    int64_t rows = tsr_block_rows(tsr_feed_sample_bytes(feed));
    do {
        int64_t m;
        TSR_TRY(tsr_cli_poll(err));
        enum tsr_status status = tsr_feed_next(feed, rows, x, &m, err);
        if (status == TSR_OK && m > 0)
            status = tsr_transmitter_block(t, x, feed->n_inputs, first && feed->ended, err);
        for (size_t k = 0; k < feed->n_inputs; k++) tsr_tensor_release(&x[k]);
        TSR_TRY(status);
        first = false;
        if (m == 0) break;
    } while (!feed->ended);
    return tsr_transmitter_finish(t, err);
}

/* Opens the answers of another framework: --outputs FILE and --activations NAME=FILE. */
static enum tsr_status open_foreign(struct tsr_transmit_options *o, struct tsr_error *err)
{
    static char name[TSR_MAX_LAYERS][256];
    o->n_layers = 0;
    o->classes = set.classes;
    if (set.outputs != NULL)
        TSR_TRY(tsr_samples_open(set.outputs, NULL, TSR_F32, &o->foreign_outputs, err));
    for (size_t i = 0; i < set.activations.n; i++) {
        const char *arg = set.activations.item[i], *eq = strchr(arg, '=');
        size_t n = eq != NULL ? (size_t)(eq - arg) : 0;
        if (n == 0 || n >= sizeof name[0] || i >= TSR_MAX_LAYERS)
            return tsr_fail(err, TSR_E_USAGE, "--activations wants NAME=FILE, not '%s'", arg);
        memcpy(name[i], arg, n);
        if (has_layer(o, name[i])) return tsr_fail(err, TSR_E_USAGE, "--activations has '%s' twice", name[i]);
        TSR_TRY(tsr_samples_open(eq + 1, NULL, TSR_F32, &o->foreign_layer[i], err));
        o->layer[o->n_layers++] = name[i];
    }
    return TSR_OK;
}

static void close_foreign(struct tsr_transmit_options *o)
{
    tsr_samples_close(o->foreign_outputs);
    for (size_t i = 0; i < o->n_layers; i++) tsr_samples_close(o->foreign_layer[i]);
}

/* Where no model says what it wants, numbers are float32: there are views of those. */
static void widen(struct tsr_feed *feed)
{
    if (tsr_dtype_is_float(feed->in[0].dtype)) feed->in[0].dtype = TSR_F32;
}

static enum tsr_status transmit(struct tsr_cli *cli, const struct tsr_graph *g, struct tsr_feed *feed,
                                struct tsr_transmit_options *o, struct tsr_sink *out, struct tsr_error *err)
{
    struct tsr_stream_writer *w;
    struct tsr_transmitter *t = NULL;
    struct tsr_progress progress;
    TSR_TRY(tsr_writer_new(out, 0, &w, err));
    o->refs = feed->count > 0 ? feed->count : 0;
    tsr_progress_begin(&progress, cli, "extracting", "rows", 0);
    o->progress_arg = &progress;
    enum tsr_status status = tsr_transmitter_new(g, o, w, &t, err);
    if (status == TSR_OK) status = pump(feed, t, err);
    tsr_progress_end(&progress);
    if (status == TSR_OK && set.kind == 0 && tsr_transmitter_kind(t) == TSR_KIND_REGRESSION)
        tsr_cli_warn(cli, tsr_transmitter_answers_apart(t)
                              ? "outputs of several dimensions a sample are taken for values (--kind regression), not for classes"
                              : "one output a sample is taken for a value (--kind regression); where it answers yes or no, "
                                "say --kind logits or probabilities");
    if (status == TSR_OK && tsr_transmitter_lacks_head(t))
        tsr_cli_warn(cli, "the model does not end in a linear layer, so no activations are extracted, only its outputs; --layer names others");
    tsr_transmitter_free(t);
    tsr_writer_free(w);
    return status;
}

static enum tsr_status extract(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_graph *g = NULL;
    struct tsr_feed feed = {.n_inputs = 0};
    struct tsr_sink *out = NULL;
    struct tsr_transmit_options o;
    enum tsr_status status;
    TSR_TRY(settings(cli, &o, err));
    if (set.model == NULL) TSR_GO(status, done, open_foreign(&o, err));
    else TSR_GO(status, done, tsr_cli_model(cli, set.model, &g, err));
    TSR_GO(status, done, tsr_feed_open(&feed, cli, g, cli->argc, cli->argv, err));
    if (g == NULL) widen(&feed);
    TSR_GO(status, done, tsr_cli_output(cli, TSR_BINARY, &out, err));
    TSR_GO(status, done, transmit(cli, g, &feed, &o, out, err));
    status = tsr_sink_close(out, err);
    out = NULL;
done:
    tsr_sink_abandon(out);
    tsr_feed_close(&feed);
    close_foreign(&o);
    tsr_graph_free(g);
    return status;
}

/* The samples, and behind each block of them its views, for somebody else to answer. */
static enum tsr_status emit(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_feed feed;
    struct tsr_sink *out = NULL;
    struct tsr_npy_writer npy;
    struct tsr_views views = {.noise = -1, .seed = (uint64_t)cli->seed};
    struct tsr_tensor x[TSR_FEED_INPUTS] = {{0}};
    int64_t m = 0;
    enum tsr_status status;
    bool begun = false;
    TSR_TRY(view_count(&views.count, err));
    TSR_GO(status, done, tsr_feed_open(&feed, cli, NULL, cli->argc, cli->argv, err));
    widen(&feed);
    TSR_GO(status, done, tsr_sink_open(set.emit, &out, err));
    do {
        int64_t due = feed.count;
        TSR_GO(status, done, tsr_cli_poll(err));
        TSR_GO(status, done, tsr_feed_next(&feed, tsr_block_rows(tsr_feed_sample_bytes(&feed)), x, &m, err));
        /* As tsr_transmitter_block: by the first block where the number is not known before. */
        if (!begun) views.count = tsr_views_count(views.count, due > 0 ? due : m);
        int64_t rows = due > 0 ? due * (1 + (int64_t)views.count) : -1;
        if (!begun) TSR_GO(status, done, tsr_npy_begin(&npy, out, x[0].dtype, &feed.in[0].shape, rows, err));
        begun = true;
        if (m > 0) TSR_GO(status, done, tsr_emit_block(&views, &x[0], &npy, err));
        tsr_tensor_release(&x[0]);
    } while (!feed.ended && m > 0);
    TSR_GO(status, done, tsr_npy_end(&npy, err));
    status = tsr_sink_close(out, err);
    out = NULL;
done:
    tsr_sink_abandon(out);
    tsr_tensor_release(&x[0]);
    tsr_feed_close(&feed);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    bool foreign = set.outputs != NULL || set.activations.n > 0;
    if (set.emit != NULL && (set.model != NULL || foreign))
        return tsr_fail(err, TSR_E_USAGE, "--emit-views writes inputs alone; give it no --model, --outputs or --activations");
    if (foreign && (set.layers.n > 0 || set.mode < MODE_BOTH))
        return tsr_fail(err, TSR_E_USAGE, "--layer and --mode choose from a model; of another transmitter all that is given is taken");
    if (set.classes > 0 && (set.outputs == NULL || set.kind != 3))
        return tsr_fail(err, TSR_E_USAGE, "--classes goes with --outputs and --kind argmax");
    if (set.emit != NULL) return emit(cli, err);
    if ((set.model != NULL) == foreign)
        return tsr_fail(err, TSR_E_USAGE,
                        "which transmitter? Give either --model FILE, or --outputs and --activations of another one");
    return extract(cli, err);
}

static const struct tsr_program program = {
    .name = "tessera-extract",
    .purpose = "extract outputs and activations of a transmitter",
    .usage = "-m MODEL [INPUT=]FILE ...\n--outputs ANSWERS.npy [--views K] FILE\n--emit-views VIEWS.npy --views K FILE",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_THREADS | TSR_TAKES_PROGRESS | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .max_operands = -1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
