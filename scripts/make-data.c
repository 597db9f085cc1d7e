/* make-data - writes labelled samples of one of our own tasks as .npy, the same bytes on every machine. */
#include "data/data.h"
#include "shared/cli.h"

#include <string.h>

enum value_type { FLOAT32, FLOAT16 };
static const char *const split_names[] = {"train", "test", "ref", NULL};
static const char *const type_names[] = {"float32", "float16", NULL};

static struct {
    int split, type;
    int64_t count, writer;
    const char *x, *y;
} set = {.count = 400};

static const struct tsr_option options[] = {
    TSR_CHOICE('s', "split", "NAME", &set.split, split_names, "train, test or ref: samples that never meet (default: train)"),
    TSR_INT('n', "count", "N", &set.count, 1, 10000000, "number of samples (default: 400)"),
    TSR_CHOICE('t', "type", "TYPE", &set.type, type_names, "float32 or float16, both exact (default: float32)"),
    TSR_INT('w', "writer", "W", &set.writer, 0, 12, "glyphs of one writer only, 1 to 12 (default: 0, all of them)"),
    TSR_STRING('x', "inputs", "FILE", &set.x, "write the inputs here"),
    TSR_STRING('y', "labels", "FILE", &set.y, "write the labels here, int64"),
};

/* One .npy file on its way; unused where no path was given. */
struct output {
    struct tsr_sink *sink;
    struct tsr_npy_writer npy;
};

static enum tsr_status begin(struct output *o, const char *path, enum tsr_dtype dtype, const struct tsr_shape *row,
                             struct tsr_error *err)
{
    if (!path) return TSR_OK;
    TSR_TRY(tsr_sink_open(path, &o->sink, err));
    return tsr_npy_begin(&o->npy, o->sink, dtype, row, set.count, err);
}

static enum tsr_status end(struct output *o, struct tsr_error *err)
{
    if (!o->sink) return TSR_OK;
    TSR_TRY(tsr_npy_end(&o->npy, err));
    struct tsr_sink *sink = o->sink;
    o->sink = NULL;
    return tsr_sink_close(sink, err);
}

/* The types are the file's: x as the task gives it, y as what is to be written. */
static void convert(const struct tsr_data_task *task, const float *x, size_t n, void *y)
{
    if (task->integral)
        for (size_t i = 0; i < n; i++) ((int64_t *)y)[i] = (int64_t)x[i];
    else if (set.type == FLOAT16)
        for (size_t i = 0; i < n; i++) ((uint16_t *)y)[i] = tsr_f32_to_f16(x[i]);
    else
        memcpy(y, x, n * sizeof *x);
}

static enum tsr_status write_samples(struct tsr_cli *cli, const struct tsr_data_task *task, struct output *inputs,
                                     struct output *labels, float *x, int64_t *room, struct tsr_error *err)
{
    const size_t n = tsr_data_size(task);
    for (int64_t i = 0; i < set.count; i++) {
        const int64_t label = tsr_data_make(task, (enum tsr_data_split)set.split, (uint64_t)cli->seed, (int)set.writer,
                                            (uint64_t)i, x);
        convert(task, x, n, room);
        if (inputs->sink) TSR_TRY(tsr_npy_write(&inputs->npy, room, 1, err));
        if (labels->sink) TSR_TRY(tsr_npy_write(&labels->npy, &label, 1, err));
        if (i % 1024 == 0) TSR_TRY(tsr_cli_poll(err));
    }
    return TSR_OK;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    const struct tsr_data_task *task = tsr_data_find(cli->argv[0]);
    if (!task) return tsr_fail(err, TSR_E_USAGE, "there is no task '%s'; choose tokens, glyphs or sensors", cli->argv[0]);
    if (set.writer > task->n_writers)
        return tsr_fail(err, TSR_E_USAGE, "option '--writer' wants 0 to %d for the task '%s'", task->n_writers,
                        task->name);
    if (!set.x && !set.y) return tsr_fail(err, TSR_E_USAGE, "nothing to write: give -x FILE, -y FILE or both");

    struct tsr_shape sample = {.rank = task->rank}, none = {.rank = 0};
    for (int i = 0; i < task->rank; i++) sample.dim[i] = task->shape[i];
    const size_t n = tsr_data_size(task);
    struct output inputs = {0}, labels = {0};
    enum tsr_status status = TSR_OK;
    float *x = tsr_malloc(n, sizeof *x);
    int64_t *room = tsr_malloc(n, sizeof *room);
    if (!x || !room) {
        status = tsr_nomem(err, n * sizeof *room);
        goto done;
    }
    const enum tsr_dtype dtype = task->integral ? TSR_I64 : set.type == FLOAT16 ? TSR_F16 : TSR_F32;
    TSR_GO(status, done, begin(&inputs, set.x, dtype, &sample, err));
    TSR_GO(status, done, begin(&labels, set.y, TSR_I64, &none, err));
    TSR_GO(status, done, write_samples(cli, task, &inputs, &labels, x, room, err));
    TSR_GO(status, done, end(&inputs, err));
    TSR_GO(status, done, end(&labels, err));
done:
    tsr_sink_abandon(inputs.sink);
    tsr_sink_abandon(labels.sink);
    tsr_free(x);
    tsr_free(room);
    return status;
}

static const struct tsr_program program = {
    .name = "make-data",
    .purpose = "make labelled samples of a task: tokens, glyphs or sensors",
    .usage = "TASK -x INPUTS.npy -y LABELS.npy",
    .takes = TSR_TAKES_ALL | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
