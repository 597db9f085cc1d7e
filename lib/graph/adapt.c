#include "graph/adapt.h"

enum tsr_status tsr_input_adapt(struct tsr_tensor *x, const struct tsr_value *input, struct tsr_error *err)
{
    char have[TSR_SHAPE_TEXT], want[TSR_SHAPE_TEXT];
    struct tsr_shape shape = input->shape;
    bool known = shape.rank >= 1 && shape.rank <= TSR_MAX_RANK;
    for (int i = 1; i < shape.rank; i++) known = known && shape.dim[i] >= 0;
    if (known) {
        shape.dim[0] = x->shape.dim[0];
        if (tsr_shape_count(&shape) != tsr_tensor_count(x))
            return tsr_fail(err, TSR_E_MISMATCH, "the samples are of shape %s, but the model's input '%s' wants %s",
                            tsr_shape_text(&x->shape, have, sizeof have), input->name,
                            tsr_shape_text(&shape, want, sizeof want));
        x->shape = shape;
    }
    if (input->dtype == TSR_NONE || input->dtype == x->dtype) return TSR_OK;
    if (tsr_dtype_is_int(input->dtype) && tsr_dtype_is_float(x->dtype))
        return tsr_fail(err, TSR_E_MISMATCH, "the samples are %s, but the model's input '%s' wants %s",
                        tsr_dtype_name(x->dtype), input->name, tsr_dtype_name(input->dtype));
    struct tsr_tensor cast;
    TSR_TRY(tsr_tensor_cast(&cast, input->dtype, x, err));
    tsr_tensor_release(x);
    *x = cast;
    return TSR_OK;
}
