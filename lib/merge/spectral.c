#include "merge/spectral.h"

#include "base/clones.h"
#include "base/mem.h"
#include "merge/factor.h"

#include <math.h>
#include <string.h>

enum { HELD = 64, AXES = TSR_SPECTRAL_AXES };
#define GUARD 1.2247448713915890 /* the root of 1.5: scores within that of the median are not suspicious */

void tsr_spectral_release(struct tsr_spectral *s)
{
    tsr_free(s->sum);
    tsr_free(s->scatter);
    tsr_free(s->held);
    tsr_free(s->axis);
    *s = (struct tsr_spectral){0};
}

enum tsr_status tsr_spectral_init(struct tsr_spectral *s, size_t k, struct tsr_error *err)
{
    *s = (struct tsr_spectral){.k = k, .sum = tsr_calloc(k, sizeof *s->sum), .scatter = tsr_calloc(k * k, sizeof *s->scatter),
                               .held = tsr_calloc(HELD * k, sizeof *s->held),
                               .axis = tsr_calloc(AXES * k, sizeof *s->axis)};
    if (s->sum != NULL && s->scatter != NULL && s->held != NULL && s->axis != NULL) return TSR_OK;
    tsr_spectral_release(s);
    return tsr_nomem(err, k * k * sizeof *s->scatter);
}

size_t tsr_profile_length(bool contributors, size_t width)
{
    return contributors && width <= TSR_PROFILE_MOST ? width : TSR_PROFILE;
}

static uint64_t scramble(uint64_t x) /* SplitMix64 */
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

void tsr_profile_add(double *profile, size_t k, const float *x, double inverse, const float *centre, size_t width, uint64_t id)
{
    for (size_t i = 0; i < width; i++) {
        double y = (double)x[i] * inverse - (double)centre[i];
        if (id == 0 && k == width) {
            profile[i] += y;
            continue;
        }
        uint64_t h = scramble(id + i);
        profile[(h >> 1) % k] += h & 1 ? y : -y;
    }
}

void tsr_profile_end(const double *profile, size_t k, uint64_t rows, int32_t *out)
{
    double norm2 = 0, scale = 1 / sqrt((double)rows);
    for (size_t i = 0; i < k; i++) norm2 += profile[i] * profile[i];
    double norm = sqrt(norm2) * scale;
    if (norm > 2) scale *= 2 / norm; /* hashes are public: who gathers all in one place is cut short, but stands out */
    for (size_t i = 0; i < k; i++) out[i] = (int32_t)(profile[i] * scale * TSR_PROFILE_ONE);
}

/* scatter += sum over the held profiles of p p'; their products sum to less than 2^31. */
TSR_CLONES static void add_products(int64_t *scatter, const int32_t *held, size_t n, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        int64_t *to = scatter + i * k;
        for (size_t r = 0; r + 8 <= n; r += 8) {
            const int32_t *p = held + r * k;
            for (size_t j = 0; j < k; j++) {
                int32_t sum = p[i] * p[j] + p[k + i] * p[k + j] + p[2 * k + i] * p[2 * k + j] + p[3 * k + i] * p[3 * k + j] +
                              p[4 * k + i] * p[4 * k + j] + p[5 * k + i] * p[5 * k + j] + p[6 * k + i] * p[6 * k + j] +
                              p[7 * k + i] * p[7 * k + j];
                to[j] += sum;
            }
        }
    }
}

void tsr_spectral_settle(struct tsr_spectral *s)
{
    if (s->n_held == 0) return;
    size_t whole = (s->n_held + 7) / 8 * 8;
    memset(s->held + s->n_held * s->k, 0, (whole - s->n_held) * s->k * sizeof *s->held);
    add_products(s->scatter, s->held, whole, s->k);
    s->n_held = 0;
}

