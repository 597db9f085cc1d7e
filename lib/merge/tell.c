/* tell.c - tells the caller what was decided about each contributor. */
#include "base/mem.h"
#include "merge/merge_impl.h"

#include <string.h>

static void release(struct tsr_merge_told *t)
{
    tsr_free((char *)(uintptr_t)t->d.contributor);
    tsr_free((char *)(uintptr_t)t->d.source);
    tsr_free((char *)(uintptr_t)t->d.stream);
    tsr_free((char *)(uintptr_t)t->d.why);
    tsr_free(t->sample);
}

void tsr_merge_forget(struct tsr_merge *m)
{
    for (size_t i = 0; i < m->n_told; i++) release(&m->told[i]);
    tsr_free(m->told);
    m->told = NULL;
    m->n_told = m->cap_told = 0;
}

/* Keeps a copy, and which samples it answered. */
static enum tsr_status hold(struct tsr_merge *m, const struct tsr_merge_decision *d)
{
    TSR_TRY(tsr_grow(&m->told, &m->cap_told, m->n_told + 1, sizeof *m->told, NULL));
    struct tsr_merge_told t = {.d = *d, .samples = m->n_answered > 0 ? m->table.samples : 0};
    t.d.contributor = tsr_strdup(d->contributor);
    t.d.source = tsr_strdup(d->source);
    t.d.stream = tsr_strdup(d->stream);
    t.d.why = tsr_strdup(d->why);
    if (t.samples > 0) t.sample = tsr_calloc(t.samples / 8 + 1, 1);
    if (t.d.contributor == NULL || t.d.source == NULL || t.d.stream == NULL || t.d.why == NULL || (t.samples > 0 && t.sample == NULL)) {
        release(&t);
        return TSR_E_NOMEM;
    }
    for (size_t i = 0; i < m->n_answered; i++) t.sample[m->answered[i] / 8] |= (uint8_t)(1 << m->answered[i] % 8);
    m->told[m->n_told++] = t;
    return TSR_OK;
}

void tsr_merge_say(struct tsr_merge *m, const char *contributor, const char *source, enum tsr_merge_fault fault,
                   const char *why, int64_t weight, uint64_t rows, double cosines)
{
    bool centred = m->centred || m->step > 0;
    if (fault != TSR_FAULT_NONE) m->rejected++;
    if (m->opt.decided == NULL || (!m->opt.single && !tsr_merge_last(m))) return;
    struct tsr_merge_decision d = {.contributor = contributor, .source = source, .stream = m->c.head, .fault = fault, .why = why,
                                   .weight = weight, .time = m->c.time, .rows = rows, .centred = centred && rows > 0,
                                   .quality = rows > 0 ? cosines / (double)rows : 0, .novelty = -1};
    if (!m->opt.novelty) m->opt.decided(m->opt.arg, &d);
    else if (m->failed == TSR_OK) m->failed = hold(m, &d);
}

/* The mean of 1 / answers over a contributor's samples. */
static double novelty_of(const struct tsr_merge *m, const struct tsr_merge_told *t)
{
    const struct tsr_merge_plane *p = &m->plane[m->plane[PLANE_OUT].embed.width > 0 ? PLANE_OUT : PLANE_HUB];
    double sum = 0, n = 0;
    for (size_t i = 0; i < t->samples && t->sample != NULL; i++) {
        if (!(t->sample[i / 8] >> i % 8 & 1) || i >= p->cells || p->answers[i] == 0) continue;
        sum += 1 / (double)p->answers[i];
        n++;
    }
    return n > 0 ? sum / n : -1;
}

enum tsr_status tsr_merge_tell(struct tsr_merge *m, struct tsr_error *err)
{
    if (m->failed != TSR_OK) return tsr_nomem(err, sizeof *m->told);
    for (size_t i = 0; i < m->n_told; i++) {
        m->told[i].d.novelty = novelty_of(m, &m->told[i]);
        m->opt.decided(m->opt.arg, &m->told[i].d);
    }
    tsr_merge_forget(m);
    return TSR_OK;
}
