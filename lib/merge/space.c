#include "merge/space.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void tsr_space_release(struct tsr_merge_space *s)
{
    tsr_free(s->anchor);
    tsr_free(s->basis.x);
    tsr_free(s->recipe);
    tsr_free(s->inputs);
    tsr_free(s->round);
    *s = (struct tsr_merge_space){0};
}

static bool differ(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) != 0; }

static enum tsr_status compare(const struct tsr_merge_space *a, const struct tsr_merge_space *b, struct tsr_error *err)
{
    if (a->known && b->known && a->contributors != b->contributors)
        return tsr_fail(err, TSR_E_MISMATCH, "one stream answers samples, the other's rows are contributions of their own");
    if (a->outputs != TSR_KIND_NONE && b->outputs != TSR_KIND_NONE && (a->outputs != b->outputs || a->classes != b->classes))
        return tsr_fail(err, TSR_E_MISMATCH, "the outputs are %zu numbers (%s) here and %zu (%s) there", b->classes,
                        tsr_row_kind_name(b->outputs), a->classes, tsr_row_kind_name(a->outputs));
    if (a->hub[0] != '\0' && b->hub[0] != '\0' && (strcmp(a->hub, b->hub) != 0 || a->dim != b->dim || a->rank != b->rank))
        return tsr_fail(err, TSR_E_MISMATCH, "the hub tokens are of other anchors (hub %.16s here, %.16s there)", b->hub, a->hub);
    if (a->basis.digest[0] != '\0' && b->basis.digest[0] != '\0' && strcmp(a->basis.digest, b->basis.digest) != 0)
        return tsr_fail(err, TSR_E_MISMATCH, "contributions of hub coefficients must share one basis; these have %.16s and %.16s",
                        b->basis.digest, a->basis.digest);
    if (differ(a->recipe, b->recipe))
        return tsr_fail(err, TSR_E_MISMATCH, "the views were made by another recipe or of other references");
    if (differ(a->round, b->round))
        return tsr_fail(err, TSR_E_MISMATCH, "the streams answer the rounds '%.80s' and '%.80s'", b->round, a->round);
    if (differ(a->inputs, b->inputs))
        return tsr_fail(err, TSR_E_MISMATCH, "the samples are of another type or shape: %.80s here, %.80s there", b->inputs, a->inputs);
    return TSR_OK;
}

static enum tsr_status copy_text(char **to, const char *from, struct tsr_error *err)
{
    if (*to != NULL || from == NULL) return TSR_OK;
    *to = tsr_strdup(from);
    return *to != NULL ? TSR_OK : tsr_nomem(err, strlen(from));
}

enum tsr_status tsr_space_join(struct tsr_merge_space *s, const struct tsr_merge_space *from, struct tsr_error *err)
{
    if (from->outputs == TSR_KIND_PROBABILITIES && from->classes < 2)
        return tsr_fail(err, TSR_E_MISMATCH, "the outputs are of one class, which is always certain; extract them with "
                        "--kind regression");
    TSR_TRY(compare(s, from, err));
    TSR_TRY(copy_text(&s->recipe, from->recipe, err));
    TSR_TRY(copy_text(&s->inputs, from->inputs, err));
    TSR_TRY(copy_text(&s->round, from->round, err));
    if (s->anchor == NULL && from->anchor != NULL) {
        s->anchor = tsr_memdup(from->anchor, from->anchors * sizeof *s->anchor);
        if (s->anchor == NULL) return tsr_nomem(err, from->anchors * sizeof *s->anchor);
    }
    if (s->basis.x == NULL && from->basis.x != NULL) {
        size_t bytes = from->basis.anchors * from->basis.rank * sizeof *s->basis.x;
        float *x = tsr_memdup(from->basis.x, bytes);
        if (x == NULL) return tsr_nomem(err, bytes);
        s->basis = from->basis;
        s->basis.x = x;
    }
    if (from->recipe != NULL) s->views = from->views;
    if (from->known) {
        s->known = true;
        s->contributors = from->contributors;
    }
    if (from->outputs != TSR_KIND_NONE) {
        s->outputs = from->outputs;
        s->classes = from->classes;
    }
    if (from->hub[0] != '\0') {
        memcpy(s->hub, from->hub, sizeof s->hub);
        s->dim = from->dim;
        s->anchors = from->anchors;
        s->rank = from->rank;
    }
    return TSR_OK;
}

