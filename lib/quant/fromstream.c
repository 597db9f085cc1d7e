#include "quant/fromstream.h"

#include "base/mem.h"
#include "graph/adapt.h"
#include "quant/measure.h"
#include "stream/inputs.h"

#include <string.h>

struct block {
    struct tsr_tensor x[TSR_QUANT_INPUTS];
    size_t have;
    int64_t number;
};

static void clear(struct block *b)
{
    for (size_t k = 0; k < TSR_QUANT_INPUTS; k++) tsr_tensor_release(&b->x[k]);
    b->have = 0;
}

static int input_of(const struct tsr_graph *g, const char *name)
{
    if (g->n_input == 1) return 0; /* whatever the transmitter called it */
    for (size_t k = 0; k < g->n_input && k < TSR_QUANT_INPUTS; k++)
        if (strcmp(g->value[g->input[k]].name, name) == 0) return (int)k;
    return -1;
}

/* The samples of one input, as the model wants them: its type, its shape where only axes differ. */
static enum tsr_status take(const struct tsr_graph *g, struct tsr_stream *s, const struct tsr_inputs *in, struct block *b,
                            struct tsr_error *err)
{
    int k = input_of(g, in->name);
    if (k < 0) return tsr_fail(err, TSR_E_MISMATCH, "the stream has an input '%s', which the model has not", in->name);
    if (b->have > 0 && (in->block != b->number || b->x[k].dtype != TSR_NONE)) clear(b);
    b->number = in->block;
    struct tsr_tensor t;
    struct tsr_shape shape = {.rank = in->shape.rank + 1, .dim = {in->count}};
    memcpy(shape.dim + 1, in->shape.dim, (size_t)in->shape.rank * sizeof *shape.dim);
    TSR_TRY(tsr_tensor_new(&t, in->dtype, &shape, NULL, err));
    enum tsr_status status = tsr_inputs_load(s, in, t.data, err);
    if (status == TSR_OK) status = tsr_input_adapt(&t, &g->value[g->input[k]], err);
    if (status != TSR_OK) {
        tsr_tensor_release(&t);
        return status;
    }
    b->x[k] = t;
    b->have++;
    return TSR_OK;
}

static enum tsr_status read_all(struct tsr_quantiser *q, const struct tsr_graph *g, struct tsr_stream *s, struct block *b,
                                void (*progress)(void *arg, int64_t rows), void *arg, struct tsr_error *err)
{
    const struct tsr_record *rec;
    int64_t rows = 0;
    for (;;) {
        TSR_TRY(tsr_stream_next(s, &rec, err));
        if (rec == NULL) break;
        if (rec->type != TSR_INPT) continue;
        struct tsr_inputs in;
        TSR_TRY(tsr_inputs_parse(rec, &in, err));
        TSR_TRY(take(g, s, &in, b, err));
        if (b->have < g->n_input) continue;
        TSR_TRY(tsr_quantiser_block(q, b->x, g->n_input, err));
        rows += in.count;
        if (progress != NULL) progress(arg, rows);
        clear(b);
    }
    if (rows == 0)
        return tsr_fail(err, TSR_E_NOT_FOUND,
                        "the stream holds no inputs to calibrate with; extract it with --with-inputs, or give files with --refs");
    return TSR_OK;
}

enum tsr_status tsr_quantise_stream(struct tsr_quantiser *q, const struct tsr_graph *g, struct tsr_source *src,
                                    void (*progress)(void *arg, int64_t rows), void *arg, struct tsr_error *err)
{
    struct tsr_stream *s;
    struct block b = {.have = 0};
    TSR_TRY(tsr_stream_open(src, NULL, &s, err));
    enum tsr_status status = read_all(q, g, s, &b, progress, arg, err);
    clear(&b);
    tsr_stream_close(s);
    return status;
}
