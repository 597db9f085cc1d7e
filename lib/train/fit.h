/* fit.h - the training loop: mini-batches in shuffled epochs, AdamW, warm-up and cosine to
 * zero, an exponential moving average of the weights, held-out evaluation. What is learnt from
 * (labels, tokens) is the caller's, through two callbacks. Deterministic in its seed. */
#ifndef TSR_TRAIN_FIT_H
#define TSR_TRAIN_FIT_H

#include "graph/session.h"
#include "train/params.h"

/* Something outside the graph that is learnt along (a projection, step sizes). */
struct tsr_fit_extra {
    float *w, *g; /* n elements; the loss callback writes the gradient */
    int64_t n;
    bool decay;
};

struct tsr_fit_problem {
    void *arg;
    uint32_t rows; /* training rows 0 .. rows-1 */
    uint32_t held; /* held-out rows: rows .. rows+held-1; 0: none */
    const int32_t *want; /* the values that the loss reads, at most 4 */
    size_t n_want;
    /* Gives the session its inputs for these rows. */
    enum tsr_status (*input)(void *arg, const uint32_t *row, int64_t n, struct tsr_session *s, struct tsr_error *err);
    /* Mean loss over the rows. value[i]: the wanted values. grad[i] (NULL when evaluating):
     * where to write its gradient; same shape, float32. A gradient that stays zero must be
     * written as zeros. */
    enum tsr_status (*loss)(void *arg, const uint32_t *row, int64_t n, const struct tsr_tensor *const *value,
                            struct tsr_tensor *grad, double *loss, struct tsr_error *err);
    struct tsr_fit_extra *extra;
    size_t n_extra;
};

struct tsr_fit_options {
    int64_t steps, batch;
    float lr;
    int64_t warmup;     /* steps of linear warm-up; default 20 */
    float weight_decay, clip;
    float ema;          /* decay of the moving average; 0: none */
    int64_t eval_every; /* steps between held-out evaluations; 0: at the end only */
    int64_t patience;   /* evaluations without improvement before stopping; 0: never */
    uint64_t seed;
    const unsigned char *mask; /* over ps->total elements: 0 stays zero; NULL: none */
    bool (*stop)(void); /* polled once a step; NULL: never */
    void (*progress)(void *arg, int64_t step, int64_t steps, double loss); /* may be NULL */
    void *progress_arg;
};

struct tsr_fit_result {
    int64_t steps;      /* done */
    double train_loss;  /* moving mean of the last steps */
    double held_loss;   /* of the weights left in the graph; NaN without held-out rows */
    double first_held;  /* before the first step, where asked for by eval_every > 0; else NaN */
};

/* 600 steps, batch 64, lr 2e-3, warm-up 20, decay .01, clip 1, ema .99. */
struct tsr_fit_options tsr_fit_defaults(void);

/* Trains the parameters ps of the session's graph (made with training = true). With held-out
 * rows the weights left in the graph are the best evaluated: of the last step, of the moving
 * average, or (eval_every > 0) of an earlier evaluation.
 * TSR_E_NUMERIC: the loss or a gradient stopped being finite; TSR_E_INTERRUPTED: stop(). */
enum tsr_status tsr_fit(struct tsr_session *s, struct tsr_params *ps, const struct tsr_fit_problem *problem,
                        const struct tsr_fit_options *options, struct tsr_fit_result *result,
                        struct tsr_error *err) TSR_MUST_USE;

/* The mean loss over the rows first .. first+n-1, in inference mode. */
enum tsr_status tsr_fit_evaluate(struct tsr_session *s, const struct tsr_fit_problem *problem, uint32_t first,
                                 uint32_t n, double *loss, struct tsr_error *err) TSR_MUST_USE;

#endif