struct tsr_embed tsr_space_outputs(const struct tsr_merge_space *s, double scale, int confidence)
{
    if (s->outputs != TSR_KIND_REGRESSION && confidence != 0 && !s->contributors)
        return confidence == 1 ? tsr_embed_scores(s->classes) : tsr_embed_gated(s->classes);
    if (s->outputs != TSR_KIND_REGRESSION) return tsr_embed_roots(s->classes);
    return s->contributors ? tsr_embed_direction(s->classes) : tsr_embed_central(s->classes, (float)scale);
}

/* Rows of |E(a)|^2 sum to the layer's effective rank over the anchors, a few dozen: the scale is that of
 * such a row. */
struct tsr_embed tsr_space_hub(const struct tsr_merge_space *s)
{
    if (s->contributors) return tsr_embed_direction(s->rank);
    return tsr_embed_central(s->anchors, (float)(4 / sqrt((double)s->anchors)));
}

/* The text of a JSON document. */
static enum tsr_status text_of(const struct tsr_json *j, char **out, struct tsr_error *err)
{
    struct tsr_buf b = {0};
    enum tsr_status status = tsr_json_print(j, &b, err);
    if (status == TSR_OK) status = tsr_buf_append(&b, "", 1, err);
    if (status != TSR_OK) {
        tsr_buf_release(&b);
        return status;
    }
    *out = (char *)b.data;
    return TSR_OK;
}

enum tsr_status tsr_space_set_inputs(struct tsr_merge_space *s, const struct tsr_stream_head *h, struct tsr_error *err)
{
    struct tsr_json *all, *one;
    if (h->n_inputs == 0) return TSR_OK;
    TSR_TRY(tsr_json_array(&all, err));
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < h->n_inputs && status == TSR_OK; i++) {
        const struct tsr_stream_head_input *in = &h->input[i];
        status = tsr_json_set_object(all, NULL, &one, err);
        if (status == TSR_OK) status = tsr_json_set_string(one, "dtype", tsr_dtype_name(in->dtype), err);
        if (status == TSR_OK) status = tsr_json_set_ints(one, "shape", in->shape.dim, (size_t)in->shape.rank, err);
    }
    if (status == TSR_OK) status = text_of(all, &s->inputs, err);
    tsr_json_free(all);
    return status;
}

enum tsr_status tsr_space_get_inputs(const struct tsr_merge_space *s, struct tsr_stream_head *h, struct tsr_error *err)
{
    struct tsr_json *all;
    if (s->inputs == NULL) return TSR_OK;
    TSR_TRY(tsr_json_parse(s->inputs, strlen(s->inputs), TSR_MAX_META, "the list of inputs", &all, err));
    enum tsr_status status = TSR_OK;
    int n = 1;
    for (const struct tsr_json *j = tsr_json_first(all); j != NULL && status == TSR_OK; j = tsr_json_next(j), n++) {
        const char *dtype;
        struct tsr_shape shape;
        size_t rank;
        char name[24];
        (void)snprintf(name, sizeof name, n == 1 ? "input" : "input%d", n);
        status = tsr_json_need_string(j, "dtype", &dtype, err);
        if (status == TSR_OK) status = tsr_json_need_ints(j, "shape", 1, TSR_JSON_INT_MAX, TSR_MAX_RANK, shape.dim, &rank, err);
        if (status != TSR_OK) break;
        shape.rank = (int)rank;
        if (tsr_dtype_of(dtype) == TSR_NONE || tsr_shape_count(&shape) < 0)
            status = tsr_fail(err, TSR_E_CORRUPT, "the list of inputs names an impossible type or shape");
        else status = tsr_stream_head_add_input(h, name, tsr_dtype_of(dtype), &shape, err);
    }
    tsr_json_free(all);
    return status;
}

