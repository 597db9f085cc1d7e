#include "stream/quantise.h"

#include "base/mem.h"
#include "stream/levels.h"

#include <math.h>

#define LEAST_FLOOR (-1e-3f) /* of the int8 levels, for rows that are all alike */
/* What int4 outputs may cost once zstd is through with them: so much a value, or so many bytes where
 * that is more. Measured in tessera-stream(5). */
#define BITS_A_VALUE 2.6
#define BITS_ANYWAY (8.0 * 8192)

static float get_f32(const uint8_t *p)
{
    uint32_t bits = tsr_get_le32(p);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void put_f32(uint8_t *p, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    tsr_put_le32(p, bits);
}

static int top_code(const struct tsr_rowset *s) { return s->dtype == TSR_I4 ? 15 : 255; }

void tsr_affine_encode(const struct tsr_rowset *s, const float *x, uint8_t *head, uint8_t *codes)
{
    int top = top_code(s);
    for (size_t c = 0; c < s->cols; c++) {
        float low = x[c], high = x[c];
        for (size_t r = 1; r < s->rows; r++) {
            float v = x[r * s->cols + c];
            if (v < low) low = v;
            if (v > high) high = v;
        }
        /* The range in double: it may exceed what a float holds. */
        float scale = (float)(((double)high - (double)low) / top);
        put_f32(head + 4 * c, scale);
        put_f32(head + 4 * (s->cols + c), low);
        for (size_t r = 0; r < s->rows; r++) {
            double q = scale > 0 ? nearbyint(((double)x[r * s->cols + c] - (double)low) / (double)scale) : 0;
            codes[r * s->cols + c] = (uint8_t)(q > top ? top : q);
        }
    }
}

enum tsr_status tsr_affine_decode(const struct tsr_rowset *s, const uint8_t *head, const uint8_t *codes, float *x,
                                  struct tsr_error *err)
{
    for (size_t c = 0; c < s->cols; c++) {
        float scale = get_f32(head + 4 * c), low = get_f32(head + 4 * (s->cols + c));
        float value[256];
        for (int k = 0; k <= top_code(s); k++) value[k] = (float)((double)low + (double)scale * k);
        if (!(scale >= 0) || !isfinite(low) || !isfinite(value[top_code(s)]))
            return tsr_fail(err, TSR_E_CORRUPT, "column %zu has a scale or low value that is not possible", c);
        for (size_t r = 0; r < s->rows; r++) x[r * s->cols + c] = value[codes[r * s->cols + c]];
    }
    return TSR_OK;
}

/* Differences to the row's maximum, of logits or of logarithms of probabilities, not below the
 * floor; exactly 0 at the maximum, which is the first 0 of the row. */
static void differences(const struct tsr_rowset *s, const float *x, float *d)
{
    size_t top = 0;
    for (size_t j = 1; j < s->cols; j++)
        if (x[j] > x[top]) top = j;
    for (size_t j = 0; j < s->cols; j++) {
        double v = s->kind == TSR_KIND_LOGITS ? (double)x[j] - (double)x[top]
                   : x[j] > 0 && x[top] > 0   ? log((double)x[j] / (double)x[top])
                                              : (double)TSR_LEVELS_FLOOR;
        d[j] = v < (double)TSR_LEVELS_FLOOR ? TSR_LEVELS_FLOOR : (float)v;
    }
    d[top] = 0.0f;
}

/* Where the next level is nearer; the fitted tables bring limits of their own. */
static void nearest_limits(const struct tsr_levels *t, float *limit)
{
    for (int k = 0; k + 2 < t->n; k++) limit[k] = 0.5f * (t->level[k] + t->level[k + 1]);
    limit[t->n - 2] = 0.0f;
}

static uint8_t code_of(float d, const float *limit, int n)
{
    int low = 0, high = n - 1; /* the first k with d <= limit[k] */
    while (low < high) {
        int mid = (low + high) / 2;
        if (d <= limit[mid])
            high = mid;
        else
            low = mid + 1;
    }
    return (uint8_t)low;
}

/* The table for these differences, into the head of the body. */
static enum tsr_status make_table(const struct tsr_rowset *s, const float *d, uint8_t *head, struct tsr_levels *table,
                                  float *limit, struct tsr_error *err)
{
    if (s->dtype == TSR_I4) {
        double bits = BITS_ANYWAY / ((double)s->rows * (double)s->cols);
        TSR_TRY(tsr_levels_fit(d, s->rows, s->cols, bits > BITS_A_VALUE ? bits : BITS_A_VALUE, table, limit, err));
        for (int k = 0; k < 16; k++) put_f32(head + 4 * k, table->level[k]);
        return TSR_OK;
    }
    float lowest = LEAST_FLOOR;
    for (size_t i = 0; i < s->rows * s->cols; i++)
        if (d[i] < lowest) lowest = d[i];
    tsr_levels_square(lowest, table);
    nearest_limits(table, limit);
    put_f32(head, lowest);
    return TSR_OK;
}

enum tsr_status tsr_softmax_encode(const struct tsr_rowset *s, const float *x, uint8_t *head, uint8_t *codes,
                                   struct tsr_error *err)
{
    struct tsr_levels table;
    float limit[255];
    float *d = tsr_malloc(s->rows * s->cols, sizeof *d);
    if (d == NULL) return tsr_nomem(err, s->rows * s->cols * sizeof *d);
    for (size_t r = 0; r < s->rows; r++) differences(s, x + r * s->cols, d + r * s->cols);
    enum tsr_status status = make_table(s, d, head, &table, limit, err);
    for (size_t r = 0; status == TSR_OK && r < s->rows; r++) {
        const float *row = d + r * s->cols;
        size_t top = 0;
        while (row[top] != 0.0f) top++;
        for (size_t j = 0; j < s->cols; j++) codes[r * s->cols + j] = code_of(row[j], limit, table.n - 1);
        codes[r * s->cols + top] = (uint8_t)(table.n - 1);
    }
    tsr_free(d);
    return status;
}

static enum tsr_status read_table(const struct tsr_rowset *s, const uint8_t *head, struct tsr_levels *table,
                                  struct tsr_error *err)
{
    if (s->dtype == TSR_I8) {
        float floor = get_f32(head);
        if (!(floor < 0) || !isfinite(floor))
            return tsr_fail(err, TSR_E_CORRUPT, "the floor of its levels is %g, not a number below 0", (double)floor);
        tsr_levels_square(floor, table);
        return TSR_OK;
    }
    table->n = 16;
    for (int k = 0; k < 16; k++) {
        table->level[k] = get_f32(head + 4 * k);
        if (!isfinite(table->level[k]) || (k > 0 && table->level[k] < table->level[k - 1]))
            return tsr_fail(err, TSR_E_CORRUPT, "level %d of its table is out of order", k);
    }
    if (table->level[15] != 0.0f)
        return tsr_fail(err, TSR_E_CORRUPT, "the last of its levels is %g, not 0", (double)table->level[15]);
    return TSR_OK;
}

enum tsr_status tsr_softmax_decode(const struct tsr_rowset *s, const uint8_t *head, const uint8_t *codes, float *x,
                                   struct tsr_error *err)
{
    struct tsr_levels table;
    TSR_TRY(read_table(s, head, &table, err));
    for (size_t r = 0; r < s->rows; r++) {
        const uint8_t *row = codes + r * s->cols;
        float *to = x + r * s->cols;
        int tops = 0;
        for (size_t j = 0; j < s->cols; j++) {
            to[j] = table.level[row[j]];
            tops += row[j] == table.n - 1;
        }
        if (tops != 1) return tsr_fail(err, TSR_E_CORRUPT, "row %zu marks %d maxima instead of one", r, tops);
        if (s->kind != TSR_KIND_PROBABILITIES) continue;
        double sum = 0;
        for (size_t j = 0; j < s->cols; j++) sum += exp((double)to[j]);
        for (size_t j = 0; j < s->cols; j++) to[j] = (float)(exp((double)to[j]) / sum);
    }
    return TSR_OK;
}
