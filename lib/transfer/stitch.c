#include "transfer/stitch.h"

#include "base/mem.h"
#include "graph/adapt.h"
#include "train/labelled.h"
#include "transfer/lesson.h"

#include <string.h>

/* The receiver's features of the stream's samples that it holds, in stream order: a[*held, d] and
 * which samples they are. */
static enum tsr_status own_features(const struct tsr_graph *g, const struct tsr_head *head, const struct tsr_lesson *l,
                                    struct tsr_pool *pool, float **a, uint32_t **which, int64_t *held,
                                    struct tsr_error *err)
{
    const struct tsr_tensor *refs = l->refs;
    size_t each = tsr_tensor_bytes(refs) / (size_t)refs->shape.dim[0];
    struct tsr_tensor x = {.dtype = refs->dtype, .shape = refs->shape};
    x.data = tsr_malloc(l->refs_used, each);
    *which = tsr_malloc(l->refs_used, sizeof **which);
    *a = tsr_malloc(l->refs_used, (size_t)head->d * sizeof **a);
    *held = 0;
    if (x.data == NULL || *which == NULL || *a == NULL) {
        tsr_free(x.data);
        return tsr_nomem(err, l->refs_used * each);
    }
    for (uint32_t i = 0; i < l->tokens->refs; i++) {
        if (l->at[i] == UINT32_MAX) continue;
        memcpy((char *)x.data + each * (size_t)*held, (const char *)refs->data + each * l->at[i], each);
        (*which)[(*held)++] = i;
    }
    x.shape.dim[0] = *held;
    void *gathered = x.data;
    enum tsr_status status = tsr_input_adapt(&x, &g->value[g->input[0]], err);
    if (status == TSR_OK) status = tsr_predict(g, head->features, &x, head->d, pool, *a, err);
    tsr_tensor_release(&x);
    tsr_free(gathered);
    return status;
}

static enum tsr_status make_decoder(const struct tsr_tokens *t, const struct tsr_head *head, const float *a,
                                    const uint32_t *which, int64_t held, struct tsr_hub_decoder *dec,
                                    struct tsr_stitch_report *report, struct tsr_error *err)
{
    while (report->anchors_held < held && which[report->anchors_held] < t->anchors) report->anchors_held++;
    report->exact = report->anchors_held == t->anchors;
    if (report->exact) return tsr_hub_decoder_init(dec, a, t->anchors, head->d, t->basis, t->rank, err);
    if (held < 2)
        return tsr_fail(err, TSR_E_MISMATCH, "the receiver holds %lld of the stream's samples; stitching needs more",
                        (long long)held);
    float *c = tsr_malloc((size_t)held, (size_t)t->rank * sizeof *c);
    if (c == NULL) return tsr_nomem(err, (size_t)(held * t->rank) * sizeof *c);
    for (int64_t i = 0; i < held; i++)
        memcpy(c + i * t->rank, t->hub + (int64_t)which[i] * t->rank, (size_t)t->rank * sizeof *c);
    enum tsr_status status = tsr_hub_decoder_regress(dec, a, held, head->d, c, t->rank, err);
    tsr_free(c);
    return status;
}

/* z[n, classes] = f W + b, sums in double. */
static void apply_head(const struct tsr_graph *g, const struct tsr_head *h, const float *f, int64_t n, float *z)
{
    const float *w = g->value[h->weight].init.data, *b = h->bias >= 0 ? g->value[h->bias].init.data : NULL;
    int64_t step_d = h->trans_b ? 1 : h->classes, step_c = h->trans_b ? h->d : 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < h->classes; j++) {
            double sum = b != NULL ? (double)b[j] : 0;
            for (int64_t k = 0; k < h->d; k++) sum += (double)f[i * h->d + k] * (double)w[j * step_c + k * step_d];
            z[i * h->classes + j] = (float)sum;
        }
}

enum tsr_status tsr_stitch(const struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                           const struct tsr_key *key, struct tsr_pool *pool, float **out, int64_t *classes,
                           struct tsr_stitch_report *report, struct tsr_error *err)
{
    struct tsr_head head;
    struct tsr_lesson l = {0};
    struct tsr_hub_decoder dec = {0};
    float *a = NULL, *f = NULL;
    uint32_t *which = NULL;
    int64_t held;
    *out = NULL;
    *report = (struct tsr_stitch_report){0};
    if (tokens->rank == 0)
        return tsr_fail(err, TSR_E_MISMATCH, "the stream carries no hub tokens; tessera-encode makes them of the activations that "
                        "tessera-extract --mode a or both puts into it");
    if (tsr_graph_head(g, &head, NULL) != TSR_OK)
        return tsr_fail(err, TSR_E_NOT_FOUND, "the receiver does not end in a linear layer, which is what is stitched to");
    if (!head.plain)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the receiver's last layer is quantised; stitch to the float model");
    enum tsr_status status;
    TSR_GO(status, done, tsr_lesson_init(&l, tokens, refs, key, 0, false, 0, err));
    TSR_GO(status, done, own_features(g, &head, &l, pool, &a, &which, &held, err));
    TSR_GO(status, done, make_decoder(tokens, &head, a, which, held, &dec, report, err));
    f = tsr_malloc(tokens->refs, (size_t)head.d * sizeof *f);
    *out = tsr_malloc(tokens->refs, (size_t)head.classes * sizeof **out);
    if (f == NULL || *out == NULL) {
        status = tsr_nomem(err, tokens->refs * (size_t)head.d * sizeof *f);
        goto done;
    }
    TSR_GO(status, done, tsr_hub_decode(&dec, tokens->hub, tokens->refs, f, err));
    apply_head(g, &head, f, tokens->refs, *out);
    *classes = head.classes;
done:
    tsr_lesson_release(&l);
    tsr_hub_decoder_release(&dec);
    tsr_free(a);
    tsr_free(f);
    tsr_free(which);
    if (status != TSR_OK) {
        tsr_free(*out);
        *out = NULL;
    }
    return status;
}
