#include "transfer/retain.h"

#include "base/mem.h"
#include "train/loss.h"

#include <math.h>

/* at[sample] = lesson row of the sample itself, UINT32_MAX where it is not there. */
static enum tsr_status find_samples(const struct tsr_lesson *l, uint32_t **at, struct tsr_error *err)
{
    *at = tsr_malloc(l->tokens->refs, sizeof **at);
    if (*at == NULL) return tsr_nomem(err, l->tokens->refs * sizeof **at);
    for (uint32_t i = 0; i < l->tokens->refs; i++) (*at)[i] = UINT32_MAX;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->row[i] < l->tokens->refs) (*at)[l->row[i]] = i;
    return TSR_OK;
}

/* Share of the single-sample views whose class is that of their sample. */
static double consistency(const struct tsr_lesson *l, const uint32_t *at, const float *p, int64_t c)
{
    int64_t same = 0, all = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        struct tsr_token_row r = tsr_tokens_row(l->tokens, l->row[i]);
        if (r.view == 0 || at[r.ref] == UINT32_MAX || tsr_lesson_mixed(l, l->row[i])) continue;
        all++;
        same += tsr_argmax(p + (int64_t)i * c, c) == tsr_argmax(p + (int64_t)at[r.ref] * c, c);
    }
    return all > 0 ? ((double)same + 0.5) / ((double)all + 1) : NAN;
}

enum tsr_status tsr_retain(const struct tsr_lesson *l, float *target, const float *own, int64_t classes, double w,
                           struct tsr_retain_report *report, struct tsr_error *err)
{
    uint32_t *at;
    TSR_TRY(find_samples(l, &at, err));
    report->tx = consistency(l, at, target, classes);
    report->rx = consistency(l, at, own, classes);
    tsr_free(at);
    double trust = 1;
    if (!isnan(report->tx) && !isnan(report->rx))
        trust = pow(report->rx / (1 - report->rx) * (1 - report->tx) / report->tx, 2);
    report->own_share = w * trust / (1 + w * trust);
    float share = (float)report->own_share;
    for (int64_t i = 0; i < (int64_t)l->n * classes; i++) target[i] += share * (own[i] - target[i]);
    return TSR_OK;
}
