#include "shared/foresee.h"

#include <string.h>

#define MAX_GRIDS 16

struct work {
    struct tsr_graph *g;
    struct tsr_tokens tokens;
    struct tsr_tensor refs; /* as the teacher had them */
    struct tsr_key *key;    /* [n] */
    int64_t *label;         /* [n], or NULL */
    int64_t n, used;        /* samples given; those that the teacher answered */
    struct tsr_predict_rows rows;
    enum tsr_grid grid[MAX_GRIDS];
    struct tsr_prediction out[MAX_GRIDS];
    size_t n_grids;
};

static enum tsr_status read_grids(const struct tsr_foresight *f, struct work *w, struct tsr_error *err)
{
    static const char *const usual[] = {"f16", "int8", "int4"};
    size_t n = f->grids.n > 0 ? f->grids.n : TSR_LENGTH(usual);
    if (n > MAX_GRIDS) return tsr_fail(err, TSR_E_USAGE, "there are more than %d grids", MAX_GRIDS);
    for (size_t i = 0; i < n; i++) {
        int k;
        TSR_TRY(tsr_parse_choice("option '--grid'", f->grids.n > 0 ? f->grids.item[i] : usual[i], tsr_grid_names, &k, err));
        w->grid[w->n_grids++] = (enum tsr_grid)k;
    }
    return TSR_OK;
}

static enum tsr_status read_tokens(struct tsr_cli *cli, struct work *w, struct tsr_error *err)
{
    struct tsr_source *source;
    if (cli->argc > 1) return tsr_fail(err, TSR_E_USAGE, "--predict takes one stream, the teacher's tokens");
    TSR_TRY(tsr_cli_input(cli, cli->argc > 0 ? cli->argv[0] : NULL, TSR_BINARY, &source, err));
    enum tsr_status status = tsr_tokens_load(source, NULL, &w->tokens, err);
    tsr_source_close(source);
    return status;
}

/* Keys are of samples as the teacher had them. */
static enum tsr_status read_refs(struct tsr_cli *cli, const struct tsr_foresight *f, struct work *w, struct tsr_error *err)
{
    struct tsr_feed feed;
    const struct tsr_tokens *t = &w->tokens;
    char *const *file = (char *const *)(uintptr_t)f->refs.item;
    if (w->g->n_input != 1 || t->n_inputs > 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "drift is predicted for models of one input, not of %zu",
                        w->g->n_input != 1 ? w->g->n_input : t->n_inputs);
    const char *name = w->g->value[w->g->input[0]].name;
    enum tsr_status status = t->n_inputs == 1
        ? tsr_feed_open_as(&feed, cli, name, t->input_dtype, &t->input_shape, (int)f->refs.n, file, err)
        : tsr_feed_open(&feed, cli, w->g, (int)f->refs.n, file, err);
    if (status == TSR_OK) status = tsr_feed_all(&feed, &w->refs, err);
    tsr_feed_close(&feed);
    TSR_TRY(status);
    w->n = w->refs.shape.dim[0];
    if (w->n < 1) return tsr_fail(err, TSR_E_MISMATCH, "there is no sample in the files of --refs");
    w->key = tsr_malloc((size_t)w->n, sizeof *w->key);
    if (w->key == NULL) return tsr_nomem(err, (size_t)w->n * sizeof *w->key);
    tsr_sample_keys(&w->refs, 1, w->key);
    return TSR_OK;
}

static enum tsr_status read_labels(const struct tsr_foresight *f, struct work *w, struct tsr_error *err)
{
    struct tsr_tensor y = {0};
    if (f->labels == NULL) return TSR_OK;
    TSR_TRY(tsr_samples_load_file(f->labels, NULL, TSR_I64, &y, err));
    enum tsr_status status = TSR_OK;
    if (tsr_tensor_count(&y) != w->n)
        status = tsr_fail(err, TSR_E_MISMATCH, "'%s' has %lld labels for %lld samples", f->labels,
                          (long long)tsr_tensor_count(&y), (long long)w->n);
    if (status == TSR_OK && (w->label = tsr_malloc((size_t)w->n, sizeof *w->label)) == NULL)
        status = tsr_nomem(err, (size_t)w->n * sizeof *w->label);
    for (int64_t i = 0; status == TSR_OK && i < w->n; i++) {
        double v = tsr_load_f64(y.dtype, y.data, i);
        if (!(v >= 0 && v < (double)(1 << 24)) || v != (double)(int64_t)v)
            status = tsr_fail(err, TSR_E_CORRUPT, "'%s' has %g for sample %lld, which is no class number", f->labels, v, (long long)i);
        else w->label[i] = (int64_t)v;
    }
    tsr_tensor_release(&y);
    return status;
}

/* ---- what is said ---- */

/* Blanks at the end are no column. */
static void end_line(struct tsr_page *p)
{
    while (p->status == TSR_OK && p->to->len > 0 && p->to->data[p->to->len - 1] == ' ') p->to->len--;
    tsr_page_add(p, "\n");
}

