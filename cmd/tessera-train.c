/* tessera-train - trains a model on labelled data, or tells how well one does. */
#include "shared/feed.h"

#include <math.h>

static const char *const loss_names[] = {"ce", "mse", NULL};

static struct {
    const char *model, *x, *y, *val_x, *val_y, *outputs, *lr;
    int64_t epochs, steps, batch, views, patience, from;
    double val_split, decay, ema;
    int loss;
    bool eval;
} set = {.epochs = 30, .batch = 64, .val_split = 0.1, .decay = 0.01, .ema = 0.99, .patience = 10};

static const struct tsr_option options[] = {
    TSR_STRING('m', "model", "FILE", &set.model, "the ONNX model to train or evaluate"),
    TSR_STRING('x', "inputs", "FILE", &set.x, "samples: .npy, .npz, IDX or CSV"),
    TSR_STRING('y', "labels", "FILE", &set.y, "a class number a sample, or values with --loss=mse"),
    TSR_STRING(0, "val-inputs", "FILE", &set.val_x, "samples to validate on (default: see --val-split)"),
    TSR_STRING(0, "val-labels", "FILE", &set.val_y, "their labels"),
    TSR_DOUBLE(0, "val-split", "SHARE", &set.val_split, 0, 0.9, "share of the samples held out (default: 0.1)"),
    TSR_CHOICE(0, "loss", "NAME", &set.loss, loss_names, "ce: cross-entropy (default), mse: squared error"),
    TSR_INT(0, "epochs", "N", &set.epochs, 1, 1000000, "passes over the data (default: 30)"),
    TSR_INT(0, "steps", "N", &set.steps, 0, 100000000, "optimiser steps; overrides --epochs"),
    TSR_INT(0, "batch", "N", &set.batch, 1, 65536, "samples a step (default: 64)"),
    TSR_STRING(0, "lr", "RATE", &set.lr, "learning rate, or 'auto': tried on held-out loss (default: auto)"),
    TSR_DOUBLE(0, "weight-decay", "W", &set.decay, 0, 10, "AdamW's decay (default: 0.01)"),
    TSR_DOUBLE(0, "ema", "D", &set.ema, 0, 0.99999, "decay of the weights' moving average, 0: none (default: 0.99)"),
    TSR_INT(0, "patience", "N", &set.patience, 0, 1000000, "evaluations without gain before stopping, 0: never (default: 10)"),
    TSR_INT(0, "views", "K", &set.views, 0, 100000, "derived inputs a sample, labels mixed along (default: 0)"),
    TSR_FLAG(0, "eval", &set.eval, "do not train: print loss and accuracy of the model"),
    TSR_STRING(0, "outputs", "FILE", &set.outputs, "with --eval: judge these outputs (.npy) instead of a model's"),
    TSR_INT(0, "from", "N", &set.from, 0, INT64_C(1) << 40, "with --eval: leave out the first N samples"),
};

static enum tsr_status load(struct tsr_cli *cli, const struct tsr_graph *g, const char *path, struct tsr_tensor *t,
                            struct tsr_error *err)
{
    struct tsr_feed feed;
    char *arg = (char *)(uintptr_t)path;
    enum tsr_status status = tsr_feed_open(&feed, cli, g, 1, &arg, err);
    if (status == TSR_OK) status = tsr_feed_all(&feed, t, err);
    tsr_feed_close(&feed);
    return status;
}

/* Samples and labels of one set. */
static enum tsr_status load_set(struct tsr_cli *cli, const struct tsr_graph *g, const char *x_path,
                                const char *y_path, int64_t classes, struct tsr_labelled *d, struct tsr_error *err)
{
    struct tsr_tensor x = {0}, y = {0};
    if (x_path == NULL || y_path == NULL)
        return tsr_fail(err, TSR_E_USAGE, "samples and labels belong together: give both");
    enum tsr_status status = load(cli, g, x_path, &x, err);
    if (status == TSR_OK) status = load(cli, NULL, y_path, &y, err);
    if (status == TSR_OK) status = tsr_labelled_init(d, &x, &y, set.loss == 1, classes, err);
    tsr_tensor_release(&x);
    tsr_tensor_release(&y);
    return status;
}

