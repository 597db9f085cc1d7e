#include "shared/feed.h"

#include "shared/internal.h"

#include <string.h>

static int input_of(const struct tsr_feed *feed, const char *name, size_t n)
{
    for (size_t i = 0; i < feed->n_inputs; i++)
        if (strlen(feed->in[i].name) == n && memcmp(feed->in[i].name, name, n) == 0) return (int)i;
    return -1;
}

static void describe(struct tsr_feed *feed, const struct tsr_graph *g)
{
    feed->n_inputs = g == NULL ? 1 : g->n_input < TSR_FEED_INPUTS ? g->n_input : TSR_FEED_INPUTS;
    feed->in[0].name = "input";
    for (size_t i = 0; g != NULL && i < feed->n_inputs; i++) {
        const struct tsr_value *v = &g->value[g->input[i]];
        feed->in[i].name = v->name;
        feed->in[i].dtype = v->dtype;
        if (v->shape.rank < 1) continue;
        feed->in[i].shape_known = true;
        feed->in[i].shape.rank = v->shape.rank - 1;
        for (int a = 1; a < v->shape.rank; a++) {
            feed->in[i].shape.dim[a - 1] = v->shape.dim[a];
            if (v->shape.dim[a] < 0) feed->in[i].shape_known = false;
        }
    }
}

/* Flat rows, or rows with axes of one more or less, are taken where the number of elements is
 * right. */
static enum tsr_status check_file(struct tsr_feed *feed, size_t i, const struct tsr_samples *s, struct tsr_error *err)
{
    char have[TSR_SHAPE_TEXT], want[TSR_SHAPE_TEXT];
    const struct tsr_shape *shape = tsr_samples_shape(s);
    if (feed->in[i].dtype == TSR_NONE) feed->in[i].dtype = tsr_samples_dtype(s);
    if (!feed->in[i].shape_known) {
        feed->in[i].shape = *shape;
        feed->in[i].shape_known = true;
    }
    if (tsr_shape_count(shape) != tsr_shape_count(&feed->in[i].shape))
        return tsr_fail(err, TSR_E_MISMATCH, "%s holds samples of shape %s, but input '%s' wants %s",
                        tsr_samples_name(s), tsr_shape_text(shape, have, sizeof have), feed->in[i].name,
                        tsr_shape_text(&feed->in[i].shape, want, sizeof want));
    bool to_int = tsr_dtype_is_int(feed->in[i].dtype), from_float = tsr_dtype_is_float(tsr_samples_dtype(s));
    if (to_int && from_float)
        return tsr_fail(err, TSR_E_MISMATCH, "%s holds %s numbers, but input '%s' wants %s", tsr_samples_name(s),
                        tsr_dtype_name(tsr_samples_dtype(s)), feed->in[i].name, tsr_dtype_name(feed->in[i].dtype));
    return TSR_OK;
}

static enum tsr_status open_one(struct tsr_feed *feed, struct tsr_cli *cli, const char *arg, struct tsr_error *err)
{
    const char *eq = arg != NULL ? strchr(arg, '=') : NULL, *path = arg;
    int i = eq != NULL ? input_of(feed, arg, (size_t)(eq - arg)) : -1;
    if (i >= 0) path = eq + 1;
    else if (feed->n_inputs > 1)
        return tsr_fail(err, TSR_E_USAGE, "the model has %zu inputs; say which one with '%s=FILE'", feed->n_inputs,
                        feed->in[0].name);
    else i = 0;
    if (feed->in[i].n_files == TSR_FEED_FILES)
        return tsr_fail(err, TSR_E_LIMIT, "more than %d files for input '%s'", TSR_FEED_FILES, feed->in[i].name);
    struct tsr_source *source;
    struct tsr_samples *s;
    if (!tsr_standard(path)) {
        TSR_TRY(tsr_samples_open(path, NULL, feed->in[i].dtype, &s, err));
    } else {
        TSR_TRY(tsr_cli_input(cli, path, TSR_BINARY, &source, err));
        TSR_TRY(tsr_samples_from_source(source, NULL, feed->in[i].dtype, &s, err));
    }
    feed->in[i].file[feed->in[i].n_files++] = s;
    return check_file(feed, (size_t)i, s, err);
}

static enum tsr_status open_files(struct tsr_feed *feed, struct tsr_cli *cli, int argc, char *const *argv,
                                  struct tsr_error *err)
{
    if (argc == 0) TSR_TRY(open_one(feed, cli, NULL, err));
    for (int i = 0; i < argc; i++) TSR_TRY(open_one(feed, cli, argv[i], err));
    for (size_t i = 0; i < feed->n_inputs; i++) {
        int64_t count = 0;
        if (feed->in[i].n_files == 0)
            return tsr_fail(err, TSR_E_USAGE, "no file was given for input '%s'; say '%s=FILE'", feed->in[i].name,
                            feed->in[i].name);
        for (size_t k = 0; k < feed->in[i].n_files && count >= 0; k++) {
            int64_t n = tsr_samples_count(feed->in[i].file[k]);
            count = n < 0 ? -1 : count + n;
        }
        if (i == 0) feed->count = count;
        else if (count >= 0 && feed->count >= 0 && count != feed->count)
            return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has %lld samples, but input '%s' has %lld",
                            feed->in[i].name, (long long)count, feed->in[0].name, (long long)feed->count);
    }
    return TSR_OK;
}

