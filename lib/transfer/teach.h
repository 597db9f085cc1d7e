/* teach.h - teaches a receiver from tokens, without labels:
 *
 *     L = KL(softmax(z_tx / T) || softmax(z_rx / T)) T^2 + w_h || P f(x) - c_tx(x) ||^2
 *
 * z: outputs (mode B), c: hub coefficients (mode A), f: the input of the receiver's last linear
 * layer, P: a linear map learnt along. The learning rate is the one of a short list with the
 * lowest held-out loss after a short run; labels are never seen.
 */
#ifndef TSR_TRANSFER_TEACH_H
#define TSR_TRANSFER_TEACH_H

#include "graph/head.h"
#include "train/rate.h"
#include "train/reach.h"
#include "transfer/tokens.h"

struct tsr_teach_options {
    bool outputs;        /* mode B: learn the outputs */
    bool hub;            /* mode A: learn the hub coefficients */
    float hub_weight;    /* w_h */
    float temperature;   /* T */
    int64_t steps, batch;
    struct tsr_rate_choice rate; /* the candidates, and the length of a trial */
    int64_t looks;       /* how often the held-out loss is taken; the best weights are kept */
    float ema;
    float retain;        /* weight of the receiver's own first outputs, 1: twice the teacher's; 0: none */
    bool keep_zeros;     /* weights that are 0 stay 0 */
    bool refit_head;     /* try the closed-form head, keep it where it is better */
    uint64_t seed;
    struct tsr_pool *pool;
    bool (*stop)(void);
    void (*progress)(void *arg, int64_t step, int64_t steps, double loss);
    void *progress_arg;
};

struct tsr_teach_report {
    uint32_t refs_used, refs_missing; /* reference samples of the stream found and not found */
    size_t rows;         /* samples and views learnt from, held-out ones included */
    size_t held;
    struct tsr_rate_choice rate; /* what was tried and chosen */
    double before, after; /* held-out loss of the receiver as it came, and as it leaves */
    int64_t steps;
    bool head_refitted;
    struct tsr_reach reach; /* what of the receiver could learn */
};

/* budget "quick" or "quality". */
struct tsr_teach_options tsr_teach_defaults(bool quality);

/* Teaches the receiver g in place. refs[m, ...]: the receiver's copy of the reference inputs in
 * any order, of the type and shape that the transmitter had them in (they are converted and reshaped
 * to the receiver's), key[m] their keys. Where the tokens name
 * samples that are missing here, what remains is used.
 * TSR_E_MISMATCH: no sample in common, wrong number of classes or only one; TSR_E_UNSUPPORTED:
 * no parameter that can learn (see train/reach.h); others as tsr_fit. */
enum tsr_status tsr_teach(struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                          const struct tsr_key *key, const struct tsr_teach_options *options,
                          struct tsr_teach_report *report, struct tsr_error *err) TSR_MUST_USE;

#endif
