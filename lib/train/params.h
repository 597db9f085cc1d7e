/* params.h - what training adjusts: the parameters of a graph, and the running statistics that
 * change with them. */
#ifndef TSR_TRAIN_PARAMS_H
#define TSR_TRAIN_PARAMS_H

#include "graph/graph.h"

struct tsr_param {
    int32_t id;  /* graph value */
    float *w;    /* its n elements, owned by the graph */
    int64_t n;
    bool decay;  /* weight decay applies: rank >= 2 */
    bool buffer; /* a running statistic: kept and averaged along, never stepped */
};

struct tsr_params {
    struct tsr_param *p;
    size_t n;
    int64_t total; /* elements of all of them */
};

/* Lists them in value order, giving the graph its own writable copy of every one. Call before
 * a session is made. TSR_E_UNSUPPORTED where a parameter is not float32; TSR_E_MISMATCH where
 * there is nothing to train. Release with tsr_params_release. */
enum tsr_status tsr_params_init(struct tsr_params *ps, struct tsr_graph *g, struct tsr_error *err) TSR_MUST_USE;
void tsr_params_release(struct tsr_params *ps);

/* All elements, one after the other, out of and back into the graph: `flat` has ps->total. */
void tsr_params_save(const struct tsr_params *ps, float *flat);
void tsr_params_load(const struct tsr_params *ps, const float *flat);
/* flat += (1 - decay) * (params - flat): an exponential moving average. */
void tsr_params_average(const struct tsr_params *ps, float decay, float *flat);

#endif