static void print_text(const struct work *w, const struct tsr_foresight *f, int64_t on, struct tsr_page *p)
{
    static const char *const head[TSR_PREDICTED] = {"KL, nats", "same class", "KL from teacher", "teacher's class", "accuracy"};
    tsr_page_add(p, "from %lld samples, for what will be measured on %lld; intervals of %g %%\n", (long long)w->used,
                 (long long)on, 100 * f->confidence);
    tsr_page_add(p, "%-6s", "GRID");
    for (int k = 0; k < TSR_PREDICTED; k++)
        if (w->out[0].of[k].measured) tsr_page_add(p, "  %-36s", head[k]);
    end_line(p);
    for (size_t i = 0; i < w->n_grids; i++) {
        tsr_page_add(p, "%-6s", tsr_grid_names[w->out[i].grid]);
        for (int k = 0; k < TSR_PREDICTED; k++) {
            enum tsr_measure_unit unit = k == TSR_PREDICT_KL || k == TSR_PREDICT_TEACHER_KL ? TSR_UNIT_NATS : TSR_UNIT_SHARE;
            char a[TSR_VALUE_TEXT], b[TSR_VALUE_TEXT], c[TSR_VALUE_TEXT], cell[3 * TSR_VALUE_TEXT];
            if (!w->out[i].of[k].measured) continue;
            snprintf(cell, sizeof cell, "%s [%s, %s]", tsr_report_value(unit, w->out[i].of[k].value, a),
                     tsr_report_value(unit, w->out[i].of[k].low, b), tsr_report_value(unit, w->out[i].of[k].high, c));
            tsr_page_add(p, "  %-36s", cell);
        }
        end_line(p);
    }
}

static enum tsr_status fill_json(const struct work *w, const struct tsr_foresight *f, int64_t on, struct tsr_json *j,
                                 struct tsr_error *err)
{
    struct tsr_json *list, *grid, *one;
    TSR_TRY(tsr_json_set_string(j, "schema", "tessera-drift.prediction/1", err));
    TSR_TRY(tsr_json_set_number(j, "confidence", f->confidence, err));
    TSR_TRY(tsr_json_set_int(j, "samples", w->used, err));
    TSR_TRY(tsr_json_set_int(j, "on", on, err));
    TSR_TRY(tsr_json_set_array(j, "grids", &list, err));
    for (size_t i = 0; i < w->n_grids; i++) {
        TSR_TRY(tsr_json_set_object(list, NULL, &grid, err));
        TSR_TRY(tsr_json_set_string(grid, "grid", tsr_grid_names[w->out[i].grid], err));
        for (int k = 0; k < TSR_PREDICTED; k++) {
            if (!w->out[i].of[k].measured) continue;
            TSR_TRY(tsr_json_set_object(grid, tsr_predicted_name((enum tsr_predicted)k), &one, err));
            TSR_TRY(tsr_json_set_number(one, "value", w->out[i].of[k].value, err));
            TSR_TRY(tsr_json_set_number(one, "low", w->out[i].of[k].low, err));
            TSR_TRY(tsr_json_set_number(one, "high", w->out[i].of[k].high, err));
        }
    }
    return TSR_OK;
}

static enum tsr_status put(struct tsr_cli *cli, const struct work *w, const struct tsr_foresight *f, struct tsr_error *err)
{
    struct tsr_buf text = {0};
    struct tsr_page page = {.to = &text, .err = err};
    struct tsr_json *j = NULL;
    struct tsr_sink *out = NULL;
    int64_t on = f->on > 0 ? f->on : w->used;
    enum tsr_status status;
    if (f->json) {
        TSR_GO(status, done, tsr_json_object(&j, err));
        TSR_GO(status, done, fill_json(w, f, on, j, err));
        TSR_GO(status, done, tsr_json_print(j, &text, err));
        TSR_GO(status, done, tsr_buf_append(&text, "\n", 1, err));
    } else {
        print_text(w, f, on, &page);
        TSR_GO(status, done, page.status);
    }
    TSR_GO(status, done, tsr_cli_output(cli, TSR_TEXT, &out, err));
    status = tsr_cli_finish(out, tsr_sink_write(out, text.data, text.len, err), err);
done:
    tsr_json_free(j);
    tsr_buf_release(&text);
    return status;
}

static enum tsr_status foresee(struct tsr_cli *cli, const struct tsr_foresight *f, struct work *w, struct tsr_error *err)
{
    TSR_TRY(read_grids(f, w, err));
    TSR_TRY(tsr_cli_model(cli, f->model, &w->g, err));
    TSR_TRY(read_tokens(cli, w, err));
    TSR_TRY(read_refs(cli, f, w, err));
    TSR_TRY(read_labels(f, w, err));
    TSR_TRY(tsr_predict_join(&w->tokens, &w->refs, w->key, w->label, &w->g->value[w->g->input[0]], &w->rows, err));
    w->used = w->rows.x.shape.dim[0];
    if (w->used < w->n)
        tsr_cli_warn(cli, "the teacher has not answered %lld of the %lld samples; the rest was used",
                     (long long)(w->n - w->used), (long long)w->n);
    struct tsr_predict_options o = {.confidence = f->confidence, .on = f->on, .pool = cli->pool, .seed = (uint64_t)cli->seed,
                                    .stop = tsr_cli_stopped};
    TSR_TRY(tsr_drift_predict(w->g, &w->rows, w->grid, w->n_grids, &o, w->out, err));
    return put(cli, w, f, err);
}

enum tsr_status tsr_cli_foresee(struct tsr_cli *cli, const struct tsr_foresight *f, struct tsr_error *err)
{
    struct work w = {.n = 0};
    if (f->model == NULL || f->refs.n == 0)
        return tsr_fail(err, TSR_E_USAGE, "--predict needs a model and samples to try it on: --model FILE and --refs FILE");
    enum tsr_status status = foresee(cli, f, &w, err);
    tsr_graph_free(w.g);
    tsr_tokens_release(&w.tokens);
    tsr_tensor_release(&w.refs);
    tsr_free(w.key);
    tsr_free(w.label);
    tsr_predict_rows_release(&w.rows);
    return status;
}
