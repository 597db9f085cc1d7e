/* tape.h - operators that are made of others. The forward pass of such an operator calls others one
 * by one; each runs at once, so that shapes are at hand, and is noted on a tape, along which the
 * gradient goes back. Private to ops/.
 *
 *     static enum tsr_status body(struct tsr_tape *t)
 *     {
 *         tsr_ref x = tsr_tape_in(t, 0), s = tsr_tape_op(t, "Sigmoid", x);
 *         tsr_tape_out(t, 0, tsr_tape_op(t, "Mul", x, s));
 *         return tsr_tape_status(t);
 *     }
 *     static enum tsr_status forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, body); }
 *     ... {"SiLU", "", TSR_OP_DYNAMIC | TSR_OP_WIDEN, 1, 1, 1, NULL, forward, tsr_tape_backward, 0}
 *
 * After a failure all further calls do nothing; tsr_tape_status tells. Operators called are those of
 * version TSR_TAPE_OPSET. The body may read shapes and elements of values that are on the tape.
 */
#ifndef TSR_OPS_TAPE_H
#define TSR_OPS_TAPE_H

#include "ops/arg.h"

#define TSR_TAPE_OPSET 24

struct tsr_tape;
typedef int tsr_ref; /* a value on the tape; negative: absent, or not computed because of a failure */

/* forward() of the operator: runs the body and takes the outputs off the tape. */
enum tsr_status tsr_tape_forward(struct tsr_op_ctx *ctx, enum tsr_status (*body)(struct tsr_tape *t)) TSR_MUST_USE;
/* backward() of it. */
enum tsr_status tsr_tape_backward(struct tsr_op_ctx *ctx);

/* The node's input i; negative where it is absent. */
tsr_ref tsr_tape_in(struct tsr_tape *t, int i);
/* A value's tensor, borrowed; never NULL: an empty tensor of no type where ref is negative. */
const struct tsr_tensor *tsr_tape_value(const struct tsr_tape *t, tsr_ref ref);
const struct tsr_shape *tsr_tape_shape(const struct tsr_tape *t, tsr_ref ref);
/* Constants: a list of n integers (int64), and a scalar of that type. */
tsr_ref tsr_tape_ints(struct tsr_tape *t, int n, const int64_t *v);
tsr_ref tsr_tape_scalar(struct tsr_tape *t, enum tsr_dtype dtype, double v);
/* A constant that the caller fills right away: uninitialised elements; NULL on failure. */
tsr_ref tsr_tape_new(struct tsr_tape *t, enum tsr_dtype dtype, const struct tsr_shape *shape, void **data);

/* Attributes of the next operator. */
void tsr_tape_int(struct tsr_tape *t, const char *name, int64_t v);
void tsr_tape_float(struct tsr_tape *t, const char *name, float v);
void tsr_tape_string(struct tsr_tape *t, const char *name, const char *v);
void tsr_tape_int_list(struct tsr_tape *t, const char *name, int n, const int64_t *v);
/* The node's own attribute of that name, where it has it. */
void tsr_tape_pass(struct tsr_tape *t, const char *name);

/* Runs an operator of the standard domain; inputs may be absent. Its output 0; more of them (n_out in
 * all) with tsr_tape_further. */
tsr_ref tsr_tape_run(struct tsr_tape *t, const char *op_type, int n_out, int n_in, const tsr_ref *in);
#define tsr_tape_op(t, op_type, ...)                                                                            \
    tsr_tape_run((t), (op_type), 1, (int)(sizeof((tsr_ref[]){__VA_ARGS__}) / sizeof(tsr_ref)), (const tsr_ref[]){__VA_ARGS__})
tsr_ref tsr_tape_further(const struct tsr_tape *t, tsr_ref first, int i);

/* Output i of the node. */
void tsr_tape_out(struct tsr_tape *t, int i, tsr_ref ref);
bool tsr_tape_wants(const struct tsr_tape *t, int i);

/* What went wrong first, TSR_OK if nothing did. */
enum tsr_status tsr_tape_status(const struct tsr_tape *t);
/* Fails with a sentence, as tsr_op_fail does for the node. */
enum tsr_status tsr_tape_fail(struct tsr_tape *t, enum tsr_status status, const char *format, ...) TSR_PRINTF(3, 4);
struct tsr_op_ctx *tsr_tape_ctx(struct tsr_tape *t);

/* Shorthands. */
tsr_ref tsr_tape_reshape(struct tsr_tape *t, tsr_ref x, int n, const int64_t *dim);
tsr_ref tsr_tape_transpose(struct tsr_tape *t, tsr_ref x, int n, const int64_t *perm);
/* n >= 1 values, one after the other along an axis. */
tsr_ref tsr_tape_concat(struct tsr_tape *t, int n, const tsr_ref *x, int64_t axis);
/* x[..., from:to, ...] along one axis. */
tsr_ref tsr_tape_slice(struct tsr_tape *t, tsr_ref x, int64_t axis, int64_t from, int64_t to);

#endif
