/* contribution.h - what one contributor sent: a segment of a token stream, read to its end before any of
 * it counts, since its last row may be the one that spoils it. A contribution belongs to one thread. */
#ifndef TSR_MERGE_CONTRIBUTION_H
#define TSR_MERGE_CONTRIBUTION_H

#include "merge/space.h"
#include "stream/reader.h"

/* Why a contribution, or a row that is one, is left out. */
enum tsr_merge_fault {
    TSR_FAULT_NONE,
    TSR_FAULT_UNLISTED,  /* not on the list of those who may take part */
    TSR_FAULT_WEIGHT,    /* the operator gave it no weight */
    TSR_FAULT_DUPLICATE, /* the same contributor sent the same before */
    TSR_FAULT_REPLAY,    /* the same content counted in an earlier round */
    TSR_FAULT_ROUND,     /* it answers another round */
    TSR_FAULT_TIME,      /* it was given outside of the window, or does not say when */
    TSR_FAULT_NUMBERS,   /* NaN or an infinity */
    TSR_FAULT_ZERO,      /* a row without a direction */
    TSR_FAULT_RECORD,    /* a record is not as it must be */
    TSR_FAULT_MISMATCH,  /* other anchors, classes, samples or views than the rest */
    TSR_FAULT_OUTLIER,   /* it stands out too much, says the rule */
    TSR_FAULT_EMPTY      /* nothing in it that could be merged */
};
/* "unlisted", "weight" ... Static storage. */
const char *tsr_merge_fault_name(enum tsr_merge_fault fault);

/* How outputs of networks that know different classes are merged, see confidence.h. */
enum tsr_merge_confidence { TSR_CONFIDENCE_NONE, TSR_CONFIDENCE_STANDARD, TSR_CONFIDENCE_MAX, TSR_CONFIDENCE_ENERGY };
/* "none" "standardised-mean" "max-confidence" "energy", and back; -1: no such name. */
const char *tsr_confidence_name(enum tsr_merge_confidence confidence);
int tsr_confidence_of(const char *name);

/* Rows of one record, embedded; outputs that are merged by confidence begin with their logits until
 * tsr_confidence_apply. */
struct tsr_merge_rows {
    bool hub, views;
    size_t block; /* which of the contribution's blocks */
    int64_t view, n_views;
    size_t rows;
    float *x; /* [rows, width]; row v * count + i is view `view` + v of the block's sample i */
};

struct tsr_merge_keys {
    int64_t first;
    uint32_t count;
    struct tsr_key *key;
};

struct tsr_contribution {
    char *id;             /* the contributor: as HEAD names it, else by its model's or its stream's digest */
    struct tsr_key key;   /* a hash of that name */
    int64_t time;         /* 0: not told */
    char head[TSR_DIGEST_TEXT]; /* the leaf of HEAD, which names the stream */
    uint8_t root[TSR_SHA256_LEN]; /* hash of the root over all its records, once it is complete */
    struct tsr_merge_space space;
    struct tsr_merge_keys *block;
    size_t blocks, cap_block;
    struct tsr_merge_rows *rows;
    size_t n_rows, cap_rows;
    enum tsr_merge_fault fault; /* the first one */
    char why[sizeof((struct tsr_error *)0)->message]; /* a sentence about it */

    double scale;     /* of regression */
    const char *layer; /* whose hub tokens to take; NULL: the first that come */
    bool outputs, hub; /* what to take */
    enum tsr_merge_confidence confidence;
    /* the basis of its hub tokens */
    char *hub_layer;
    float *basis; /* transposed: [rank, anchors] */
    size_t rank;
    enum tsr_row_kind kind;
    struct tsr_stream_head io; /* HEAD while it is looked at */
};

/* Begins with a HEAD. Zero-initialise and set scale, layer, outputs, hub and confidence before; faults of content are
 * kept in c->fault, and what else fails (memory, reading) is returned. */
enum tsr_status tsr_contribution_head(struct tsr_contribution *c, const struct tsr_record *rec,
                                      struct tsr_error *err) TSR_MUST_USE;
/* Takes any other record of the segment; after a fault nothing more is looked at. */
enum tsr_status tsr_contribution_record(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                        struct tsr_error *err) TSR_MUST_USE;
/* The embedding of its outputs or hub tokens. */
struct tsr_embed tsr_contribution_embed(const struct tsr_contribution *c, bool hub);
/* Notes the first fault, with a sentence that may be NULL. */
void tsr_contribution_fault(struct tsr_contribution *c, enum tsr_merge_fault fault, const char *why);
/* Frees all but the settings: another one may begin. */
void tsr_contribution_clear(struct tsr_contribution *c);

#endif
