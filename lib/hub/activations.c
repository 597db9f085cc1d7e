#include "hub/activations.h"

#include <string.h>

static bool one_of(const char *op, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(op, *list) == 0) return true;
    return false;
}

/* 1: channels stand in axis 1; 0: features stand last; found by walking up through operators
 * that keep the layout. */
static bool channels_first(const struct tsr_graph *g, int32_t v)
{
    static const char *const first[] = {"Conv", "ConvTranspose", "BatchNormalization", "MaxPool", "AveragePool",
                                        "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization",
                                        "GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth", "Resize",
                                        "QLinearConv", "FusedConv", NULL};
    static const char *const same[] = {"Relu", "LeakyRelu", "Elu", "Selu", "PRelu", "Sigmoid", "Tanh", "Gelu", "Erf",
                                       "HardSwish", "HardSigmoid", "Clip", "Add", "Sub", "Mul", "Div", "Identity",
                                       "Dropout", "Cast", "Softplus", "Mish", "Swish", "Sum", "Concat", "Pad",
                                       "QuantizeLinear", "DequantizeLinear", NULL};
    const struct tsr_node *node = tsr_graph_producer(g, v);
    for (int hops = 0; hops < 64 && node != NULL; hops++) {
        if (one_of(node->op_type, first)) return true;
        if (!one_of(node->op_type, same)) return false;
        const struct tsr_node *from = NULL;
        for (int k = 0; k < node->n_in && from == NULL; k++) from = tsr_graph_producer(g, node->in[k]);
        node = from;
    }
    return false;
}

static int sample_axis(const struct tsr_graph *g, int32_t value, const struct tsr_shape *s,
                       const struct tsr_shape *alone, int64_t batch)
{
    if (alone != NULL && batch > 1 && alone->rank == s->rank)
        for (int i = 0; i < s->rank; i++)
            if (s->dim[i] != alone->dim[i]) return s->dim[i] == batch ? i : -1;

    static const char *const recurrent[] = {"LSTM", "GRU", "RNN", NULL};
    int32_t p = g->value[value].producer;
    if (p >= 0 && one_of(g->node[p].op_type, recurrent) && tsr_node_int(&g->node[p], "layout", 0) == 0) {
        int axis = s->rank == 4 ? 2 : 1;
        if (s->rank >= 3 && s->dim[axis] == batch) return axis;
    }
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == batch) return i;
    return -1;
}

enum tsr_status tsr_activation_axes(const struct tsr_graph *g, int32_t value, const struct tsr_shape *shape,
                                    const struct tsr_shape *alone, int64_t batch, struct tsr_activation_axes *axes,
                                    struct tsr_error *err)
{
    char text[TSR_SHAPE_TEXT];
    axes->sample = sample_axis(g, value, shape, alone, batch);
    axes->feature = channels_first(g, value) && shape->rank >= 2 && axes->sample == 0 ? 1 : shape->rank - 1;
    if (axes->sample < 0 || shape->rank < 1)
        return tsr_fail(err, TSR_E_MISMATCH, "'%s' of shape %s has no axis for the %lld samples of the batch",
                        g->value[value].name, tsr_shape_text(shape, text, sizeof text), (long long)batch);
    return TSR_OK;
}

int64_t tsr_activation_width(const struct tsr_shape *shape, struct tsr_activation_axes axes)
{
    return axes.sample == axes.feature ? 1 : shape->dim[axes.feature];
}

/* For every sample and feature, an odometer runs over the other axes. */
void tsr_activation_pool(const struct tsr_tensor *t, struct tsr_activation_axes axes, float *out)
{
    const struct tsr_shape *s = &t->shape;
    int64_t n = s->dim[axes.sample], d = tsr_activation_width(s, axes), total = tsr_tensor_count(t);
    const float *x = t->data;
    if (n == 0 || d == 0 || total == 0) return;
    if (total == n * d && axes.sample == 0) {
        memcpy(out, x, (size_t)total * sizeof *out);
        return;
    }
    int64_t share = total / (n * d), stride[TSR_MAX_RANK], size = 1;
    for (int i = s->rank; i-- > 0;) {
        stride[i] = size;
        size *= s->dim[i];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) {
            int64_t index[TSR_MAX_RANK] = {0};
            double sum = 0;
            int64_t at = i * stride[axes.sample] + (d > 1 ? j * stride[axes.feature] : 0);
            for (int64_t k = 0; k < share; k++) {
                int64_t offset = at;
                for (int a = 0; a < s->rank; a++) offset += index[a] * stride[a];
                sum += (double)x[offset];
                for (int a = s->rank; a-- > 0;) {
                    if (a == axes.sample || (a == axes.feature && d > 1)) continue;
                    if (++index[a] < s->dim[a]) break;
                    index[a] = 0;
                }
            }
            out[i * d + j] = (float)(sum / (double)share);
        }
}
