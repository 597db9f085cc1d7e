/* detection.c - NonMaxSuppression: for every sample and class the boxes in order of their score, without
 * those that overlap a better one by more than the threshold. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <stdlib.h>
#include <string.h>

struct box {
    float y0, x0, y1, x1;
};

struct scored {
    float score;
    int64_t index;
};

/* By falling score, equal ones in the order of the file. */
static int better(const void *a, const void *b)
{
    const struct scored *p = a, *q = b;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return p->index < q->index ? -1 : p->index > q->index;
}

static struct box box_at(const float *p, bool centre)
{
    if (centre) return (struct box){p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
    return (struct box){p[0] < p[2] ? p[0] : p[2], p[1] < p[3] ? p[1] : p[3], p[0] < p[2] ? p[2] : p[0], p[1] < p[3] ? p[3] : p[1]};
}

static bool overlap(const struct box *a, const struct box *b, float threshold)
{
    const float y0 = a->y0 > b->y0 ? a->y0 : b->y0, y1 = a->y1 < b->y1 ? a->y1 : b->y1;
    const float x0 = a->x0 > b->x0 ? a->x0 : b->x0, x1 = a->x1 < b->x1 ? a->x1 : b->x1;
    const float both = (y1 > y0 ? y1 - y0 : 0) * (x1 > x0 ? x1 - x0 : 0);
    const float all = (a->y1 - a->y0) * (a->x1 - a->x0) + (b->y1 - b->y0) * (b->x1 - b->x0) - both;
    return all > 0 && both / all > threshold;
}

struct job {
    int64_t B, C, N, most;
    float iou, least;
    bool has_least, centre;
    struct scored *order;
    int64_t *kept; /* [found][3] */
    size_t found, cap;
};

static enum tsr_status read_float(struct tsr_op_ctx *ctx, int i, float *v, bool *there)
{
    *there = tsr_arg_in(ctx, i) != NULL;
    if (!*there) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(TSR_F32)));
    if (tsr_tensor_count(ctx->in[i]) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d must have one element", i);
    *v = ((const float *)ctx->in[i]->data)[0];
    return TSR_OK;
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct job *j)
{
    bool there;
    memset(j, 0, sizeof *j);
    for (int i = 0; i < 2; i++) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(TSR_F32)));
    const struct tsr_shape *b = &ctx->in[0]->shape, *s = &ctx->in[1]->shape;
    if (b->rank != 3 || s->rank != 3 || b->dim[2] != 4 || b->dim[0] != s->dim[0] || b->dim[1] != s->dim[2])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "boxes must be [batch, boxes, 4] and scores [batch, classes, boxes]");
    j->B = s->dim[0], j->C = s->dim[1], j->N = s->dim[2];
    TSR_TRY(tsr_arg_int(ctx, 2, 0, &j->most));
    TSR_TRY(read_float(ctx, 3, &j->iou, &there));
    TSR_TRY(read_float(ctx, 4, &j->least, &j->has_least));
    j->centre = tsr_node_int(ctx->node, "center_point_box", 0) != 0;
    if (j->most < 0) j->most = 0;
    return TSR_OK;
}

static enum tsr_status suppress(struct tsr_op_ctx *ctx, struct job *j, int64_t b, int64_t c)
{
    const float *score = (const float *)ctx->in[1]->data + (b * j->C + c) * j->N;
    const float *boxes = (const float *)ctx->in[0]->data + b * j->N * 4;
    const size_t first = j->found;
    int64_t n = 0;
    for (int64_t i = 0; i < j->N; i++)
        if (j->has_least ? score[i] > j->least : score[i] == score[i]) j->order[n++] = (struct scored){score[i], i};
    qsort(j->order, (size_t)n, sizeof *j->order, better);
    for (int64_t i = 0; i < n && (int64_t)(j->found - first) < j->most; i++) {
        const struct box mine = box_at(boxes + j->order[i].index * 4, j->centre);
        bool covered = false;
        for (size_t k = first; k < j->found && !covered; k++) {
            const struct box other = box_at(boxes + j->kept[3 * k + 2] * 4, j->centre);
            covered = overlap(&mine, &other, j->iou);
        }
        if (covered) continue;
        TSR_TRY(tsr_grow(&j->kept, &j->cap, 3 * (j->found + 1), sizeof *j->kept, ctx->err));
        int64_t *to = j->kept + 3 * j->found++;
        to[0] = b, to[1] = c, to[2] = j->order[i].index;
    }
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct job j;
    TSR_TRY(describe(ctx, &j));
    j.order = tsr_malloc((size_t)j.N, sizeof *j.order);
    enum tsr_status status = j.order ? TSR_OK : tsr_nomem(ctx->err, (size_t)j.N * sizeof *j.order);
    for (int64_t i = 0; i < j.B * j.C && status == TSR_OK; i++) status = suppress(ctx, &j, i / j.C, i % j.C);
    const struct tsr_shape s = {2, {(int64_t)j.found, 3}};
    if (status == TSR_OK) status = tsr_tensor_new(&ctx->out[0], TSR_I64, &s, ctx->alloc, ctx->err);
    if (status == TSR_OK && j.found > 0) memcpy(ctx->out[0].data, j.kept, 3 * j.found * sizeof *j.kept);
    tsr_free(j.order);
    tsr_free(j.kept);
    return status;
}

const struct tsr_op tsr_ops_detection[] = {
    {"NonMaxSuppression", "", TSR_OP_DYNAMIC, 2, 5, 1, NULL, forward, NULL, 0},
};
const size_t tsr_n_ops_detection = sizeof tsr_ops_detection / sizeof *tsr_ops_detection;
