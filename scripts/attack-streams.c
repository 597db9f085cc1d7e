/* attack-streams - writes what a hostile contributor would send who knows the streams of honest ones: the first
 * of these with its outputs exchanged. For benches and tests of tessera-merge.
 *
 * The streams must have the same records in the same order: outputs of classes for the same samples and views. */
#include "shared/cli.h"

#include <math.h>

static const char *const attacks[] = {"flip", "ipm", "alie", "mimic", "minmax", "gaussian", "labelflip", "scaling", "nan", NULL};
enum { FLIP, IPM, ALIE, MIMIC, MINMAX, GAUSSIAN, LABELFLIP, SCALING, NOT_A_NUMBER };
enum { MOST = 64 };

static struct {
    int attack;
    const char *contributor;
} set = {.attack = -1};

static const struct tsr_option options[] = {
    TSR_CHOICE('a', "attack", "NAME", &set.attack, attacks, "what is sent (required)"),
    TSR_STRING('c', "contributor", "NAME", &set.contributor, "by whom (required)"),
};

struct input {
    struct tsr_source *source;
    struct tsr_stream *stream;
    const struct tsr_record *rec;
    float *x; /* logits of the current record */
};

/* Rows as logits less their mean, whatever they were. */
static enum tsr_status load(struct input *in, struct tsr_rows *r, struct tsr_error *err)
{
    tsr_free(in->x);
    in->x = NULL;
    TSR_TRY(tsr_rows_parse(in->rec, r, err));
    TSR_TRY(tsr_rows_get(in->stream, r, &in->x, err));
    size_t n = r->set.cols;
    for (size_t i = 0; i < r->set.rows; i++) {
        float *x = in->x + i * n, mean = 0;
        for (size_t k = 0; k < n; k++) {
            if (r->set.kind == TSR_KIND_PROBABILITIES) x[k] = logf(x[k] > 1e-6f ? x[k] : 1e-6f);
            mean += x[k] / (float)n;
        }
        for (size_t k = 0; k < n; k++) x[k] -= mean;
    }
    return TSR_OK;
}

static void spoil(struct input *in, int count, const struct tsr_rows *r, struct tsr_rng *rng, float *y)
{
    size_t n = r->set.cols;
    for (size_t i = 0; i < r->set.rows * n; i++) {
        double mean = 0, square = 0;
        for (int k = 0; k < count; k++) {
            mean += (double)in[k].x[i] / count;
            square += (double)in[k].x[i] * (double)in[k].x[i] / count;
        }
        double deviation = sqrt(square > mean * mean ? square - mean * mean : 0);
        size_t mirrored = i / n * n + (n - 1 - i % n);
        switch (set.attack) {
        case FLIP: y[i] = -in[0].x[i]; break;
        case IPM: y[i] = (float)(-2 * mean); break;
        case ALIE: y[i] = (float)(mean - 1.5 * deviation * (mean > 0 ? 1 : -1)); break;
        case MIMIC: y[i] = in[0].x[i]; break;
        case MINMAX: y[i] = (float)(mean - 2.5 * deviation * (mean > 0 ? 1 : -1)); break;
        case GAUSSIAN: y[i] = 5 * tsr_rng_normal(rng); break;
        case LABELFLIP: y[i] = in[0].x[mirrored]; break;
        case SCALING: y[i] = 1e6f * in[0].x[mirrored]; break;
        default: y[i] = i == r->set.rows * n - 1 ? NAN : in[0].x[i];
        }
    }
}

/* A record of float32 numbers, finite or not: the writer of rows would refuse them. */
static enum tsr_status put(struct tsr_stream_writer *w, const struct tsr_record *rec, const float *y, size_t n, struct tsr_error *err)
{
    struct tsr_json *meta;
    struct tsr_buf body = {0};
    TSR_TRY(tsr_json_parse(rec->meta_text, rec->meta_len, TSR_MAX_META, "its JSON", &meta, err));
    enum tsr_status status = tsr_json_set_string(meta, "dtype", "float32", err);
    if (status == TSR_OK) status = tsr_json_set_string(meta, "code", "plain", err);
    if (status == TSR_OK) status = tsr_json_set_string(meta, "layout", "rows", err);
    if (status == TSR_OK) status = tsr_json_set_string(meta, "kind", "logits", err);
    if (status == TSR_OK) status = tsr_buf_reserve(&body, 4 * n, err);
    for (size_t i = 0; i < n && status == TSR_OK; i++) {
        uint32_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        tsr_put_le32(body.data + 4 * i, bits);
    }
    if (status == TSR_OK) status = tsr_writer_put(w, TSR_OUTS, meta, body.data, 4 * n, err);
    tsr_json_free(meta);
    tsr_buf_release(&body);
    return status;
}

