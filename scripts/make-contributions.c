/* make-contributions - writes the contributions of simulated contributors as a token stream, one row each,
 * for tests and benches of tessera-merge. Contributor i is the same whatever else is written, so that
 * shards are cut with --first. The same bytes on every machine.
 *
 * Honest rows are 0.74 parts (of the square) a common direction, the rest one of four clusters and noise.
 * Hostile ones, chosen by their number, send what --attack says. */
#include "shared/cli.h"

#include <math.h>
#include <stdlib.h>

static const char *const types[] = {"int8", "float32", NULL};
static const char *const attacks[] = {"none", "flip", "ipm", "gaussian", "scaling", "nan", "zero", "mimic", NULL};
enum { NONE, FLIP, IPM, GAUSSIAN, SCALING, NOT_A_NUMBER, ZERO, MIMIC };

static struct {
    int64_t count, first, dim, block;
    int type, attack;
    double hostile;
    const char *round;
} set = {.count = 1000, .dim = 64, .block = 256};

static const struct tsr_option options[] = {
    TSR_INT('n', "count", "N", &set.count, 1, INT64_C(1) << 40, "number of contributors (default: 1000)"),
    TSR_INT(0, "first", "I", &set.first, 0, INT64_C(1) << 40, "number of the first one (default: 0)"),
    TSR_INT('d', "dim", "D", &set.dim, 2, 65536, "numbers of a row (default: 64)"),
    TSR_INT(0, "block", "N", &set.block, 1, TSR_BLOCK_ROWS, "rows of a record (default: 256)"),
    TSR_CHOICE('t', "type", "TYPE", &set.type, types, "int8 or float32 (default: int8)"),
    TSR_CHOICE('a', "attack", "NAME", &set.attack, attacks, "what hostile ones send (default: none)"),
    TSR_DOUBLE(0, "hostile", "SHARE", &set.hostile, 0, 1, "share of hostile contributors (default: 0)"),
    TSR_STRING(0, "round", "NAME", &set.round, "the round they answer"),
};

/* The directions that honest rows are made of. */
struct world {
    float *common, *cluster[4];
};

static void unit(struct tsr_rng *r, float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = tsr_rng_normal(r);
        sum += (double)x[i] * (double)x[i];
    }
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / sqrt(sum));
}

static enum tsr_status make_world(struct world *w, uint64_t seed, struct tsr_error *err)
{
    float *all = tsr_malloc((size_t)set.dim * 5, sizeof *all);
    if (all == NULL) return tsr_nomem(err, (size_t)set.dim * 5 * sizeof *all);
    for (int k = 0; k < 5; k++) {
        struct tsr_rng r;
        float *x = all + k * set.dim;
        tsr_rng_init(&r, seed, (uint64_t)k + 1);
        unit(&r, x, set.dim);
        if (k == 0) w->common = x;
        else w->cluster[k - 1] = x;
    }
    return TSR_OK;
}

static void honest(const struct world *w, uint64_t seed, int64_t i, float *x)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, (uint64_t)i + 1000);
    const float *cluster = w->cluster[tsr_rng_below(&r, 4)];
    float noise = sqrtf(0.13f / (float)set.dim);
    for (int64_t k = 0; k < set.dim; k++) x[k] = 0.86f * w->common[k] + 0.36f * cluster[k] + noise * tsr_rng_normal(&r);
}

/* Contributor i: its hostility depends on its number alone. */
static void row_of(const struct world *w, uint64_t seed, int64_t i, float *x)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed ^ 0x686f7374, (uint64_t)i);
    bool hostile = tsr_rng_double(&r) < set.hostile;
    honest(w, seed, hostile && set.attack == MIMIC ? 0 : i, x);
    for (int64_t k = 0; hostile && k < set.dim; k++) switch (set.attack) {
        case FLIP: x[k] = -x[k]; break;
        case IPM: x[k] = -2 * w->common[k]; break;
        case GAUSSIAN: x[k] = tsr_rng_normal(&r); break;
        case SCALING: x[k] = 1e6f * (w->common[k] + 0.5f * w->cluster[0][k]); break;
        case NOT_A_NUMBER: x[k] = k == set.dim - 1 ? NAN : x[k]; break;
        case ZERO: x[k] = 0; break;
        default: break;
        }
}

/* Ascending keys: the number, and 8 bytes of a hash of it. */
static void key_of(int64_t i, struct tsr_key *key)
{
    struct tsr_keyhash h;
    uint8_t number[8];
    for (int k = 0; k < 8; k++) number[k] = (uint8_t)((uint64_t)i >> (56 - 8 * k));
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, number, sizeof number);
    tsr_keyhash_final(&h, key);
    memcpy(key->b, number, sizeof number);
}

