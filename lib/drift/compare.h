/* compare.h - candidate streams against a reference stream, in one pass over each.
 *
 * Rows are joined by sample key. Streams that hold their samples in the same order, as all do that
 * were made from the same reference file, are read in step, so that no more than a block of rows
 * waits for its counterpart; others make rows wait in memory, up to a limit. */
#ifndef TSR_DRIFT_COMPARE_H
#define TSR_DRIFT_COMPARE_H

#include "drift/side.h"
#include "drift/target.h"

#define TSR_DRIFT_CANDIDATES 64

struct tsr_drift_options {
    bool views;                  /* rows of views too */
    bool common;                 /* compare what both have, where one lacks rows of the other */
    size_t top_k;
    size_t memory;               /* bytes of rows that may wait */
    struct tsr_samples *labels;  /* of the reference's samples in their order; NULL: none */
    const char *const *pair;     /* "REFERENCE=CANDIDATE", each once: layers of different names. TSR_E_NOT_FOUND
                                    where the reference lacks the one or all candidates the other */
    size_t n_pairs;
    bool (*stop)(void);          /* NULL: never */
};

struct tsr_drift_input {
    struct tsr_source *source;
    const char *name;   /* how reports call it */
};

/* A stream's own facts. Strings are owned. */
struct tsr_drift_stream {
    char *name, *model, *producer;
    char digest[TSR_DIGEST_TEXT]; /* of the model */
    int64_t samples;
    enum tsr_dtype dtype;         /* that its outputs (or else layers) are stored as */
    int64_t views;                /* of each sample, where they were read */
};

struct tsr_drift {
    struct tsr_drift_stream ref;
    char **layer;  /* names in the reference, in its order; of a pair "REFERENCE=CANDIDATE" where the
                       reference's layer is compared with another one, too */
    size_t n_layers, cap_layer;
    struct tsr_drift_candidate {
        struct tsr_drift_stream stream;
        struct tsr_target *outputs; /* NULL: one of the two has none */
        struct tsr_target **layers; /* [n_layers]; NULL where only one of the two has it */
        size_t missing[2];          /* rows that only the reference, only the candidate has */
    } *candidate;
    size_t n;
};

/* Reads everything. The targets of *out are finished. TSR_E_MISMATCH: the streams do not belong
 * together (another reference set, other classes, nothing that both hold, rows missing without
 * `common`); TSR_E_LIMIT: too many rows wait; TSR_E_INTERRUPTED; TSR_E_USAGE for options. */
enum tsr_status tsr_drift_compare(const struct tsr_drift_input *ref, const struct tsr_drift_input *candidate, size_t n,
                                  const struct tsr_drift_options *options, struct tsr_drift **out,
                                  struct tsr_error *err) TSR_MUST_USE;
void tsr_drift_free(struct tsr_drift *d); /* NULL allowed */

#endif
