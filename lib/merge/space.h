/* space.h - what a stream's rows are rows of: two streams can be merged where these agree. Thread-safe. */
#ifndef TSR_MERGE_SPACE_H
#define TSR_MERGE_SPACE_H

#include "base/hash.h"
#include "io/json.h"
#include "merge/embed.h"
#include "stream/head.h"

/* The hub's basis that contributions of hub coefficients have in common. */
struct tsr_merge_basis {
    char digest[TSR_DIGEST_TEXT]; /* "": none */
    size_t anchors, rank;
    float *x; /* [anchors, rank] */
};

/* Zero-initialised knows nothing and agrees with everything. Arrays and strings are owned. */
struct tsr_merge_space {
    bool known;               /* `contributors` is said */
    bool contributors;        /* every row is a contribution of its own, all of them to one vector */
    enum tsr_row_kind outputs; /* TSR_KIND_PROBABILITIES for all that tell classes; TSR_KIND_REGRESSION */
    size_t classes;           /* columns of the outputs */
    char hub[TSR_DIGEST_TEXT]; /* "": no hub tokens */
    int64_t dim;
    struct tsr_key *anchor;   /* in order; not where contributors are told */
    size_t anchors;
    size_t rank;              /* contributions of hub coefficients: their number */
    struct tsr_merge_basis basis;
    char *recipe;             /* of the views, canonical JSON; NULL: none */
    uint32_t views;
    char *round;              /* what the streams answer; NULL: not told */
    char *inputs;             /* type and shape of each, canonical JSON; NULL: not known */
};

void tsr_space_release(struct tsr_merge_space *s);

/* Takes over what `from` knows and `s` does not. TSR_E_MISMATCH names what they disagree about; `s` is
 * unchanged then. */
enum tsr_status tsr_space_join(struct tsr_merge_space *s, const struct tsr_merge_space *from,
                               struct tsr_error *err) TSR_MUST_USE;

/* The embeddings of its kinds of rows; `scale` is that of regression, `confidence` an enum
 * tsr_merge_confidence. */
struct tsr_embed tsr_space_outputs(const struct tsr_merge_space *s, double scale, int confidence);
struct tsr_embed tsr_space_hub(const struct tsr_merge_space *s);

/* The inputs as HEAD tells them, without their names. */
enum tsr_status tsr_space_set_inputs(struct tsr_merge_space *s, const struct tsr_stream_head *h,
                                     struct tsr_error *err) TSR_MUST_USE;
/* Back into a HEAD, named "input", "input2" ... */
enum tsr_status tsr_space_get_inputs(const struct tsr_merge_space *s, struct tsr_stream_head *h,
                                     struct tsr_error *err) TSR_MUST_USE;

/* As fields of a JSON object and back; anchors and basis, which are arrays, are left out. */
enum tsr_status tsr_space_to_json(const struct tsr_merge_space *s, struct tsr_json *to, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_space_from_json(struct tsr_merge_space *s, const struct tsr_json *from,
                                    struct tsr_error *err) TSR_MUST_USE;

#endif