enum tsr_status tsr_feed_open(struct tsr_feed *feed, struct tsr_cli *cli, const struct tsr_graph *g, int argc,
                              char *const *argv, struct tsr_error *err)
{
    *feed = (struct tsr_feed){.count = 0};
    describe(feed, g);
    if (g != NULL && g->n_input == 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "the model has no input");
    return open_files(feed, cli, argc, argv, err);
}

enum tsr_status tsr_feed_open_as(struct tsr_feed *feed, struct tsr_cli *cli, const char *name, enum tsr_dtype dtype,
                                 const struct tsr_shape *shape, int argc, char *const *argv, struct tsr_error *err)
{
    *feed = (struct tsr_feed){.n_inputs = 1};
    feed->in[0].name = name;
    feed->in[0].dtype = dtype;
    feed->in[0].shape = *shape;
    feed->in[0].shape_known = true;
    return open_files(feed, cli, argc, argv, err);
}

void tsr_feed_close(struct tsr_feed *feed)
{
    for (size_t i = 0; i < feed->n_inputs; i++)
        for (size_t k = 0; k < feed->in[i].n_files; k++) tsr_samples_close(feed->in[i].file[k]);
    *feed = (struct tsr_feed){.count = 0};
}

/* Up to max samples of input i, across its files. */
static enum tsr_status read_input(struct tsr_feed *feed, size_t i, int64_t max, struct tsr_tensor *x, int64_t *m,
                                  struct tsr_error *err)
{
    struct tsr_shape shape = {.rank = feed->in[i].shape.rank + 1, .dim = {max}};
    memcpy(shape.dim + 1, feed->in[i].shape.dim, (size_t)feed->in[i].shape.rank * sizeof *shape.dim);
    int64_t each = tsr_shape_count(&feed->in[i].shape);
    *m = 0;
    TSR_TRY(tsr_tensor_new(x, feed->in[i].dtype, &shape, NULL, err));
    while (*m < max && feed->in[i].at < feed->in[i].n_files) {
        struct tsr_samples *s = feed->in[i].file[feed->in[i].at];
        enum tsr_dtype from = tsr_samples_dtype(s);
        char *to = (char *)x->data + tsr_dtype_bytes(x->dtype, *m * each);
        void *raw = to;
        if (from != x->dtype) {
            raw = tsr_malloc((size_t)(max - *m), tsr_samples_row_bytes(s));
            if (raw == NULL) return tsr_nomem(err, (size_t)max * tsr_samples_row_bytes(s));
        }
        int64_t got = 0;
        enum tsr_status status = tsr_samples_read(s, max - *m, raw, &got, err);
        if (from != x->dtype) {
            if (status == TSR_OK) tsr_convert(x->dtype, to, from, raw, got * each);
            tsr_free(raw);
        }
        TSR_TRY(status);
        if (got < max - *m) feed->in[i].at++;
        *m += got;
    }
    x->shape.dim[0] = *m;
    return TSR_OK;
}

enum tsr_status tsr_feed_next(struct tsr_feed *feed, int64_t max, struct tsr_tensor *x, int64_t *m,
                              struct tsr_error *err)
{
    int64_t first = 0;
    if (feed->count >= 0 && max > feed->count && feed->count > 0) max = feed->count;
    memset(x, 0, feed->n_inputs * sizeof *x);
    for (size_t i = 0; i < feed->n_inputs; i++) {
        TSR_TRY(read_input(feed, i, max, &x[i], m, err));
        if (i == 0) first = *m;
        if (*m != first)
            return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has fewer or more samples than input '%s'",
                            feed->in[i].name, feed->in[0].name);
    }
    if (feed->count >= 0) feed->count -= *m;
    feed->ended = feed->count == 0 || (feed->count < 0 && *m < max);
    return TSR_OK;
}

size_t tsr_feed_sample_bytes(const struct tsr_feed *feed)
{
    size_t sum = 0;
    for (size_t i = 0; i < feed->n_inputs; i++)
        sum += tsr_dtype_bytes(feed->in[i].dtype, tsr_shape_count(&feed->in[i].shape));
    return sum;
}

enum tsr_status tsr_feed_all(struct tsr_feed *feed, struct tsr_tensor *x, struct tsr_error *err)
{
    struct tsr_tensor part;
    struct tsr_buf all = {0};
    int64_t total = 0, m;
    enum tsr_status status;
    struct tsr_shape shape = {.rank = feed->in[0].shape.rank + 1};
    memcpy(shape.dim + 1, feed->in[0].shape.dim, (size_t)feed->in[0].shape.rank * sizeof *shape.dim);
    if (feed->count > 0) return read_input(feed, 0, feed->count, x, &m, err);
    do {
        status = tsr_feed_next(feed, 4096, &part, &m, err);
        if (status == TSR_OK) status = tsr_buf_append(&all, part.data, tsr_tensor_bytes(&part), err);
        tsr_tensor_release(&part);
        total += m;
    } while (status == TSR_OK && !feed->ended);
    shape.dim[0] = total;
    if (status == TSR_OK) status = tsr_tensor_new(x, feed->in[0].dtype, &shape, NULL, err);
    if (status == TSR_OK && all.len > 0) memcpy(x->data, all.data, all.len);
    tsr_buf_release(&all);
    return status;
}