static enum tsr_status put_head(struct tsr_stream_writer *w, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_stream_head h;
    TSR_TRY(tsr_stream_head_parse(rec, &h, err));
    enum tsr_status status = tsr_stream_head_set(&h.contributor, set.contributor, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.model, set.contributor, err);
    h.model_digest[0] = '\0';
    h.outputs = TSR_KIND_LOGITS;
    if (status == TSR_OK) status = tsr_stream_head_put(w, &h, err);
    tsr_stream_head_release(&h);
    return status;
}

static enum tsr_status answer(struct input *in, int count, struct tsr_stream_writer *w, struct tsr_rng *rng, struct tsr_error *err)
{
    struct tsr_rows r = {0}, other;
    for (int k = 0; k < count; k++) {
        if (in[k].rec == NULL || in[k].rec->type != in[0].rec->type)
            return tsr_fail(err, TSR_E_MISMATCH, "the streams do not have the same records");
        TSR_TRY(load(&in[k], k == 0 ? &r : &other, err));
        if (k > 0 && (other.set.rows != r.set.rows || other.set.cols != r.set.cols))
            return tsr_fail(err, TSR_E_MISMATCH, "the streams do not answer the same samples");
    }
    size_t n = r.set.rows * r.set.cols;
    float *y = tsr_malloc(n, sizeof *y);
    if (y == NULL) return tsr_nomem(err, n * sizeof *y);
    spoil(in, count, &r, rng, y);
    enum tsr_status status = put(w, in[0].rec, y, n, err);
    tsr_free(y);
    return status;
}

static enum tsr_status walk(struct tsr_cli *cli, struct input *in, int count, struct tsr_stream_writer *w, struct tsr_error *err)
{
    struct tsr_rng rng;
    struct tsr_key who = tsr_roster_key(set.contributor);
    tsr_rng_init_key(&rng, (uint64_t)cli->seed, &who, 0);
    for (;;) {
        for (int k = 0; k < count; k++) TSR_TRY(tsr_stream_next(in[k].stream, &in[k].rec, err));
        const struct tsr_record *rec = in[0].rec;
        if (rec == NULL) return TSR_OK;
        if (rec->type == TSR_HEAD) TSR_TRY(put_head(w, rec, err));
        else if (rec->type == TSR_ENDS) TSR_TRY(tsr_writer_finish(w, err));
        else if (rec->type == TSR_OUTS) TSR_TRY(answer(in, count, w, &rng, err));
        else TSR_TRY(tsr_stream_copy(in[0].stream, w, err));
    }
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    static struct input in[MOST];
    struct tsr_sink *sink = NULL;
    struct tsr_stream_writer *w = NULL;
    if (set.attack < 0 || set.contributor == NULL) return tsr_fail(err, TSR_E_USAGE, "give --attack and --contributor");
    enum tsr_status status = TSR_OK;
    for (int i = 0; i < cli->argc && status == TSR_OK; i++) {
        status = tsr_source_open(cli->argv[i], &in[i].source, err);
        if (status == TSR_OK) status = tsr_stream_open(in[i].source, NULL, &in[i].stream, err);
    }
    if (status == TSR_OK) status = tsr_cli_output(cli, TSR_BINARY, &sink, err);
    if (status == TSR_OK) status = tsr_writer_new(sink, TSR_LEVEL_AUTO, &w, err);
    if (status == TSR_OK) status = walk(cli, in, cli->argc, w, err);
    tsr_writer_free(w);
    for (int i = 0; i < cli->argc; i++) {
        tsr_free(in[i].x);
        tsr_stream_close(in[i].stream);
        tsr_source_close(in[i].source);
    }
    return tsr_cli_finish(sink, status, err);
}

static const struct tsr_program program = {
    .name = "attack-streams",
    .purpose = "write what a hostile contributor would send",
    .usage = "-a ATTACK -c NAME HONEST.tsr...",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .min_operands = 1,
    .max_operands = MOST,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
