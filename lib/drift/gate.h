/* gate.h - demands on statistics, judged on confidence bounds. Thread-safe.
 *
 *     GATE = [layer:NAME.]STATISTIC >= NUMBER[%]   or <=
 *
 * With interval [low, high] a gate >= x passes where low >= x, fails where high < x, and is
 * inconclusive in between; <= likewise. All gates of a run on all its candidates share one error
 * probability 1 - confidence by Bonferroni's inequality: each of their m two-sided intervals has
 * confidence 1 - (1 - confidence) / m. */
#ifndef TSR_DRIFT_GATE_H
#define TSR_DRIFT_GATE_H

#include "drift/compare.h"
#include "drift/measure.h"

struct tsr_gate {
    char *text;  /* as it was written */
    char *layer; /* NULL: the outputs */
    const struct tsr_measure *measure;
    bool at_least; /* >= */
    double threshold;
};

enum tsr_verdict { TSR_PASS, TSR_FAIL, TSR_INCONCLUSIVE };

struct tsr_judgement {
    const struct tsr_gate *gate;
    size_t candidate;
    enum tsr_verdict verdict;
    struct tsr_estimate estimate; /* at the gate's own confidence */
    double needed; /* inconclusive: samples that would decide it if they were like those seen; 0: no number would */
};

/* *gate is to be released. TSR_E_USAGE says what a gate looks like, or which statistics there are. */
enum tsr_status tsr_gate_parse(const char *text, struct tsr_gate *gate, struct tsr_error *err) TSR_MUST_USE;
void tsr_gate_release(struct tsr_gate *gate);
/* It is about a statistic that labels are needed for. */
bool tsr_gate_wants_labels(const struct tsr_gate *gate);

/* One gate on one finished target, its interval having confidence 1 - alpha. */
enum tsr_verdict tsr_gate_judge(const struct tsr_gate *gate, const struct tsr_target *t, double alpha,
                                struct tsr_estimate *estimate);
/* out[n * d->n]: gate by gate, each for all candidates. 0 < confidence < 1. TSR_E_NOT_FOUND: a layer
 * that the two do not share (those that they share are named); TSR_E_MISMATCH: a statistic that
 * could not be measured. */
enum tsr_status tsr_gates_judge(const struct tsr_drift *d, const struct tsr_gate *gate, size_t n, double confidence,
                                struct tsr_judgement *out, struct tsr_error *err) TSR_MUST_USE;
/* All together: fail where one fails, else inconclusive where one is. */
enum tsr_verdict tsr_gates_verdict(const struct tsr_judgement *j, size_t n);
/* "pass", "fail", "inconclusive". Static storage. */
const char *tsr_verdict_name(enum tsr_verdict v);

#endif
