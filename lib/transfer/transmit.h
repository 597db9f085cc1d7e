/* transmit.h - what a transmitter says of a reference set, as a token stream: the answers (and
 * activations) for every reference sample and for the views derived from it.
 *
 * Reference samples come block by block, so memory does not grow with their number. */
#ifndef TSR_TRANSFER_TRANSMIT_H
#define TSR_TRANSFER_TRANSMIT_H

#include "graph/graph.h"
#include "io/npy.h"
#include "io/samples.h"
#include "stream/rowset.h"
#include "stream/writer.h"
#include "train/views.h"

#define TSR_VIEWS_AUTO UINT32_MAX       /* about 16000 views in all: clip(16000 / refs, 8, 640) */
#define TSR_VIEWS_RICH (UINT32_MAX - 1) /* about 64000: clip(64000 / refs, 8, 640) */
#define TSR_MAX_LAYERS 64

struct tsr_transmit_options {
    const char *model_name;     /* for HEAD; NULL: none */
    const char *producer;       /* "tessera-extract 0.1.0" */
    const char *contributor, *round; /* for HEAD, where many streams will be merged; NULL: not told */
    int64_t time;               /* likewise, seconds since 1970; 0: not told */
    bool outputs;               /* OUTS records */
    enum tsr_row_kind kind;     /* what they are; TSR_KIND_NONE: logits, or values
                                   (TSR_KIND_REGRESSION) where there is one a sample, or where
                                   it has several dimensions: a row for each position;
                                   TSR_KIND_ARGMAX: only the winning class is told */
    const char *layer[TSR_MAX_LAYERS]; /* ACTS records: tensor names, or "" for the head's input */
    size_t n_layers;
    bool head_optional;         /* "" is left out, rather than a failure, where the model has no head */
    /* Without a graph another framework answered: row by row in the order of tsr_emit_block, its
     * outputs (or NULL) and, for each layer, its activations (for the references alone, unless
     * view_activations). Borrowed. */
    struct tsr_samples *foreign_outputs, *foreign_layer[TSR_MAX_LAYERS];
    int64_t classes;            /* of argmax answers of a foreign transmitter */
    bool raw;                   /* activations unpooled, in their own shape */
    bool view_activations;      /* ACTS for the views too */
    uint32_t views;             /* of each sample; TSR_VIEWS_AUTO or TSR_VIEWS_RICH: by their number */
    bool views_optional;        /* none, rather than a failure, where the inputs have no recipe */
    int64_t refs;               /* samples to come, where known; else 0 */
    bool with_inputs;           /* INPT records */
    enum tsr_dtype dtype;       /* of the rows: F32 F16 BF16 I8 I4 */
    uint64_t seed;              /* of the views */
    struct tsr_pool *pool;
    bool (*stop)(void);
    void (*progress)(void *arg, int64_t rows);
    void *progress_arg;
};

struct tsr_transmitter;

/* The graph (NULL: foreign) and the writer are borrowed. TSR_E_NOT_FOUND: a layer that is not
 * there. */
enum tsr_status tsr_transmitter_new(const struct tsr_graph *g, const struct tsr_transmit_options *options,
                                    struct tsr_stream_writer *w, struct tsr_transmitter **out,
                                    struct tsr_error *err) TSR_MUST_USE;
void tsr_transmitter_free(struct tsr_transmitter *t);

/* One block: x[i] is [m, ...] for the graph's input i, 1 <= m <= TSR_BLOCK_ROWS, each block but
 * the last with the same m. Views need a model with one input. whole: this first block is known
 * to be all there is, so HEAD can name the reference set's digest and size. */
enum tsr_status tsr_transmitter_block(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                      bool whole, struct tsr_error *err) TSR_MUST_USE;
/* What the outputs were taken for, after the first block; TSR_KIND_NONE where there are none. */
enum tsr_row_kind tsr_transmitter_kind(const struct tsr_transmitter *t);
/* Whether the outputs of a sample have several dimensions: an answer for each position of a sequence or an image. */
bool tsr_transmitter_answers_apart(const struct tsr_transmitter *t);
/* Whether a layer was left out for want of a head. */
bool tsr_transmitter_lacks_head(const struct tsr_transmitter *t);
/* Ends the segment. TSR_E_MISMATCH where no block came. */
enum tsr_status tsr_transmitter_finish(struct tsr_transmitter *t, struct tsr_error *err) TSR_MUST_USE;

/* Writes the block's samples and then their views, as another framework is to answer them: with
 * the recipe in *v, which the first block (v->count > 0, v->noise < 0) measures. */
enum tsr_status tsr_emit_block(struct tsr_views *v, const struct tsr_tensor *x, struct tsr_npy_writer *to,
                               struct tsr_error *err) TSR_MUST_USE;

/* The key of each of the m samples of x[0 .. n_inputs): BLAKE2b-128 over, for every input in
 * order, its type name, rank, dimensions (as little-endian u64) and element bytes. */
void tsr_sample_keys(const struct tsr_tensor *x, size_t n_inputs, struct tsr_key *key);

/* Samples of that many bytes (over all inputs) that a block should hold: as many as may be, unless they
 * are large. The views of a sample are made of its block, so whoever answers them cuts blocks alike. */
int64_t tsr_block_rows(size_t sample_bytes);

/* What `views` means for that many references: itself, or by their number. */
uint32_t tsr_views_count(uint32_t views, int64_t refs);

#endif
