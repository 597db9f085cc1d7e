/* measure.h - the statistics by name: what gates ask for, reports print and tests compare. */
#ifndef TSR_DRIFT_MEASURE_H
#define TSR_DRIFT_MEASURE_H

#include "drift/target.h"

enum tsr_measure_unit { TSR_UNIT_NUMBER, TSR_UNIT_NATS, TSR_UNIT_SHARE, TSR_UNIT_DECIBEL };

/* How a statistic comes about, and so what its interval is. */
enum tsr_measure_form {
    TSR_FORM_MEAN,     /* ratio.h */
    TSR_FORM_RATE,     /* Clopper and Pearson */
    TSR_FORM_DROP,     /* difference of two rates of the same rows: from the intervals of both, each at alpha / 2 */
    TSR_FORM_QUANTILE, /* order statistics */
    TSR_FORM_EXTREME,  /* of the rows that were seen: a fact about them, its own interval */
    TSR_FORM_ALIGNED,  /* mean or jackknife over the sketch's rows, Student's t */
    TSR_FORM_PLAIN     /* no interval is known: it cannot be gated */
};

struct tsr_measure {
    const char *name;  /* "kl.p99" */
    const char *label; /* "KL 99 %" */
    enum tsr_measure_unit unit;
    enum tsr_measure_form form;
    bool layers;       /* of layers too, not of outputs alone */
    int channel;       /* MEAN, RATE */
    double p;          /* QUANTILE: which; EXTREME: 0 or 1 */
};

/* All of them, in the order of reports; *n of them. Static storage. */
const struct tsr_measure *tsr_measures(size_t *n);
/* By name, of outputs or of layers; NULL where there is none. */
const struct tsr_measure *tsr_measure_find(const char *name, bool layer);

/* Does it need labels? */
bool tsr_measure_wants_labels(const struct tsr_measure *m);

struct tsr_estimate {
    bool measured;
    const char *why; /* not measured: a clause that says why; static storage */
    bool few;        /* not measured for want of samples alone */
    double value;    /* may be infinite (SQNR of equal rows) */
    double error;    /* standard error; NaN where none is known */
    bool bounded;    /* low and high hold with confidence 1 - alpha */
    double low, high;
    double samples;  /* independent ones that it rests on */
};

/* t was finished. `scale`: as if that many times as many samples like these had come (1: as it is). */
struct tsr_estimate tsr_measure_estimate(const struct tsr_target *t, const struct tsr_measure *m, double alpha,
                                         double scale);

#endif
