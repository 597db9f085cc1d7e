/* activations.h - a layer's activations as one vector a sample. */
#ifndef TSR_HUB_ACTIVATIONS_H
#define TSR_HUB_ACTIVATIONS_H

#include "graph/graph.h"

/* Where a value keeps its samples and its features: features[axis]; all other axes but the
 * sample's are averaged over. */
struct tsr_activation_axes {
    int sample, feature;
};

/* Decides by the operator that made the value: the channel axis (1) behind convolutions,
 * poolings and normalisations of them, also through element-wise operators; the last axis
 * elsewhere. Recurrent outputs keep their samples in axis 2 (1 for Y_h), sequences laid out
 * time-first in axis 1: told by which axis grew from `alone`, the shape for a single sample, to
 * `batch` elements; alone NULL: by which has so many. TSR_E_MISMATCH where none has. */
enum tsr_status tsr_activation_axes(const struct tsr_graph *g, int32_t value, const struct tsr_shape *shape,
                                    const struct tsr_shape *alone, int64_t batch, struct tsr_activation_axes *axes,
                                    struct tsr_error *err) TSR_MUST_USE;

/* Width of the vectors: the size of the feature axis. */
int64_t tsr_activation_width(const struct tsr_shape *shape, struct tsr_activation_axes axes);
/* out[batch, width]: means over the other axes, accumulated in double in memory order.
 * t is F32. */
void tsr_activation_pool(const struct tsr_tensor *t, struct tsr_activation_axes axes, float *out);

#endif
