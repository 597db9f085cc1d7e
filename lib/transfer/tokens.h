/* tokens.h - a token stream in memory, as the receiver needs it. */
#ifndef TSR_TRANSFER_TOKENS_H
#define TSR_TRANSFER_TOKENS_H

#include "hub/hub.h"
#include "io/source.h"
#include "stream/rowset.h"
#include "tensor/tensor.h"
#include "train/views.h"

/* Rows are numbered: reference sample i is row i; view v of the k-th sample of the block that
 * starts at sample `first` and has `count` samples is row refs + first * views.count +
 * (v - 1) * count + k. */
struct tsr_token_block {
    uint32_t first, count;
};

struct tsr_tokens {
    uint32_t refs;
    struct tsr_key *key; /* [refs] */
    struct tsr_token_block *block;
    size_t n_block;
    struct tsr_views views; /* count 0: none */
    size_t rows;            /* refs * (1 + views.count) */

    enum tsr_row_kind kind;
    int64_t classes;
    float *out;           /* [rows, classes]; argmax: one-hot. NULL: none (mode A only) */

    int64_t rank;         /* hub coefficients of a row; 0: none (mode B only) */
    int64_t anchors;      /* the first anchors samples span the hub */
    float *hub;           /* [hub_rows, rank] */
    size_t hub_rows;      /* refs, or rows where the views carry coefficients too */
    float *basis;         /* [anchors, rank] */
    uint8_t hub_id[TSR_SHA256_LEN];

    /* What the transmitter was given: keys and views are of samples of this type and shape. TSR_NONE
     * where the stream does not say. */
    enum tsr_dtype input_dtype;
    struct tsr_shape input_shape; /* of one sample */
    size_t n_inputs;
    struct tsr_tensor inputs; /* [refs, ...] where the stream carries them and there is one input, else zero */
};

/* Reads one stream. layer: whose hub tokens to take, NULL for the first that comes. Answers and
 * tokens must be complete and in order. TSR_E_CORRUPT, TSR_E_UNSUPPORTED (several streams in
 * one input), TSR_E_MISMATCH (no samples),
 * TSR_E_NOT_FOUND (the layer named), and what the reader says. */
enum tsr_status tsr_tokens_load(struct tsr_source *source, const char *layer, struct tsr_tokens *t,
                                struct tsr_error *err) TSR_MUST_USE;
void tsr_tokens_release(struct tsr_tokens *t);

/* What row r is: its reference sample, its view (0: the sample itself), and its block. */
struct tsr_token_row {
    uint32_t ref, view;
    const struct tsr_token_block *block;
};
struct tsr_token_row tsr_tokens_row(const struct tsr_tokens *t, size_t r);

#endif
