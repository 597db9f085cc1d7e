/* merge.h - one aggregate from the token streams of many.
 *
 *     tsr_merge_new(&options, &m, err)
 *     tsr_merge_from(m, source, err)            perhaps: the aggregate of the round before
 *     do
 *         for every input: tsr_merge_take(m, source, err)
 *     while (!tsr_merge_last(m) && tsr_merge_step(m, err) == TSR_OK)     rules of several steps
 *     tsr_merge_finish(m, writer, &report, err)  or  tsr_merge_partial(m, writer, err)
 *
 * An input is a token stream of any number of segments, each a contributor's answers, the contributions of
 * many contributors, or a partial aggregate. Everything that is added up are integers, so the outcome has
 * the same bytes for any order of the inputs and any tree of partial aggregates. Memory grows with the
 * rows to be merged, not with the contributors; each takes 32 bytes, or none where rows are contributions
 * with ascending keys. A merge belongs to one thread. */
#ifndef TSR_MERGE_MERGE_H
#define TSR_MERGE_MERGE_H

#include "io/source.h"
#include "merge/contribution.h"
#include "merge/roster.h"
#include "merge/rule.h"
#include "stream/writer.h"

struct tsr_merge;

/* What was decided about a contribution; for rows that are contributions, about each that is left out. */
struct tsr_merge_decision {
    const char *contributor; /* its name; of a row the key in hexadecimal */
    const char *source;      /* the input it stood in */
    const char *stream;      /* the digest of its HEAD; of a row that of the segment it is in */
    enum tsr_merge_fault fault; /* TSR_FAULT_NONE: it counts */
    const char *why;         /* a sentence, or "" */
    int64_t weight, time;
    uint64_t rows;
    bool centred;            /* quality was measured */
    double quality;          /* mean cosine of its rows to the centre */
    double novelty;          /* mean over its samples of 1 / their answers; -1: not known */
};

struct tsr_merge_options {
    struct tsr_merge_rule_options rule;
    double scale;           /* of regression outputs: numbers of this size are told apart best */
    bool outputs, hub;      /* what is merged */
    enum tsr_merge_confidence confidence; /* outputs of classes are merged by it instead of the rule */
    const char *layer;      /* whose hub tokens; NULL: each stream's first */
    const char *producer;
    /* who may take part */
    const char *round;      /* NULL: any */
    int64_t since, until;   /* seconds since 1970; 0: open */
    const struct tsr_roster *allow;   /* NULL: everybody */
    const struct tsr_roster *weights; /* NULL: 1; who is not listed has 1, or what `allow` says */
    const struct tsr_roster *seen;    /* streams that counted before, by their HEAD's digest; NULL: none */
    /* what the outcome needs */
    int64_t min_contributors, min_answers; /* at least 1 */
    double max_share;       /* of the weight that one contributor may have; 1: any */
    int64_t shards;         /* how many inputs that are no partial aggregates, or leaves of partial ones, make
                               up the whole; 0: any number */
    bool adopt;             /* partial aggregates bring the rule and policy along */
    bool single;            /* one step will be taken, be it the rule's last or not */
    bool novelty;           /* decisions are told at the end, with their novelty: a bit a sample and contributor */
    void (*decided)(void *arg, const struct tsr_merge_decision *d); /* in the last step; may be NULL */
    void *arg;
    bool (*stop)(void);     /* may be NULL */
};

struct tsr_merge_report {
    uint64_t contributors, rejected; /* rejected by this process */
    int64_t weight;
    int steps;
    uint64_t samples, views;     /* written */
    uint64_t left_out;           /* samples with too few answers */
    bool hub;                    /* hub tokens were written */
    char inputs[TSR_DIGEST_TEXT]; /* the digest of what counted */
    char centre[TSR_DIGEST_TEXT]; /* of the centre that was clipped around, "" where none */
};

struct tsr_merge_options tsr_merge_defaults(void);

/* The options and what they point to must outlive the merge. */
enum tsr_status tsr_merge_new(const struct tsr_merge_options *o, struct tsr_merge **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_merge_free(struct tsr_merge *m); /* NULL allowed */

/* Before any input: the aggregate of an earlier round, whose rows are the centre, or the state that an
 * earlier step left. It also says what the inputs must be; who is unlike it is left out instead of ending
 * the work. */
enum tsr_status tsr_merge_from(struct tsr_merge *m, struct tsr_source *from, struct tsr_error *err) TSR_MUST_USE;
/* Takes all segments of an input. TSR_E_MISMATCH where streams do not belong together; TSR_E_LIMIT where
 * one contributor sent two different streams, or counts in two partial aggregates. */
enum tsr_status tsr_merge_take(struct tsr_merge *m, struct tsr_source *from, struct tsr_error *err) TSR_MUST_USE;

/* Is the step that is being taken the rule's last? Known once there was any input. */
bool tsr_merge_last(const struct tsr_merge *m);
/* Whether anything but partial aggregates was taken: only that can be taken again. */
bool tsr_merge_answers(const struct tsr_merge *m);
/* Ends a step that is not the last: the same inputs are then to be taken again. TSR_E_LIMIT where partial aggregates
 * were taken and policy demands more of them or of the contributors in them. */
enum tsr_status tsr_merge_step(struct tsr_merge *m, struct tsr_error *err) TSR_MUST_USE;

/* The counts of what was taken in this step. */
void tsr_merge_counts(const struct tsr_merge *m, struct tsr_merge_report *report);
/* Writes the aggregate. TSR_E_LIMIT where policy forbids it. */
enum tsr_status tsr_merge_finish(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_merge_report *report,
                                 struct tsr_error *err) TSR_MUST_USE;
/* Writes the sums as they are: a partial aggregate. */
enum tsr_status tsr_merge_partial(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_error *err) TSR_MUST_USE;
/* Writes what the next step needs: after tsr_merge_step. */
enum tsr_status tsr_merge_state(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_error *err) TSR_MUST_USE;

#endif
