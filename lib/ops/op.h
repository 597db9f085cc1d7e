/* op.h - what an operator is.
 *
 * Every operator lives in the file of its family (ops/conv.c, ops/norm.c, ...): shape rule,
 * forward and backward side by side. The family's table is listed in ops/registry.c.
 *
 * The executor runs a node in three steps: infer() says the types and shapes of the outputs,
 * the executor allocates them, forward() fills them. In the backward pass backward() fills the
 * gradients of the wanted inputs.
 */
#ifndef TSR_OPS_OP_H
#define TSR_OPS_OP_H

#include "base/pool.h"
#include "ops/node.h"

#define TSR_OP_MAX_SAVED 8

struct tsr_session;

struct tsr_op_ctx {
    const struct tsr_node *node;
    const struct tsr_tensor **in; /* node->n_in of them; NULL where absent. Values are there. */
    struct tsr_tensor *out;       /* node->n_out of them. infer() sets dtype and shape */
    const bool *want_out;         /* false: nobody reads that output, forward may skip it */
    const bool *constant;         /* per input: the same in every run of this session; NULL: not known */

    /* Backward only. */
    const struct tsr_tensor **gout; /* gradient of each output, NULL for "zero" */
    struct tsr_tensor *gin;         /* gradient of each input: allocated, shaped as the input,
                                       uninitialised; backward() overwrites it */
    const bool *want_gin;           /* fill gin[i] only where true */

    bool training;  /* a backward pass may follow: keep what it needs in saved[] */
    bool train_stats; /* batch normalisation uses and updates batch statistics; dropout drops */
    uint64_t seed;  /* for random operators: differs for every node and run */

    struct tsr_tensor *saved; /* TSR_OP_MAX_SAVED tensors carried from forward to backward */
    void **state;             /* node-private, kept between runs (packed weights, ...) */
    void (**state_free)(void *);
    size_t *spare;            /* bytes that the states of all nodes may still take; NULL: none */

    struct tsr_pool *pool;
    const struct tsr_allocator *alloc;
    struct tsr_session *session; /* that runs the node, for graph/control.c; NULL where there is none */
    struct tsr_error *err;
};

enum {
    TSR_OP_VIEW = 1,    /* output 0 has the elements of input 0: shared, forward is not called */
    TSR_OP_INPLACE = 2, /* output 0 may be the memory of input 0 where type and size agree */
    TSR_OP_RANDOM = 4,  /* not a pure function of its inputs: never folded */
    TSR_OP_DATA_SHAPE = 8, /* infer() reads elements, not only shapes, of its inputs */
    TSR_OP_WIDEN = 16, /* knows f32 and f64 only: the executor widens f16 and bf16 inputs to f32
                         around it and narrows the f32 outputs back */
    TSR_OP_SAMPLES = 64, /* outside training, where the inputs that are no parameters have two dimensions or more:
                            sample i (of the first dimension) of output 0 follows from sample i of them, bit for bit
                            whatever the others are; forward() may run in several threads at once */
    /* What backward() leaves alone, so that training moves less memory: */
    TSR_OP_FORGETS = 128,    /* it does not read the outputs */
    TSR_OP_OVERWRITES = 256, /* it does not read the inputs: TSR_OP_INPLACE holds in training too */
    TSR_OP_GRADIENT_INPLACE = 512, /* gin[0] may be the memory of gout[0] */
    TSR_OP_GRADIENT_SHARED = 1024, /* the gradient of an input of the output's shape is the output's */
    TSR_OP_DYNAMIC = 32 /* shapes follow from the computation: infer is NULL, and forward() makes the
                         wanted outputs itself (tensors over ctx->alloc, or shared ones) */
};

struct tsr_op {
    const char *op_type;
    const char *domain; /* "" for ai.onnx */
    unsigned flags;
    int min_in, max_in; /* number of inputs; max_in < 0: any number */
    int max_out;
    enum tsr_status (*infer)(struct tsr_op_ctx *ctx); /* NULL for TSR_OP_DYNAMIC only */
    enum tsr_status (*forward)(struct tsr_op_ctx *ctx);
    enum tsr_status (*backward)(struct tsr_op_ctx *ctx); /* NULL: not differentiable */
    /* Bit i set: input i is a parameter that training adjusts when it is an initialiser.
     * Zero: none. */
    unsigned params;
};

/* The operator, or NULL. */
const struct tsr_op *tsr_op_find(const char *domain, const char *op_type);
/* All of them, for listings: n is set. */
const struct tsr_op *const *tsr_op_all(size_t *n);

/* Sets output i to that type and shape (infer only). */
void tsr_op_set(struct tsr_op_ctx *ctx, int i, enum tsr_dtype dtype, const struct tsr_shape *shape);
/* Memory that lives until forward/backward returns to the executor; NULL when short (then
 * `return tsr_nomem(ctx->err, bytes)`). 64-byte aligned. Release with tsr_op_scratch_free. */
void *tsr_op_scratch(struct tsr_op_ctx *ctx, size_t bytes);
void tsr_op_scratch_free(struct tsr_op_ctx *ctx, void *p, size_t bytes);
/* Memory for what forward() derives from input i and can use in the next run, as *ctx->state; what was
 * there is freed. NULL, and no state, where the input may change, where there is no room to spare or
 * memory is short: then the operator derives it anew in every run. 64-byte aligned. */
void *tsr_op_keep(struct tsr_op_ctx *ctx, int i, size_t bytes);
/* Allocates saved[i], to be read back in backward(). */
enum tsr_status tsr_op_save(struct tsr_op_ctx *ctx, int i, enum tsr_dtype dtype,
                            const struct tsr_shape *shape) TSR_MUST_USE;

/* The standard complaint: "node 'x' (Conv): sentence". */
#define tsr_op_fail(ctx, status, ...) tsr_op_fail_at((ctx), (status), __VA_ARGS__)
enum tsr_status tsr_op_fail_at(struct tsr_op_ctx *ctx, enum tsr_status status, const char *format, ...)
    TSR_PRINTF(3, 4);

/* Input i, which must be there with one of the types that the mask of 1u << dtype allows. */
enum tsr_status tsr_op_need(struct tsr_op_ctx *ctx, int i, uint32_t dtypes) TSR_MUST_USE;
#define TSR_MASK(t) (1u << (t))
#define TSR_MASK_REAL (TSR_MASK(TSR_F32) | TSR_MASK(TSR_F64))
#define TSR_MASK_FLOAT (TSR_MASK_REAL | TSR_MASK(TSR_F16) | TSR_MASK(TSR_BF16))

/* axis in [-rank, rank) to [0, rank); TSR_E_CORRUPT otherwise. */
enum tsr_status tsr_op_axis(struct tsr_op_ctx *ctx, int64_t axis, int rank, int *out) TSR_MUST_USE;

#endif
