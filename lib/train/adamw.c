#include "train/adamw.h"

#include "base/clones.h"
#include "base/mem.h"

#include <math.h>

enum tsr_status tsr_adamw_init(struct tsr_adamw *a, size_t n_slot, struct tsr_error *err)
{
    *a = (struct tsr_adamw){.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.01f, .clip = 1.0f,
                            .correct1 = 1, .correct2 = 1, .n_slot = n_slot};
    a->slot = tsr_calloc(n_slot, sizeof *a->slot);
    return a->slot == NULL ? tsr_nomem(err, n_slot * sizeof *a->slot) : TSR_OK;
}

enum tsr_status tsr_adamw_slot(struct tsr_adamw *a, size_t i, float *w, int64_t n, bool decay, struct tsr_error *err)
{
    struct tsr_adamw_slot *s = &a->slot[i];
    *s = (struct tsr_adamw_slot){.w = w, .n = n, .decay = decay};
    s->m = tsr_calloc((size_t)n, sizeof *s->m);
    s->v = tsr_calloc((size_t)n, sizeof *s->v);
    return s->m == NULL || s->v == NULL ? tsr_nomem(err, (size_t)n * sizeof *s->m) : TSR_OK;
}

void tsr_adamw_release(struct tsr_adamw *a)
{
    for (size_t i = 0; a->slot != NULL && i < a->n_slot; i++) {
        tsr_free(a->slot[i].m);
        tsr_free(a->slot[i].v);
    }
    tsr_free(a->slot);
    *a = (struct tsr_adamw){0};
}

/* Eight running sums, so that the order of additions is the same for every vector width. */
TSR_CLONES static double square_sum(const float *g, int64_t n)
{
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) s[k] += (double)g[i + k] * (double)g[i + k];
    for (; i < n; i++) s[i & 7] += (double)g[i] * (double)g[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

struct factors {
    float scale, beta1, beta2, step, root, eps, keep;
};

TSR_CLONES static void update(float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                              int64_t n, struct factors f)
{
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i] * f.scale;
        m[i] = f.beta1 * m[i] + (1 - f.beta1) * gi;
        v[i] = f.beta2 * v[i] + (1 - f.beta2) * gi * gi;
        w[i] = w[i] * f.keep - f.step * m[i] / (sqrtf(v[i]) * f.root + f.eps);
    }
}

double tsr_adamw_step(struct tsr_adamw *a, float lr)
{
    double sum = 0;
    for (size_t i = 0; i < a->n_slot; i++)
        if (a->slot[i].g != NULL) sum += square_sum(a->slot[i].g, a->slot[i].n);
    double norm = sqrt(sum);
    if (!isfinite(norm)) return norm;
    a->correct1 *= (double)a->beta1;
    a->correct2 *= (double)a->beta2;
    struct factors f = {
        .scale = a->clip > 0 && norm > (double)a->clip ? (float)((double)a->clip / norm) : 1.0f,
        .beta1 = a->beta1,
        .beta2 = a->beta2,
        .step = (float)((double)lr / (1 - a->correct1)),
        .root = (float)(1 / sqrt(1 - a->correct2)),
        .eps = a->eps,
    };
    for (size_t i = 0; i < a->n_slot; i++) {
        struct tsr_adamw_slot *s = &a->slot[i];
        if (s->g == NULL) continue;
        f.keep = s->decay ? 1 - lr * a->weight_decay : 1;
        update(s->w, s->g, s->m, s->v, s->n, f);
        if (s->mask != NULL)
            for (int64_t k = 0; k < s->n; k++)
                if (s->mask[k] == 0) s->w[k] = 0;
    }
    return norm;
}
