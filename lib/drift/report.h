/* report.h - what was found, for people and for machines. Thread-safe. */
#ifndef TSR_DRIFT_REPORT_H
#define TSR_DRIFT_REPORT_H

#include "drift/gate.h"
#include "drift/page.h"

struct tsr_report {
    const struct tsr_drift *drift;
    double confidence; /* of the intervals beside the statistics; those of gates are wider, see gate.h */
    bool views;        /* rows of views were compared too */
    const struct tsr_judgement *judgement; /* [judgements] */
    size_t judgements;
};

enum tsr_report_format {
    TSR_REPORT_TEXT,
    TSR_REPORT_JSON,  /* one object, "schema":"tessera-drift.report/1" */
    TSR_REPORT_JUNIT, /* JUnit's XML: a test suite for each candidate, a test for each gate; inconclusive is an error */
    TSR_REPORT_TAP,   /* Test Anything Protocol 13: a point for each gate and candidate; inconclusive is not ok */
    TSR_REPORT_HTML   /* a page that needs nothing else: no script, no network */
};

/* Appends the report. */
enum tsr_status tsr_report_write(const struct tsr_report *r, enum tsr_report_format format, struct tsr_buf *to,
                                 struct tsr_error *err) TSR_MUST_USE;

/* Bits a number: told by the candidate's name (int8, fp16, q4, w4a8: the first), else by what its
 * rows are stored as; 0: not known. */
int tsr_report_bits(const struct tsr_drift_stream *s);

/* ---- between the files of the reports ---- */

#define TSR_VALUE_TEXT 64
/* "97.25 %", "31.20", "inf": a value as its unit is read. Returns buf. */
const char *tsr_report_value(enum tsr_measure_unit unit, double value, char buf[TSR_VALUE_TEXT]);
/* "nats", "dB" or "" (shares bring their own sign). */
const char *tsr_report_unit(enum tsr_measure_unit unit);
/* "0.985 in [0.973, 0.993]; about 1200 samples would decide it": a judgement's ground. */
void tsr_report_ground(struct tsr_page *p, const struct tsr_judgement *j);
/* "layer NAME", or "outputs". */
struct tsr_report_target {
    const char *layer; /* NULL: outputs */
    const struct tsr_target *target;
};
/* The i-th that this candidate and the reference share, outputs first; target NULL after the last. */
struct tsr_report_target tsr_report_target(const struct tsr_drift *d, size_t candidate, size_t i);
/* One statistic at the report's confidence; measured false where the target has none of that name. */
struct tsr_estimate tsr_report_estimate(const struct tsr_report *r, const struct tsr_target *t, const char *name);

void tsr_report_text(const struct tsr_report *r, struct tsr_page *p);
void tsr_report_tap(const struct tsr_report *r, struct tsr_page *p);
void tsr_report_junit(const struct tsr_report *r, struct tsr_page *p);
void tsr_report_html(const struct tsr_report *r, struct tsr_page *p);
enum tsr_status tsr_report_json(const struct tsr_report *r, struct tsr_buf *to, struct tsr_error *err) TSR_MUST_USE;

#endif
