/* transmit_impl.h - what the files of a transmitter share. Private to transfer/transmit*. */
#ifndef TSR_TRANSFER_TRANSMIT_IMPL_H
#define TSR_TRANSFER_TRANSMIT_IMPL_H

#include "graph/session.h"
#include "hub/activations.h"
#include "transfer/transmit.h"

struct tsr_transmit_layer {
    const char *name;
    int32_t id;                /* of the graph's value; -1: foreign */
    struct tsr_samples *file;  /* foreign answers */
    int64_t width;             /* of a row; 0 until the first forward pass */
    struct tsr_shape shape;    /* of one sample, where rows are raw */
    struct tsr_shape alone;    /* of the value for one sample; rank -1: not known */
    struct tsr_activation_axes axes;
    float *row;                /* those of a group of views, or of a block */
    size_t room;
};

struct tsr_transmitter {
    const struct tsr_graph *g; /* NULL: foreign */
    struct tsr_graph *fused;   /* what runs */
    struct tsr_transmit_options opt;
    struct tsr_stream_writer *w;
    struct tsr_session *session;
    struct tsr_transmit_layer layer[TSR_MAX_LAYERS], out; /* out: the model's outputs */
    size_t n_layers;
    enum tsr_row_kind kind;
    bool headless;             /* a layer was left out */
    bool make, check;          /* the outputs: logits to be made probabilities, or to be seen whether they are */
    int32_t want[TSR_MAX_LAYERS + 1];
    size_t n_want;
    struct tsr_views views;
    bool began;
    int64_t batch;             /* samples that run at once; 0: not chosen yet */
    int64_t block, first, rows_done;
    struct tsr_key *key;
};

/* Runs one sample to see how many may run at once, and which axis of a value they take. Errors as tsr_session_run. */
enum tsr_status tsr_transmit_choose_batch(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                          struct tsr_error *err) TSR_MUST_USE;
/* Answers and activations for the samples x of a block, and for the views v0 .. v0 + n_views - 1 of them, into the rows
 * of the layers. Errors as tsr_session_run, TSR_E_MISMATCH where foreign answers have too few rows, TSR_E_INTERRUPTED. */
enum tsr_status tsr_transmit_refs(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                  struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_transmit_views(struct tsr_transmitter *t, const struct tsr_tensor *x, uint32_t v0, uint32_t n_views,
                                   struct tsr_error *err) TSR_MUST_USE;
/* A foreign answer must have been read to its end: TSR_E_MISMATCH. */
enum tsr_status tsr_transmit_ended(const struct tsr_transmit_layer *l, struct tsr_error *err) TSR_MUST_USE;

#endif
