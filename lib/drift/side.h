/* side.h - one of the streams that are compared, read record by record into batches of rows that
 * know which samples they are of. A side belongs to one thread. */
#ifndef TSR_DRIFT_SIDE_H
#define TSR_DRIFT_SIDE_H

#include "io/samples.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "train/views.h"

/* The rows of one OUTS, ACTS or HUBT record (hub tokens as the vectors they stand for); counted, since several comparisons may wait for them. */
struct tsr_batch {
    char *layer;             /* NULL: outputs; "hub:LAYER" for hub tokens */
    char hub[TSR_DIGEST_TEXT]; /* the hub whose dimensions the columns are; "" for all but hub tokens */
    enum tsr_row_kind kind;  /* of outputs */
    enum tsr_dtype dtype;    /* as stored */
    size_t rows, cols;
    size_t count;            /* samples of the block: row v * count + i is of sample i ... */
    int64_t view;            /* ... and view `view` + v; 0: the samples themselves */
    float *x;                /* [rows, cols] */
    struct tsr_key *key;     /* [count] */
    int64_t *label;          /* [count], or NULL: no labels */
    struct tsr_key block;    /* digest of the block's keys */
    size_t bytes;            /* that it takes */
    size_t users;            /* it is freed when tsr_batch_drop has counted them down */
};
void tsr_batch_drop(struct tsr_batch *b);

struct tsr_side {
    const char *name;              /* for messages; the caller's */
    struct tsr_stream *stream;
    struct tsr_stream_head head;   /* of the first segment */
    bool begun, ended;
    struct tsr_block_keys keys;    /* of the current block; count 0: none */
    struct tsr_key block;
    int64_t samples, blocks, records; /* samples and blocks that KEYS announced; rows records in this block */
    struct tsr_json *recipe;       /* of the views; NULL: none */
    struct tsr_views views;
    struct tsr_samples *label_file; /* the caller's; NULL: none */
    int64_t *label;                 /* [TSR_BLOCK_ROWS] of the current block, where there is a file */
    bool want_views;
    struct tsr_side_part {         /* what each layer has told of the current block */
        char *layer;
        int64_t block;
        bool refs;
        int64_t views; /* up to this one */
    } *part;
    size_t n_parts, cap_part;
    struct tsr_side_base {         /* the segment's bases of hub tokens */
        char *layer;
        char hub[TSR_DIGEST_TEXT];
        size_t anchors, rank;
        float *basis; /* [anchors, rank] */
    } *base;
    size_t n_bases, cap_base;
};

/* Both sources are the caller's and must outlive the side. */
enum tsr_status tsr_side_open(struct tsr_side *s, struct tsr_source *source, const char *name,
                              struct tsr_samples *labels, bool views, struct tsr_error *err) TSR_MUST_USE;
void tsr_side_close(struct tsr_side *s);

/* Reads one record. *out: its rows with users == 1, or NULL where it has none that are wanted.
 * s->ended at the end. Beside what the reader says, TSR_E_CORRUPT for rows that do not fit their
 * block or come twice, TSR_E_MISMATCH for a segment of another model or with other labels than
 * there are samples. */
enum tsr_status tsr_side_step(struct tsr_side *s, struct tsr_batch **out, struct tsr_error *err) TSR_MUST_USE;

#endif
