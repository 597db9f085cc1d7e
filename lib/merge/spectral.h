/* spectral.h - the filter that finds colluders: contributions that pull together make directions in which the
 * second moment around the centre is large, and those that stand out along these are left out. With the
 * eigenvalues l1 >= l2 >= ... and the projections p on the eigenvectors, a contribution's score is the sum of
 * l_j / l1 p_j^2, so that several groups are seen at once (as quantum entropy scores do: Dong, Hopkins, Li
 * 2019). The highest scores are left out, as many as hostile ones are assumed, but none within 1.5 times the
 * median: where nobody is hostile, hardly anybody is left out.
 *
 * A contribution is summed up in a profile: where it is one row, its difference to the centre; else the
 * differences of all its rows, folded into TSR_PROFILE numbers by signs and places that hashes of sample
 * keys choose (a count sketch, Charikar, Chen, Farach-Colton 2002), over the root of their number. Profiles
 * are integers, so the sums are exact. Thread-safe but for the struct. */
#ifndef TSR_MERGE_SPECTRAL_H
#define TSR_MERGE_SPECTRAL_H

#include "merge/plane.h"

#define TSR_PROFILE 512       /* numbers of a folded profile */
#define TSR_PROFILE_MOST 2048 /* longer rows are folded, too */
#define TSR_PROFILE_ONE 2048  /* what 1.0 is in a profile */
#define TSR_SPECTRAL_AXES 8

struct tsr_spectral {
    size_t k;           /* numbers of a profile */
    /* TSR_STEP_SCATTER */
    int64_t *sum;       /* [k] */
    int64_t *scatter;   /* [k, k] of products */
    int64_t weight;
    int32_t *held;      /* [64, k] profiles not yet in `scatter` */
    size_t n_held;
    /* then */
    float *axis;        /* [k, TSR_SPECTRAL_AXES] eigenvectors, times the root of l_j / l1 */
    uint64_t far[TSR_MERGE_FAR_BINS]; /* TSR_STEP_PROJECT: weights by root of the score */
    double most;        /* the root from which contributions do not count */
};

void tsr_spectral_release(struct tsr_spectral *s);
/* Memory for profiles of k numbers. */
enum tsr_status tsr_spectral_init(struct tsr_spectral *s, size_t k, struct tsr_error *err) TSR_MUST_USE;

/* How long the profile of rows like these is. */
size_t tsr_profile_length(bool contributors, size_t width);
/* Adds a row's difference to its centre to a profile that is being made, x being scaled by `inverse` to length
 * 1; `id` names the row, 0 where it is the only one: then it is not folded unless it is too long. */
void tsr_profile_add(double *profile, size_t k, const float *x, double inverse, const float *centre, size_t width, uint64_t id);
/* Ends it: of `rows` rows, in whole numbers, its length at most 2. */
void tsr_profile_end(const double *profile, size_t k, uint64_t rows, int32_t *out);

enum tsr_status tsr_spectral_scatter(struct tsr_spectral *s, const int32_t *profile, int64_t w, struct tsr_error *err) TSR_MUST_USE;
/* Puts what is held back into the sums. */
void tsr_spectral_settle(struct tsr_spectral *s);
/* The axes of what was scattered. TSR_E_NUMERIC where nothing was. */
enum tsr_status tsr_spectral_axes(struct tsr_spectral *s, struct tsr_error *err) TSR_MUST_USE;
/* The root of a profile's score. */
double tsr_spectral_distance(const struct tsr_spectral *s, const int32_t *profile);
void tsr_spectral_project(struct tsr_spectral *s, const int32_t *profile, int64_t w);
/* Finds `most`, when the share `assume` of the weight may be hostile. */
void tsr_spectral_limit(struct tsr_spectral *s, double assume);

#endif
