#include "quant/patches.h"

#include <string.h>

static enum tsr_status read(const struct tsr_node *node, const char *name, int n, int64_t fill, int64_t *to, struct tsr_error *err)
{
    size_t count;
    const int64_t *v = tsr_node_ints(node, name, &count);
    for (int i = 0; i < n; i++) to[i] = fill;
    if (v == NULL || count == 0) return TSR_OK;
    if (count != (size_t)n) return tsr_fail(err, TSR_E_UNSUPPORTED, "node '%s': %s has %zu values", node->name, name, count);
    memcpy(to, v, count * sizeof *v);
    return TSR_OK;
}

enum tsr_status tsr_patches_init(struct tsr_patches *p, const struct tsr_graph *g, const struct tsr_node *node, struct tsr_error *err)
{
    const struct tsr_shape *w = &g->value[node->in[1]].init.shape;
    *p = (struct tsr_patches){.node = node, .groups = 1, .auto_pad = 'N'};
    if (tsr_node_is(node, "Conv")) {
        int64_t pads[6];
        const char *mode = tsr_node_string(node, "auto_pad", "NOTSET");
        p->conv = true;
        p->rank = w->rank - 2;
        if (p->rank < 1 || p->rank > 3) return tsr_fail(err, TSR_E_UNSUPPORTED, "node '%s': %d spatial dimensions", node->name, p->rank);
        if (strcmp(mode, "SAME_UPPER") == 0) p->auto_pad = 'U';
        if (strcmp(mode, "SAME_LOWER") == 0) p->auto_pad = 'L';
        TSR_TRY(read(node, "strides", p->rank, 1, p->stride, err));
        TSR_TRY(read(node, "dilations", p->rank, 1, p->dilation, err));
        TSR_TRY(read(node, "pads", 2 * p->rank, 0, pads, err));
        memcpy(p->pad, pads, (size_t)p->rank * sizeof *pads);
        memcpy(p->pad_end, pads + p->rank, (size_t)p->rank * sizeof *pads);
        memcpy(p->kernel, w->dim + 2, (size_t)p->rank * sizeof *p->kernel);
        p->groups = tsr_node_int(node, "group", 1);
        if (p->groups < 1 || w->dim[0] % p->groups != 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "node '%s': bad groups", node->name);
        p->n = w->dim[0] / p->groups;
        p->k = w->dim[1];
        for (int d = 0; d < p->rank; d++) p->k *= w->dim[2 + d];
        p->step_n = p->k, p->step_k = 1, p->step_g = p->n * p->k;
        return TSR_OK;
    }
    const bool turned = tsr_node_is(node, "Gemm") && tsr_node_int(node, "transB", 0) != 0;
    p->n = w->dim[turned ? 0 : 1];
    p->k = w->dim[turned ? 1 : 0];
    p->step_n = turned ? p->k : 1;
    p->step_k = turned ? 1 : p->n;
    return TSR_OK;
}

/* Output size along dimension d, and the padding before it. */
static int64_t output_size(const struct tsr_patches *p, int d, int64_t in, int64_t *pad)
{
    const int64_t reach = (p->kernel[d] - 1) * p->dilation[d] + 1, s = p->stride[d];
    *pad = p->pad[d];
    if (p->auto_pad == 'N') {
        const int64_t room = in + p->pad[d] + p->pad_end[d] - reach;
        return room < 0 ? 0 : room / s + 1;
    }
    const int64_t out = (in + s - 1) / s, total = (out - 1) * s + reach - in;
    *pad = total <= 0 ? 0 : p->auto_pad == 'U' ? total / 2 : total - total / 2;
    return out;
}

/* What one output position of an image reads: [channel, place]. */
static void conv_row(const struct tsr_patches *p, const float *x, const int64_t in[3], int64_t size, int64_t channels,
                     const int64_t first[3], float *to)
{
    int64_t at[3] = {0};
    for (int64_t c = 0; c < channels; c++, x += size)
        for (at[0] = 0; at[0] < p->kernel[0]; at[0]++)
            for (at[1] = 0; at[1] < (p->rank > 1 ? p->kernel[1] : 1); at[1]++)
                for (at[2] = 0; at[2] < (p->rank > 2 ? p->kernel[2] : 1); at[2]++) {
                    int64_t place = 0;
                    bool inside = true;
                    for (int d = 0; d < p->rank; d++) {
                        const int64_t i = first[d] + at[d] * p->dilation[d];
                        inside = inside && i >= 0 && i < in[d];
                        place = place * in[d] + i;
                    }
                    *to++ = inside ? x[place] : 0;
                }
}

int64_t tsr_patches_rows(const struct tsr_patches *p, const struct tsr_tensor *x, int64_t group, int64_t most, float *to)
{
    if (!p->conv) {
        const int64_t rows = p->k > 0 ? tsr_tensor_count(x) / p->k : 0, n = rows < most ? rows : most;
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * p->k, (const float *)x->data + i * rows / n * p->k, (size_t)p->k * sizeof *to);
        return n;
    }
    int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, pad[3] = {0}, size = 1, positions = 1;
    for (int d = 0; d < p->rank; d++) {
        in[d] = x->shape.dim[2 + d];
        out[d] = output_size(p, d, in[d], &pad[d]);
        size *= in[d], positions *= out[d];
    }
    const int64_t channels = x->shape.dim[1] / p->groups, rows = x->shape.dim[0] * positions, n = rows < most ? rows : most;
    for (int64_t i = 0; i < n; i++) {
        /* a stride that shares no factor with the sizes, so that all places have their turn */
        const int64_t r = (int64_t)((uint64_t)(i * rows / n) + (uint64_t)i * 7919 % (uint64_t)(rows / n > 0 ? rows / n : 1)) % rows;
        int64_t rest = r % positions, first[3] = {0};
        for (int d = p->rank - 1; d >= 0; d--) {
            first[d] = rest % out[d] * p->stride[d] - pad[d];
            rest /= out[d];
        }
        const float *image = (const float *)x->data + (r / positions * x->shape.dim[1] + group * channels) * size;
        conv_row(p, image, in, size, channels, first, to + i * p->k);
    }
    return n;
}