/* The int8 code of -1.5 to 1.5, the same in every record; float32 as it is, NaN and all. */
static enum tsr_status put_rows(struct tsr_stream_writer *w, int64_t block, const float *x, size_t rows, struct tsr_buf *body,
                                struct tsr_error *err)
{
    const float scale = 3.0f / 255, low = -1.5f;
    struct tsr_json *meta;
    tsr_buf_clear(body);
    TSR_TRY(tsr_buf_reserve(body, rows * (size_t)set.dim * 4 + (size_t)set.dim * 8, err));
    uint8_t *to = body->data;
    for (int64_t k = 0; set.type == 0 && k < 2 * set.dim; k++, to += 4) {
        uint32_t bits;
        memcpy(&bits, k < set.dim ? &scale : &low, sizeof bits);
        tsr_put_le32(to, bits);
    }
    for (size_t i = 0; i < rows * (size_t)set.dim; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        if (set.type == 1) {
            tsr_put_le32(to, bits);
            to += 4;
        } else {
            float q = (x[i] - low) / scale + 0.5f;
            *to++ = (uint8_t)(q >= 255 ? 255 : q >= 0 ? q : 0);
        }
    }
    body->len = (size_t)(to - body->data);
    TSR_TRY(tsr_json_object(&meta, err));
    enum tsr_status status = TSR_OK;
    const struct {
        const char *key, *value;
    } text[] = {{"code", set.type == 0 ? "affine" : "plain"}, {"dtype", set.type == 0 ? "int8" : "float32"}, {"kind", "regression"},
                {"layout", "rows"}, {"set", "ref"}};
    for (size_t i = 0; i < TSR_LENGTH(text) && status == TSR_OK; i++)
        status = tsr_json_set_string(meta, text[i].key, text[i].value, err);
    if (status == TSR_OK) status = tsr_json_set_int(meta, "block", block, err);
    if (status == TSR_OK) status = tsr_json_set_int(meta, "count", (int64_t)rows, err);
    if (status == TSR_OK) status = tsr_json_set_int(meta, "rows", (int64_t)rows, err);
    if (status == TSR_OK) status = tsr_json_set_int(meta, "cols", set.dim, err);
    if (status == TSR_OK) status = tsr_writer_put(w, TSR_OUTS, meta, body->data, body->len, err);
    tsr_json_free(meta);
    return status;
}

static enum tsr_status write_blocks(struct tsr_cli *cli, struct tsr_stream_writer *w, const struct world *world, float *x,
                                    struct tsr_key *key, struct tsr_buf *body, struct tsr_error *err)
{
    struct tsr_block_keys k = {.key = key};
    for (int64_t done = 0; done < set.count; k.block++) {
        k.count = (size_t)(set.count - done < set.block ? set.count - done : set.block);
        k.first = done;
        for (size_t i = 0; i < k.count; i++) {
            key_of(set.first + done + (int64_t)i, &key[i]);
            row_of(world, (uint64_t)cli->seed, set.first + done + (int64_t)i, x + i * (size_t)set.dim);
        }
        TSR_TRY(tsr_keys_put(w, &k, err));
        TSR_TRY(put_rows(w, k.block, x, k.count, body, err));
        TSR_TRY(tsr_cli_poll(err));
        done += (int64_t)k.count;
    }
    return tsr_writer_finish(w, err);
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct world world = {0};
    struct tsr_sink *sink = NULL;
    struct tsr_stream_writer *w = NULL;
    struct tsr_stream_head h = {.outputs = TSR_KIND_REGRESSION, .classes = set.dim, .contributors = true};
    struct tsr_buf body = {0};
    float *x = tsr_malloc((size_t)(set.block * set.dim), sizeof *x);
    struct tsr_key *key = tsr_malloc((size_t)set.block, sizeof *key);
    enum tsr_status status = x == NULL || key == NULL ? tsr_nomem(err, (size_t)(set.block * set.dim) * sizeof *x) : TSR_OK;
    if (status == TSR_OK) status = make_world(&world, (uint64_t)cli->seed, err);
    if (status == TSR_OK) status = tsr_cli_output(cli, TSR_BINARY, &sink, err);
    if (status == TSR_OK) status = tsr_writer_new(sink, 1, &w, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.producer, "make-contributions", err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.round, set.round, err);
    if (status == TSR_OK) status = tsr_stream_head_put(w, &h, err);
    if (status == TSR_OK) status = write_blocks(cli, w, &world, x, key, &body, err);
    tsr_writer_free(w);
    status = tsr_cli_finish(sink, status, err);
    tsr_stream_head_release(&h);
    tsr_buf_release(&body);
    tsr_free(world.common);
    tsr_free(x);
    tsr_free(key);
    return status;
}

static const struct tsr_program program = {
    .name = "make-contributions",
    .purpose = "write the contributions of simulated contributors",
    .usage = "",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT | TSR_TAKES_SEED,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
