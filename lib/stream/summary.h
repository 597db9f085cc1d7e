/* summary.h - what is in one segment of a stream: for people, reports and tests. Memory grows with
 * the number of different layers, not of records. A summary belongs to one thread. */
#ifndef TSR_STREAM_SUMMARY_H
#define TSR_STREAM_SUMMARY_H

#include "stream/head.h"
#include "stream/rows.h"

/* Records of one type that are about the same thing: a layer or input, a set, an encoding. */
struct tsr_stream_group {
    uint32_t type;
    char *name;  /* layer or model input; NULL for none */
    bool views;  /* rows of views rather than of the references */
    bool matrix; /* set, row and n_views mean something */
    struct tsr_rowset set; /* set.rows: of all records together */
    struct tsr_shape row;  /* shape of one row */
    int64_t n_views;       /* highest view number */
    char hub[TSR_DIGEST_TEXT]; /* BASE: the hub's identity */
    int64_t dim;
    double lambda;
    uint64_t records, plain, stored; /* stored: headers and JSON too */
};

struct tsr_stream_summary {
    struct tsr_stream_head head;
    bool ended; /* its ENDS record was seen */
    int minor;  /* of the format; -1 where not seen */
    uint64_t segment;
    uint64_t records, plain, stored;
    int64_t blocks, samples;
    struct tsr_json *view; /* the recipe of views, or NULL */
    char root[TSR_DIGEST_TEXT];
    struct tsr_stream_group *group;
    size_t n_group, cap_group;
};

/* Takes the current record; a HEAD in an empty (zero) summary, others after it. Bodies are not
 * looked at. TSR_E_CORRUPT where fields are missing, TSR_E_LIMIT for over 4096 groups. */
enum tsr_status tsr_stream_summary_add(struct tsr_stream_summary *s, const struct tsr_stream *stream,
                                       const struct tsr_record *rec, struct tsr_error *err) TSR_MUST_USE;
/* As a JSON object with "schema":"tessera-inspect.segment/1". */
enum tsr_status tsr_stream_summary_json(const struct tsr_stream_summary *s, struct tsr_json **out,
                                        struct tsr_error *err) TSR_MUST_USE;
void tsr_stream_summary_release(struct tsr_stream_summary *s);

#endif