enum tsr_status tsr_spectral_scatter(struct tsr_spectral *s, const int32_t *profile, int64_t w, struct tsr_error *err)
{
    if (w > (INT64_C(1) << 32) - s->weight)
        return tsr_fail(err, TSR_E_LIMIT, "the weights of all contributors sum to more than 2^32; use smaller ones");
    s->weight += w;
    for (size_t i = 0; i < s->k; i++) s->sum[i] += profile[i] * w;
    if (w > 1) { /* rare: at once */
        for (size_t i = 0; i < s->k; i++)
            for (size_t j = 0; j < s->k; j++) s->scatter[i * s->k + j] += (int64_t)profile[i] * profile[j] * w;
        return TSR_OK;
    }
    memcpy(s->held + s->n_held * s->k, profile, s->k * sizeof *profile);
    if (++s->n_held == HELD) tsr_spectral_settle(s);
    return TSR_OK;
}

/* The rows of the basis times the roots of the eigenvalues' ratios. */
static void weigh(struct tsr_spectral *s, const float *moment, const float *basis, size_t rank)
{
    double value[AXES] = {0}, first = 0;
    memset(s->axis, 0, AXES * s->k * sizeof *s->axis);
    for (size_t r = 0; r < rank; r++) {
        for (size_t i = 0; i < s->k; i++) {
            double sum = 0;
            for (size_t j = 0; j < s->k; j++) sum += (double)moment[i * s->k + j] * (double)basis[j * rank + r];
            value[r] += sum * (double)basis[i * rank + r];
        }
        if (value[r] > first) first = value[r];
    }
    for (size_t r = 0; r < rank; r++) {
        double f = value[r] > 0 ? sqrt(value[r] / first) : 0;
        for (size_t i = 0; i < s->k; i++) s->axis[i * AXES + r] = (float)(f * (double)basis[i * rank + r]);
    }
}

enum tsr_status tsr_spectral_axes(struct tsr_spectral *s, struct tsr_error *err)
{
    tsr_spectral_settle(s);
    if (s->weight == 0) return tsr_fail(err, TSR_E_NUMERIC, "there is nothing to find directions in");
    float *moment = tsr_malloc(s->k * s->k, sizeof *moment), *basis = tsr_malloc(s->k, AXES * sizeof *basis);
    enum tsr_status status = moment == NULL || basis == NULL ? tsr_nomem(err, s->k * s->k * sizeof *moment) : TSR_OK;
    size_t rank = 0;
    for (size_t i = 0; i < s->k * s->k && status == TSR_OK; i++) moment[i] = (float)((double)s->scatter[i] / (double)s->weight);
    if (status == TSR_OK) status = tsr_factor(moment, s->k, s->k, AXES, basis, &rank, err);
    if (status == TSR_E_NUMERIC) status = TSR_OK; /* all are the centre itself */
    if (status == TSR_OK) weigh(s, moment, basis, rank);
    tsr_free(moment);
    tsr_free(basis);
    return status;
}

double tsr_spectral_distance(const struct tsr_spectral *s, const int32_t *profile)
{
    double sum[AXES] = {0}, score = 0;
    for (size_t i = 0; i < s->k; i++)
        for (size_t r = 0; r < AXES; r++) sum[r] += (double)profile[i] * (double)s->axis[i * AXES + r];
    for (size_t r = 0; r < AXES; r++) score += sum[r] * sum[r];
    return sqrt(score) / TSR_PROFILE_ONE;
}

void tsr_spectral_project(struct tsr_spectral *s, const int32_t *profile, int64_t w)
{
    s->far[tsr_merge_far_bin(tsr_spectral_distance(s, profile))] += (uint64_t)w;
}

void tsr_spectral_limit(struct tsr_spectral *s, double assume)
{
    double all = 0, seen = 0;
    for (size_t i = 0; i < TSR_MERGE_FAR_BINS; i++) all += (double)s->far[i];
    s->most = 8;
    for (size_t i = TSR_MERGE_FAR_BINS; i-- > 0 && seen < assume * all;) {
        seen += (double)s->far[i];
        s->most = tsr_merge_far_edge(i);
    }
    double guard = GUARD * tsr_merge_far_median(s->far);
    if (s->most < guard) s->most = guard;
}