/* Outputs a sample: what the model declares, or what one sample gives. */
static enum tsr_status output_width(const struct tsr_graph *g, int32_t *value, int64_t *width, struct tsr_error *err)
{
    struct tsr_head head;
    *value = tsr_graph_logits(g).value;
    if (tsr_graph_head(g, &head, NULL) == TSR_OK) {
        *value = head.logits;
        *width = head.classes;
        return TSR_OK;
    }
    const struct tsr_shape *s = &g->value[g->output[0]].shape; /* a softmax leaves the shape as it is */
    *width = 1;
    for (int i = 1; i < s->rank; i++) *width *= s->dim[i];
    if (s->rank < 1 || *width < 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the model does not say how many outputs a sample has");
    return TSR_OK;
}

static enum tsr_status report_eval(struct tsr_cli *cli, double loss, int64_t right, int64_t n, struct tsr_error *err)
{
    struct tsr_json *line;
    if (set.loss == 0)
        printf("accuracy %.4f  loss %.5f  samples %lld\n", (double)right / (double)n, loss, (long long)n);
    else printf("loss %.6g  samples %lld\n", loss, (long long)n);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-train.eval/1", err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "loss", loss, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "samples", n, err);
    if (status == TSR_OK && set.loss == 0)
        status = tsr_json_set_number(line, "accuracy", (double)right / (double)n, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status judge(struct tsr_cli *cli, const float *z, const struct tsr_labelled *d, struct tsr_error *err)
{
    int64_t from = set.from, n = d->n - from, c = d->width;
    if (n <= 0) return tsr_fail(err, TSR_E_USAGE, "--from leaves no samples to judge");
    z += from * c;
    double loss = set.loss == 1 ? tsr_loss_mse(z, d->value + from * c, n, c, NULL)
                                : tsr_loss_cross_entropy(z, d->label + from, n, c, NULL);
    return report_eval(cli, loss, set.loss == 1 ? 0 : tsr_count_correct(z, d->label + from, n, c), n, err);
}

static enum tsr_status evaluate_model(struct tsr_cli *cli, const struct tsr_graph *g, struct tsr_error *err)
{
    struct tsr_labelled d = {0};
    int32_t value;
    int64_t width;
    float *z = NULL;
    TSR_TRY(output_width(g, &value, &width, err));
    enum tsr_status status = load_set(cli, g, set.x, set.y, width, &d, err);
    if (status == TSR_OK) {
        z = tsr_malloc((size_t)d.n, (size_t)width * sizeof *z);
        status = z == NULL ? tsr_nomem(err, (size_t)(d.n * width) * sizeof *z)
                           : tsr_predict(g, value, &d.x, width, cli->pool, z, err);
    }
    if (status == TSR_OK) status = judge(cli, z, &d, err);
    tsr_free(z);
    tsr_labelled_release(&d);
    return status;
}

static enum tsr_status evaluate_outputs(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_tensor z = {0}, y = {0}, f = {0};
    struct tsr_labelled d = {0};
    if (set.y == NULL) return tsr_fail(err, TSR_E_USAGE, "--outputs wants labels to judge by: give --labels");
    enum tsr_status status = load(cli, NULL, set.outputs, &z, err);
    if (status == TSR_OK) status = load(cli, NULL, set.y, &y, err);
    if (status == TSR_OK && z.shape.rank != 2) status = tsr_fail(err, TSR_E_MISMATCH, "%s holds no matrix of outputs", set.outputs);
    if (status == TSR_OK) status = tsr_tensor_cast(&f, TSR_F32, &z, err);
    if (status == TSR_OK) status = tsr_labelled_init(&d, &f, &y, set.loss == 1, f.shape.dim[1], err);
    if (status == TSR_OK) status = judge(cli, f.data, &d, err);
    tsr_tensor_release(&z);
    tsr_tensor_release(&y);
    tsr_tensor_release(&f);
    tsr_labelled_release(&d);
    return status;
}

static enum tsr_status settings(struct tsr_cli *cli, struct tsr_train_options *o, struct tsr_error *err)
{
    *o = tsr_train_defaults();
    o->epochs = set.epochs;
    o->val_share = set.val_split;
    o->views = (uint32_t)set.views;
    o->pool = cli->pool;
    o->fit.steps = set.steps;
    o->fit.batch = set.batch;
    o->fit.weight_decay = (float)set.decay;
    o->fit.ema = (float)set.ema;
    o->fit.patience = set.patience;
    o->fit.seed = (uint64_t)cli->seed;
    o->fit.stop = tsr_cli_stopped;
    return tsr_cli_rate("lr", set.lr, &o->rate, err);
}

static enum tsr_status report_training(struct tsr_cli *cli, const struct tsr_train_report *r, struct tsr_error *err)
{
    struct tsr_json *line;
    tsr_cli_note(cli, "%lld steps at rate %g: training loss %.5f, held-out loss %.5f", (long long)r->fit.steps,
                 (double)r->rate.best, r->fit.train_loss, r->fit.held_loss);
    TSR_TRY(tsr_json_object(&line, err));
    enum tsr_status status = tsr_json_set_string(line, "schema", "tessera-train.result/1", err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "steps", r->fit.steps, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "rows", r->rows, err);
    if (status == TSR_OK) status = tsr_json_set_int(line, "held_out", r->held, err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "lr", (double)r->rate.best, err);
    if (status == TSR_OK) status = tsr_json_set_number(line, "train_loss", r->fit.train_loss, err);
    if (status == TSR_OK && !isnan(r->fit.held_loss))
        status = tsr_json_set_number(line, "held_out_loss", r->fit.held_loss, err);
    if (status == TSR_OK) status = tsr_cli_report(cli, line, err);
    tsr_json_free(line);
    return status;
}

static enum tsr_status train(struct tsr_cli *cli, struct tsr_graph *g, struct tsr_error *err)
{
    struct tsr_labelled data = {0}, val = {0};
    struct tsr_train_options o;
    struct tsr_train_report report;
    struct tsr_sink *out = NULL;
    struct tsr_progress progress;
    int32_t value;
    int64_t width, fixed;
    bool have_val = set.val_x != NULL || set.val_y != NULL;
    enum tsr_status status;
    TSR_TRY(settings(cli, &o, err));
    TSR_TRY(output_width(g, &value, &width, err));
    TSR_TRY(tsr_anybatch_begin(g, &fixed, err));
    TSR_GO(status, done, load_set(cli, g, set.x, set.y, width, &data, err));
    if (have_val) TSR_GO(status, done, load_set(cli, g, set.val_x, set.val_y, width, &val, err));
    TSR_GO(status, done, tsr_cli_output(cli, TSR_BINARY, &out, err));
    tsr_progress_begin(&progress, cli, "training", "steps", set.steps);
    o.fit.progress = tsr_progress_step;
    o.fit.progress_arg = &progress;
    status = tsr_train_labelled(g, &data, have_val ? &val : NULL, &o, &report, err);
    tsr_progress_end(&progress);
    tsr_anybatch_end(g, fixed);
    if (status == TSR_OK) status = tsr_cli_put_model(cli, g, out, err);
    if (status == TSR_OK) tsr_cli_warn_reach(cli, &report.reach);
    if (status == TSR_OK) status = report_training(cli, &report, err);
    if (status == TSR_OK) {
        status = tsr_sink_close(out, err);
        out = NULL;
    }
done:
    tsr_sink_abandon(out);
    tsr_labelled_release(&data);
    tsr_labelled_release(&val);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_graph *g;
    if (set.eval && cli->external)
        return tsr_fail(err, TSR_E_USAGE, "--external is about the model written; --eval writes none");
    if (set.eval && set.outputs != NULL) return evaluate_outputs(cli, err);
    if (set.model == NULL) return tsr_fail(err, TSR_E_USAGE, "which model? Give --model FILE");
    if (set.x == NULL || set.y == NULL)
        return tsr_fail(err, TSR_E_USAGE, "give the samples with --inputs and their labels with --labels");
    if (!set.eval && set.outputs != NULL) return tsr_fail(err, TSR_E_USAGE, "--outputs goes with --eval");
    TSR_TRY(tsr_cli_model(cli, set.model, &g, err));
    enum tsr_status status = set.eval ? evaluate_model(cli, g, err) : train(cli, g, err);
    tsr_graph_free(g);
    return status;
}

static const struct tsr_program program = {
    .name = "tessera-train",
    .purpose = "train a model on labelled data",
    .usage = "-m MODEL -x SAMPLES -y LABELS -o TRAINED\n--eval -m MODEL -x SAMPLES -y LABELS",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_THREADS | TSR_TAKES_PROGRESS | TSR_TAKES_SEED |
             TSR_TAKES_REPORT | TSR_TAKES_MODEL,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
