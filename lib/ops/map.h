/* map.h - the engine behind operators that apply one function to every element. Private to ops/. */
#ifndef TSR_OPS_MAP_H
#define TSR_OPS_MAP_H

#include "ops/arg.h"

struct tsr_map {
    /* Parameters of the node for the functions below; NULL: none. */
    void (*par)(const struct tsr_node *node, double p[4]);
    /* The reference in double, and its slope from x and y = f(x); slope NULL: zero everywhere. */
    double (*f)(double x, const double *p);
    double (*slope)(double x, double y, const double *p);
    /* Fast float32 kernels; NULL: through the reference. y may be x; gx may be gy. */
    void (*f32)(int64_t n, const double *p, const float *x, float *y);
    void (*g32)(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx);
    /* Integer types; NULL: floats only. `u`: x holds an unsigned number. */
    int64_t (*i64)(int64_t x, bool u);
};

enum tsr_status tsr_map_infer(struct tsr_op_ctx *ctx, const struct tsr_map *m) TSR_MUST_USE;
enum tsr_status tsr_map_forward(struct tsr_op_ctx *ctx, const struct tsr_map *m) TSR_MUST_USE;
enum tsr_status tsr_map_backward(struct tsr_op_ctx *ctx, const struct tsr_map *m) TSR_MUST_USE;

/* The three functions of an operator whose struct tsr_map is called map_NAME. */
#define TSR_MAP_OP(name)                                                                                     \
    static enum tsr_status name##_infer(struct tsr_op_ctx *ctx) { return tsr_map_infer(ctx, &map_##name); }  \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_map_forward(ctx, &map_##name); } \
    static enum tsr_status name##_backward(struct tsr_op_ctx *ctx) { return tsr_map_backward(ctx, &map_##name); }
#define TSR_MAP_ROW_AND(op_type, name, flags) \
    {op_type, "", TSR_OP_INPLACE | TSR_OP_WIDEN | TSR_OP_SAMPLES | (flags), 1, 1, 1, name##_infer, name##_forward, name##_backward, 0}
#define TSR_MAP_ROW(op_type, name) TSR_MAP_ROW_AND(op_type, name, 0)

#endif
