/* predict_join.c - the samples that a teacher has answered, with its answers. */
#include "base/mem.h"
#include "drift/predict.h"
#include "graph/adapt.h"

#include <stdlib.h>
#include <string.h>

void tsr_predict_rows_release(struct tsr_predict_rows *rows)
{
    tsr_tensor_release(&rows->x);
    tsr_free(rows->teacher);
    tsr_free(rows->label);
    *rows = (struct tsr_predict_rows){.classes = 0};
}

struct keyed {
    struct tsr_key key;
    int64_t at;
};

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct keyed *)a)->key.b, ((const struct keyed *)b)->key.b, TSR_KEY_LEN);
}

/* row[i]: the stream's sample that sample i of refs is, or -1; *n of them are. */
static enum tsr_status match(const struct tsr_tokens *t, const struct tsr_key *key, int64_t rows, int64_t *row, int64_t *n,
                             struct tsr_error *err)
{
    struct keyed *sorted = tsr_malloc((size_t)t->refs + 1, sizeof *sorted);
    if (sorted == NULL) return tsr_nomem(err, t->refs * sizeof *sorted);
    for (uint32_t r = 0; r < t->refs; r++) sorted[r] = (struct keyed){t->key[r], r};
    qsort(sorted, t->refs, sizeof *sorted, by_key);
    for (int64_t i = 0; i < rows; i++) {
        struct keyed want = {key[i], 0}, *found = bsearch(&want, sorted, t->refs, sizeof *sorted, by_key);
        row[i] = found != NULL ? found->at : -1;
        *n += found != NULL;
    }
    tsr_free(sorted);
    if (*n > 0) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH, "none of the %lld samples is among the %u that the stream answers", (long long)rows, t->refs);
}

static enum tsr_status fill(const struct tsr_tokens *t, const struct tsr_tensor *refs, const int64_t *label,
                            const int64_t *row, int64_t n, struct tsr_predict_rows *out, struct tsr_error *err)
{
    struct tsr_shape shape = refs->shape;
    size_t each = tsr_tensor_bytes(refs) / (size_t)refs->shape.dim[0], c = (size_t)t->classes;
    shape.dim[0] = n;
    TSR_TRY(tsr_tensor_new(&out->x, refs->dtype, &shape, NULL, err));
    out->teacher = tsr_malloc((size_t)n, c * sizeof *out->teacher);
    if (label != NULL) out->label = tsr_malloc((size_t)n, sizeof *out->label);
    if (out->teacher == NULL || (label != NULL && out->label == NULL)) return tsr_nomem(err, (size_t)n * c * sizeof *out->teacher);
    size_t at = 0;
    for (int64_t i = 0; i < refs->shape.dim[0]; i++) {
        if (row[i] < 0) continue;
        memcpy((char *)out->x.data + at * each, (const char *)refs->data + (size_t)i * each, each);
        memcpy(out->teacher + at * c, t->out + (size_t)row[i] * c, c * sizeof *t->out);
        if (label != NULL) out->label[at] = label[i];
        at++;
    }
    return TSR_OK;
}

enum tsr_status tsr_predict_join(const struct tsr_tokens *tokens, const struct tsr_tensor *refs, const struct tsr_key *key,
                                 const int64_t *label, const struct tsr_value *input, struct tsr_predict_rows *out,
                                 struct tsr_error *err)
{
    int64_t n = 0;
    *out = (struct tsr_predict_rows){.kind = tokens->kind, .classes = tokens->classes};
    if (tokens->out == NULL) return tsr_fail(err, TSR_E_MISMATCH, "the stream holds no outputs of a teacher to predict with");
    if (tokens->kind == TSR_KIND_REGRESSION)
        return tsr_fail(err, TSR_E_MISMATCH, "the teacher's outputs are values; drift is predicted for classifiers");
    out->certain = tokens->kind == TSR_KIND_ARGMAX;
    if (out->certain) out->kind = TSR_KIND_PROBABILITIES;
    int64_t *row = tsr_malloc((size_t)refs->shape.dim[0], sizeof *row);
    if (row == NULL) return tsr_nomem(err, (size_t)refs->shape.dim[0] * sizeof *row);
    enum tsr_status status = match(tokens, key, refs->shape.dim[0], row, &n, err);
    if (status == TSR_OK) status = fill(tokens, refs, label, row, n, out, err);
    if (status == TSR_OK) status = tsr_input_adapt(&out->x, input, err);
    tsr_free(row);
    if (status != TSR_OK) tsr_predict_rows_release(out);
    return status;
}