enum tsr_status tsr_space_to_json(const struct tsr_merge_space *s, struct tsr_json *to, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_bool(to, "contributors", s->contributors, err));
    if (s->outputs != TSR_KIND_NONE) {
        TSR_TRY(tsr_json_set_string(to, "outputs", tsr_row_kind_name(s->outputs), err));
        TSR_TRY(tsr_json_set_int(to, "classes", (int64_t)s->classes, err));
    }
    if (s->hub[0] != '\0') {
        TSR_TRY(tsr_json_set_string(to, "hub", s->hub, err));
        TSR_TRY(tsr_json_set_int(to, "dim", s->dim, err));
        TSR_TRY(tsr_json_set_int(to, "anchors", (int64_t)s->anchors, err));
        TSR_TRY(tsr_json_set_int(to, "rank", (int64_t)s->rank, err));
    }
    if (s->basis.digest[0] != '\0') TSR_TRY(tsr_json_set_string(to, "basis", s->basis.digest, err));
    if (s->recipe != NULL) {
        TSR_TRY(tsr_json_set_string(to, "recipe", s->recipe, err));
        TSR_TRY(tsr_json_set_int(to, "views", s->views, err));
    }
    if (s->inputs != NULL) TSR_TRY(tsr_json_set_string(to, "inputs", s->inputs, err));
    if (s->round != NULL) TSR_TRY(tsr_json_set_string(to, "round", s->round, err));
    return TSR_OK;
}

static enum tsr_status get_digest(const struct tsr_json *from, const char *key, char out[TSR_DIGEST_TEXT], struct tsr_error *err)
{
    const char *text;
    TSR_TRY(tsr_json_need_string(from, key, &text, err));
    if (strlen(text) != TSR_DIGEST_TEXT - 1) return tsr_fail(err, TSR_E_CORRUPT, "field '%s' is no SHA-256", key);
    memcpy(out, text, TSR_DIGEST_TEXT);
    return TSR_OK;
}

static enum tsr_status get_text(const struct tsr_json *from, const char *key, char **out, struct tsr_error *err)
{
    const char *text;
    if (tsr_json_get(from, key) == NULL) return TSR_OK;
    TSR_TRY(tsr_json_need_string(from, key, &text, err));
    return copy_text(out, text, err);
}

enum tsr_status tsr_space_from_json(struct tsr_merge_space *s, const struct tsr_json *from, struct tsr_error *err)
{
    int64_t n;
    const char *kind;
    TSR_TRY(tsr_json_need_bool(from, "contributors", &s->contributors, err));
    s->known = true;
    if (tsr_json_get(from, "outputs") != NULL) {
        TSR_TRY(tsr_json_need_string(from, "outputs", &kind, err));
        int k = tsr_row_kind_of(kind);
        if (k != TSR_KIND_PROBABILITIES && k != TSR_KIND_REGRESSION)
            return tsr_fail(err, TSR_E_CORRUPT, "field 'outputs' is '%.20s'", kind);
        s->outputs = (enum tsr_row_kind)k;
        TSR_TRY(tsr_json_need_int(from, "classes", 1, TSR_MAX_ELEMENTS / 2, &n, err));
        s->classes = (size_t)n;
    }
    if (tsr_json_get(from, "hub") != NULL) {
        TSR_TRY(get_digest(from, "hub", s->hub, err));
        TSR_TRY(tsr_json_need_int(from, "dim", 1, TSR_MAX_ELEMENTS, &s->dim, err));
        TSR_TRY(tsr_json_need_int(from, "anchors", 1, s->dim, &n, err));
        s->anchors = (size_t)n;
        TSR_TRY(tsr_json_need_int(from, "rank", s->contributors ? 1 : 0, s->contributors ? TSR_MAX_ELEMENTS / 2 : 0, &n, err));
        s->rank = (size_t)n;
    }
    if (tsr_json_get(from, "basis") != NULL) TSR_TRY(get_digest(from, "basis", s->basis.digest, err));
    TSR_TRY(get_text(from, "recipe", &s->recipe, err));
    if (s->recipe != NULL) {
        TSR_TRY(tsr_json_need_int(from, "views", 1, TSR_MAX_ELEMENTS, &n, err));
        s->views = (uint32_t)n;
    }
    TSR_TRY(get_text(from, "round", &s->round, err));
    return get_text(from, "inputs", &s->inputs, err);
}
