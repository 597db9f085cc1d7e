/* families.h - the operator tables, one per family file. Private to ops/. */
#ifndef TSR_OPS_FAMILIES_H
#define TSR_OPS_FAMILIES_H

#include "ops/op.h"

/* X(family): the file ops/family.c ends with tsr_ops_family[] and tsr_n_ops_family. One line
 * each, sorted; this list is all there is to registering. */
#define TSR_OP_FAMILIES(X) \
    X(activation) \
    X(argmax) \
    X(attention) \
    X(attention_fused) \
    X(batchnorm) \
    X(binary) \
    X(cast) \
    X(compare) \
    X(constant) \
    X(conv) \
    X(conv_last) \
    X(crop) \
    X(cumprod) \
    X(deform) \
    X(det) \
    X(detection) \
    X(einsum) \
    X(fake_quantize) \
    X(filterbank) \
    X(gated) \
    X(gather) \
    X(grid) \
    X(linear) \
    X(loss) \
    X(lrn) \
    X(matmul) \
    X(matmul_nbits) \
    X(movement) \
    X(ms_activation) \
    X(ms_attention) \
    X(ms_linear) \
    X(ms_norm) \
    X(mvn) \
    X(norm) \
    X(pad) \
    X(pool) \
    X(pool_last) \
    X(qlinear_binary) \
    X(qlinear_conv) \
    X(qlinear_map) \
    X(qlinear_matmul) \
    X(qlinear_pool) \
    X(quantize) \
    X(random) \
    X(reduce) \
    X(resize) \
    X(rnn) \
    X(rnn_grid) \
    X(roi) \
    X(rotary) \
    X(scatter) \
    X(select) \
    X(shape) \
    X(slice) \
    X(softmax) \
    X(spectrum) \
    X(tensorscatter) \
    X(unary) \
    X(unique) \
    X(unpool) \
    X(variadic)

#define TSR_DECLARE_FAMILY(name)            \
    extern const struct tsr_op tsr_ops_##name[]; \
    extern const size_t tsr_n_ops_##name;
TSR_OP_FAMILIES(TSR_DECLARE_FAMILY)
#undef TSR_DECLARE_FAMILY

#endif
