/* data.h - the three tasks of make-data: samples made by integer random numbers and by sums,
 * products and comparisons in a fixed order, so that every machine makes the same bytes.
 *
 * Values of glyphs and sensors are multiples of 1/64 between -16 and 16, hence exact in float16
 * as well. Sample i of a (task, split, seed, writer) does not depend on how many are made. */
#ifndef TSR_DATA_H
#define TSR_DATA_H

#include "tessera.h"

enum tsr_data_split { TSR_DATA_TRAIN, TSR_DATA_TEST, TSR_DATA_REF };

struct tsr_data_task {
    const char *name;
    int n_classes;
    int rank, shape[3]; /* of one sample */
    bool integral;      /* values are written as int64, otherwise as float */
    int n_writers;      /* style distributions to choose from; 0: the task has no such thing */
    /* Fills x (product of `shape` values) with a sample of class `label`. `writer` is 1 to n_writers, or 0
     * for a writer drawn at random. Tasks with n_classes 0 choose the label themselves; all return it. */
    int (*make)(struct tsr_rng *rng, int label, int writer, float *x);
};

extern const struct tsr_data_task tsr_data_tokens, tsr_data_glyphs, tsr_data_sensors;

/* NULL where there is none of that name. */
const struct tsr_data_task *tsr_data_find(const char *name);
size_t tsr_data_size(const struct tsr_data_task *task);

/* Makes sample `index`; returns its label. Every block of n_classes consecutive samples holds each class once. */
int tsr_data_make(const struct tsr_data_task *task, enum tsr_data_split split, uint64_t seed, int writer,
                  uint64_t index, float *x);

/* Uniform in [low, high). */
float tsr_data_uniform(struct tsr_rng *rng, float low, float high);
/* The nearest multiple of 1/64, limited to +-16. */
float tsr_data_round(float value);
/* Sine and cosine of |x| <= pi by polynomials, error below 1e-5: the C library's differ between machines. */
float tsr_data_sin(float x);
float tsr_data_cos(float x);

#endif
