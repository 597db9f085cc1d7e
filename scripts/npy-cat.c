/* npy-cat - writes the rows of several .npy files (of one type and row shape) one after the other. */
#include "shared/cli.h"

#include <string.h>

static struct {
    int64_t sample;
    bool others;
} set;

static const struct tsr_option options[] = {
    TSR_INT('n', "sample", "N", &set.sample, 0, 1000000000, "only N rows drawn by chance, in order (default: 0, all of them)"),
    TSR_FLAG(0, "others", &set.others, "the rows that --sample with the same seed leaves out"),
};

static enum tsr_status load_all(struct tsr_cli *cli, struct tsr_tensor *t, struct tsr_error *err)
{
    for (int i = 0; i < cli->argc; i++) {
        TSR_TRY(tsr_samples_load_file(cli->argv[i], NULL, TSR_F32, &t[i], err));
        bool fits = t[i].dtype == t[0].dtype && t[i].shape.rank == t[0].shape.rank;
        for (int k = 1; fits && k < t[0].shape.rank; k++) fits = t[i].shape.dim[k] == t[0].shape.dim[k];
        if (!fits)
            return tsr_fail(err, TSR_E_MISMATCH, "the rows of '%s' and '%s' differ in type or shape", cli->argv[0],
                            cli->argv[i]);
    }
    return TSR_OK;
}

/* Is row `at` of `total` among those asked for? Rows are drawn without replacement by selection sampling: each with
 * the chance that what is still wanted has among what is left (Knuth, The Art of Computer Programming 3.4.2, S). */
static bool wanted(struct tsr_rng *rng, int64_t at, int64_t total, int64_t *left)
{
    if (set.sample == 0) return true;
    if ((int64_t)tsr_rng_below(rng, (uint64_t)(total - at)) >= *left) return false;
    --*left;
    return true;
}

static enum tsr_status write_rows(struct tsr_cli *cli, const struct tsr_tensor *t, struct tsr_sink *out,
                                  struct tsr_error *err)
{
    struct tsr_shape row = {.rank = t[0].shape.rank - 1};
    memcpy(row.dim, t[0].shape.dim + 1, (size_t)row.rank * sizeof row.dim[0]);
    const int64_t bytes = tsr_shape_count(&row) * tsr_dtype_bits(t[0].dtype) / 8;
    int64_t total = 0, at = 0;
    for (int i = 0; i < cli->argc; i++) total += t[i].shape.dim[0];
    int64_t left = set.sample;
    if (left > total)
        return tsr_fail(err, TSR_E_USAGE, "option '--sample' wants %lld rows, there are %lld", (long long)left,
                        (long long)total);
    struct tsr_npy_writer w;
    struct tsr_rng rng;
    tsr_rng_init(&rng, (uint64_t)cli->seed, 0);
    TSR_TRY(tsr_npy_begin(&w, out, t[0].dtype, &row, left == 0 ? total : set.others ? total - left : left, err));
    for (int i = 0; i < cli->argc; i++)
        for (int64_t r = 0; r < t[i].shape.dim[0]; r++, at++)
            if (wanted(&rng, at, total, &left) != set.others) TSR_TRY(tsr_npy_write(&w, (const uint8_t *)t[i].data + r * bytes, 1, err));
    return tsr_npy_end(&w, err);
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct tsr_sink *out = NULL;
    struct tsr_tensor *t = tsr_calloc((size_t)cli->argc, sizeof *t);
    if (!t) return tsr_nomem(err, (size_t)cli->argc * sizeof *t);
    enum tsr_status status = load_all(cli, t, err);
    if (status == TSR_OK) status = tsr_sink_open(cli->output ? cli->output : "-", &out, err);
    if (status == TSR_OK) status = write_rows(cli, t, out, err);
    if (status == TSR_OK) {
        status = tsr_sink_close(out, err);
        out = NULL;
    }
    tsr_sink_abandon(out);
    for (int i = 0; i < cli->argc; i++) tsr_tensor_release(&t[i]);
    tsr_free(t);
    return status;
}

static const struct tsr_program program = {
    .name = "npy-cat",
    .purpose = "join the rows of .npy files",
    .usage = "-o OUT FILE ...",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
