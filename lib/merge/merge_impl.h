/* merge_impl.h - between the files of merging. */
#ifndef TSR_MERGE_MERGE_IMPL_H
#define TSR_MERGE_MERGE_IMPL_H

#include "merge/batch.h"
#include "merge/merge.h"
#include "merge/plane.h"
#include "merge/roll.h"
#include "merge/spectral.h"
#include "merge/table.h"

enum { PLANE_OUT, PLANE_OUT_VIEWS, PLANE_HUB, PLANE_HUB_VIEWS, PLANES };

/* A decision that is told at the end. */
struct tsr_merge_told {
    struct tsr_merge_decision d; /* its strings are owned */
    uint8_t *sample; /* a bit for each sample that the contributor answered; NULL: none */
    size_t samples;
};

struct tsr_merge {
    struct tsr_merge_options opt; /* its rule may be that of partial aggregates */
    struct tsr_json *policy;      /* what partial aggregates must agree on */
    int step;                     /* number of the step that is being taken */
    bool centred;                 /* began with a centre: fewer steps are needed */
    bool lenient;                 /* who is unlike `space` is left out */
    bool begun;                   /* any input was taken */
    bool answers;                 /* any of it was no partial aggregate */
    bool loading;                 /* rows become centres instead of being added */
    char state[TSR_DIGEST_TEXT];  /* of what this step began with: centres, edges, radii; "" for nothing */
    struct tsr_merge_part *part;  /* the partial aggregate that is being read */
    struct tsr_merge_space space;
    struct tsr_merge_table table;
    struct tsr_merge_plane plane[PLANES]; /* with embed.width 0 until its rows come */
    struct tsr_roll roll;
    int64_t shards;
    uint64_t rejected;
    struct tsr_spectral spectral;
    struct tsr_merge_batch batch;
    int32_t *profile;             /* of the contribution that is being added */
    double *numbers;
    struct tsr_contribution c;    /* the segment that is being read */
    struct tsr_merge_told *told;
    size_t n_told, cap_told;
    const uint32_t *answered;     /* samples of the contribution that is being told of */
    size_t n_answered;
    enum tsr_status failed;       /* of telling */
    /* contributions that are rows */
    struct tsr_buf body;
    float *row;                   /* one, decoded */
    uint64_t segment_rows;        /* counted of this segment */
    int64_t segment_weight;
    double segment_cosines;
};

/* policy.c */
enum tsr_status tsr_merge_policy(const struct tsr_merge *m, struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;
/* Takes rule and policy from a partial aggregate; what is not the rule's must be as the options say. */
enum tsr_status tsr_merge_adopt(struct tsr_merge *m, const struct tsr_json *policy, struct tsr_error *err) TSR_MUST_USE;
/* Whether policy lets the contribution in, and with which weight. */
enum tsr_merge_fault tsr_merge_judge(const struct tsr_merge *m, const struct tsr_contribution *c, int64_t *weight);
enum tsr_merge_fault tsr_merge_judge_key(const struct tsr_merge *m, const struct tsr_key *key, int64_t *weight);

/* merge.c */
/* The plane's embedding and cells, once the space is known. */
enum tsr_status tsr_merge_open_plane(struct tsr_merge *m, int plane, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_merge_grow(struct tsr_merge *m, struct tsr_error *err) TSR_MUST_USE;

/* count.c */
/* Counts the contribution in m->c, or makes its rows the centres where m->loading. */
enum tsr_status tsr_merge_count(struct tsr_merge *m, const char *source, int64_t weight, struct tsr_error *err) TSR_MUST_USE;
/* Adds rows of one contributor to what the step gathers; *fault where the rule leaves it out. */
enum tsr_status tsr_merge_add_rows(struct tsr_merge *m, const struct tsr_key *key, const struct tsr_merge_row *row, size_t n,
                                   int64_t weight, enum tsr_merge_fault *fault, double *cosines, struct tsr_error *err) TSR_MUST_USE;

/* tell.c */
/* Tells what was decided about a contributor, or holds it back until the end. */
void tsr_merge_say(struct tsr_merge *m, const char *contributor, const char *source, enum tsr_merge_fault fault,
                   const char *why, int64_t weight, uint64_t rows, double cosines);
/* Tells all decisions that were held back, and forgets them. */
enum tsr_status tsr_merge_tell(struct tsr_merge *m, struct tsr_error *err) TSR_MUST_USE;
void tsr_merge_forget(struct tsr_merge *m);

/* crowd.c: a record of rows that are contributions */
enum tsr_status tsr_merge_crowd_rows(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                     struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_merge_crowd_end(struct tsr_merge *m, const struct tsr_record *rec, struct tsr_error *err) TSR_MUST_USE;

/* layout.c */
/* The cells of every plane in the order of writing; release with tsr_merge_layout_release. */
struct tsr_merge_layout {
    uint32_t *sample, *block;  /* of the table, in order */
    uint32_t *sample_rank;     /* the place of each sample in that order */
    size_t *view;              /* [view_cells] */
};
enum tsr_status tsr_merge_layout(const struct tsr_merge *m, struct tsr_merge_layout *l, struct tsr_error *err) TSR_MUST_USE;
void tsr_merge_layout_release(struct tsr_merge_layout *l);
/* Cell number i of a plane in that order. */
size_t tsr_merge_cell(const struct tsr_merge *m, const struct tsr_merge_layout *l, int plane, size_t i);
/* Sets m->state. */
enum tsr_status tsr_merge_digest_state(struct tsr_merge *m, struct tsr_error *err) TSR_MUST_USE;

/* finish.c: what policy demands of all contributions and shards of a step, asked wherever a step ends (TSR_E_LIMIT). */
enum tsr_status tsr_merge_permitted(const struct tsr_merge *m, struct tsr_error *err) TSR_MUST_USE;

/* part_read.c: a record of sums (PART) or of a state (AGGR) */
enum tsr_status tsr_merge_part_record(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                      struct tsr_error *err) TSR_MUST_USE;
void tsr_merge_part_free(struct tsr_merge_part *part); /* NULL allowed */

#endif
