/* quanttest.h - what the tests of quantised models share: networks of the zoo, inputs for them, a look at
 * their nodes. */
#ifndef TSR_TESTS_QUANTTEST_H
#define TSR_TESTS_QUANTTEST_H

#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tsr_error err;
#define OK(e) ck_assert_msg((e) == TSR_OK, "%s", err.message)

static inline struct tsr_graph *zoo(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(text, &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    return g;
}

/* n samples for the model's first input: normal numbers, or small whole ones. */
static inline void white_samples(const struct tsr_graph *g, int64_t n, struct tsr_tensor *x)
{
    const struct tsr_value *v = &g->value[g->input[0]];
    struct tsr_shape s = v->shape;
    struct tsr_rng r;
    s.dim[0] = n;
    OK(tsr_tensor_zeros(x, v->dtype, s.rank, s.dim, &err));
    tsr_rng_init(&r, 5, 0);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++)
        tsr_store_f64(v->dtype, x->data, i, v->dtype == TSR_F32 ? (double)(float)tsr_rng_normal(&r) : (double)tsr_rng_below(&r, 10));
}

static inline int count(const struct tsr_graph *g, const char *op_type)
{
    int n = 0;
    for (size_t i = 0; i < g->n_node; i++) n += strcmp(g->node[i].op_type, op_type) == 0;
    return n;
}

#endif
