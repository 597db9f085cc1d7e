#include "stream/summary.h"

#include "base/mem.h"
#include "stream/basis.h"
#include "stream/inputs.h"

#define MAX_GROUPS 4096

void tsr_stream_summary_release(struct tsr_stream_summary *s)
{
    tsr_stream_head_release(&s->head);
    tsr_json_free(s->view);
    for (size_t i = 0; i < s->n_group; i++) tsr_free(s->group[i].name);
    tsr_free(s->group);
    *s = (struct tsr_stream_summary){0};
}

static bool same(const struct tsr_stream_group *a, const struct tsr_stream_group *b)
{
    if (a->type != b->type || a->views != b->views || (a->name == NULL) != (b->name == NULL)) return false;
    if (a->name != NULL && strcmp(a->name, b->name) != 0) return false;
    return a->set.dtype == b->set.dtype && a->set.code == b->set.code && a->set.layout == b->set.layout &&
           a->set.kind == b->set.kind && a->set.cols == b->set.cols && tsr_shape_equal(&a->row, &b->row);
}

/* Fields of a matrix of rows. */
static enum tsr_status describe_rows(const struct tsr_record *rec, struct tsr_stream_group *g, struct tsr_error *err)
{
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    g->name = (char *)(uintptr_t)r.layer;
    g->matrix = true;
    g->views = r.views;
    g->n_views = r.views ? r.view + r.n_views - 1 : 0;
    g->set = r.set;
    g->row = (struct tsr_shape){.rank = 1, .dim = {(int64_t)r.set.cols}};
    if (r.rank > 0) {
        g->row.rank = r.rank;
        memcpy(g->row.dim, r.shape, sizeof r.shape);
    }
    if (rec->type != TSR_BASE) return TSR_OK;
    struct tsr_basis b;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    size_t n = strlen(b.hub);
    memcpy(g->hub, b.hub, n < sizeof g->hub ? n : sizeof g->hub - 1);
    g->dim = b.dim;
    g->lambda = b.lambda;
    return TSR_OK;
}

static enum tsr_status describe_inputs(const struct tsr_record *rec, struct tsr_stream_group *g, struct tsr_error *err)
{
    struct tsr_inputs in;
    TSR_TRY(tsr_inputs_parse(rec, &in, err));
    g->name = (char *)(uintptr_t)in.name;
    g->matrix = true;
    g->set.dtype = in.dtype;
    g->set.layout = in.layout;
    g->set.rows = (size_t)in.count;
    g->set.cols = (size_t)tsr_shape_count(&in.shape);
    g->row = in.shape;
    return TSR_OK;
}

/* A group of this one record; its name is borrowed. */
static enum tsr_status describe(const struct tsr_record *rec, struct tsr_stream_group *g, struct tsr_error *err)
{
    *g = (struct tsr_stream_group){.type = rec->type};
    if (tsr_rows_type(rec->type)) return describe_rows(rec, g, err);
    if (rec->type == TSR_INPT) return describe_inputs(rec, g, err);
    return TSR_OK;
}

static enum tsr_status find_group(struct tsr_stream_summary *s, const struct tsr_stream_group *like,
                                  struct tsr_stream_group **out, struct tsr_error *err)
{
    for (size_t i = 0; i < s->n_group; i++)
        if (same(&s->group[i], like)) {
            *out = &s->group[i];
            return TSR_OK;
        }
    if (s->n_group == MAX_GROUPS) return tsr_fail(err, TSR_E_LIMIT, "a segment holds more than %d different things", MAX_GROUPS);
    TSR_TRY(tsr_grow(&s->group, &s->cap_group, s->n_group + 1, sizeof *s->group, err));
    char *name = NULL;
    if (like->name != NULL && (name = tsr_strdup(like->name)) == NULL) return tsr_nomem(err, strlen(like->name) + 1);
    *out = &s->group[s->n_group++];
    **out = *like;
    (*out)->name = name;
    (*out)->set.rows = 0;
    return TSR_OK;
}

static enum tsr_status take_fields(struct tsr_stream_summary *s, const struct tsr_stream *stream,
                                   const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t count;
    const char *root;
    switch (rec->type) {
    case TSR_HEAD:
        s->segment = rec->segment;
        s->minor = tsr_stream_minor(stream);
        return tsr_stream_head_parse(rec, &s->head, err);
    case TSR_KEYS:
        TSR_TRY(tsr_json_need_int(rec->meta, "count", 1, TSR_BLOCK_ROWS, &count, err));
        s->blocks++;
        s->samples += count;
        return TSR_OK;
    case TSR_VIEW:
        tsr_json_free(s->view);
        return tsr_json_parse(rec->meta_text, rec->meta_len, TSR_MAX_META, "its JSON", &s->view, err);
    case TSR_ENDS:
        TSR_TRY(tsr_json_need_string(rec->meta, "root", &root, err));
        memcpy(s->root, root, strlen(root) < sizeof s->root ? strlen(root) : sizeof s->root - 1);
        s->ended = true;
        return TSR_OK;
    default: return TSR_OK;
    }
}

enum tsr_status tsr_stream_summary_add(struct tsr_stream_summary *s, const struct tsr_stream *stream,
                                       const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_stream_group one, *g = NULL;
    uint64_t stored = TSR_HEADER_LEN + rec->meta_len + rec->stored_len + (rec->type == TSR_HEAD ? TSR_MAGIC_LEN : 0);
    TSR_TRY(take_fields(s, stream, rec, err));
    TSR_TRY(describe(rec, &one, err));
    TSR_TRY(find_group(s, &one, &g, err));
    g->set.rows += one.set.rows;
    if (one.n_views > g->n_views) g->n_views = one.n_views;
    g->records++;
    g->plain += rec->plain_len;
    g->stored += stored;
    s->records++;
    s->plain += rec->plain_len;
    s->stored += stored;
    return TSR_OK;
}

static enum tsr_status group_json(const struct tsr_stream_group *g, struct tsr_json *j, struct tsr_error *err)
{
    char type[5];
    TSR_TRY(tsr_json_set_string(j, "type", tsr_type_text(g->type, type), err));
    TSR_TRY(tsr_json_set_int(j, "records", (int64_t)g->records, err));
    TSR_TRY(tsr_json_set_int(j, "plain", (int64_t)g->plain, err));
    TSR_TRY(tsr_json_set_int(j, "stored", (int64_t)g->stored, err));
    if (g->name != NULL) TSR_TRY(tsr_json_set_string(j, "name", g->name, err));
    if (!g->matrix) return TSR_OK;
    TSR_TRY(tsr_json_set_string(j, "dtype", tsr_dtype_name(g->set.dtype), err));
    TSR_TRY(tsr_json_set_int(j, "rows", (int64_t)g->set.rows, err));
    TSR_TRY(tsr_json_set_ints(j, "row", g->row.dim, (size_t)g->row.rank, err));
    if (tsr_rows_type(g->type)) TSR_TRY(tsr_json_set_string(j, "code", tsr_row_code_name(g->set.code), err));
    if (tsr_rows_addressed(g->type)) {
        TSR_TRY(tsr_json_set_string(j, "set", g->views ? "view" : "ref", err));
        if (g->views) TSR_TRY(tsr_json_set_int(j, "views", g->n_views, err));
    }
    if (g->type != TSR_BASE) return TSR_OK;
    TSR_TRY(tsr_json_set_string(j, "hub", g->hub, err));
    TSR_TRY(tsr_json_set_int(j, "dim", g->dim, err));
    return tsr_json_set_number(j, "lambda", g->lambda, err);
}

static enum tsr_status fill(const struct tsr_stream_summary *s, struct tsr_json *j, struct tsr_error *err)
{
    struct tsr_json *head, *groups, *group;
    TSR_TRY(tsr_json_set_string(j, "schema", "tessera-inspect.segment/1", err));
    TSR_TRY(tsr_json_set_int(j, "segment", (int64_t)s->segment, err));
    TSR_TRY(tsr_json_set_bool(j, "ended", s->ended, err));
    TSR_TRY(tsr_json_set_int(j, "records", (int64_t)s->records, err));
    TSR_TRY(tsr_json_set_int(j, "plain", (int64_t)s->plain, err));
    TSR_TRY(tsr_json_set_int(j, "stored", (int64_t)s->stored, err));
    TSR_TRY(tsr_json_set_int(j, "blocks", s->blocks, err));
    TSR_TRY(tsr_json_set_int(j, "samples", s->samples, err));
    if (s->ended) TSR_TRY(tsr_json_set_string(j, "root", s->root, err));
    if (s->view != NULL) TSR_TRY(tsr_json_set_copy(j, "view", s->view, err));
    if (s->head.producer != NULL) {
        TSR_TRY(tsr_json_set_object(j, "head", &head, err));
        TSR_TRY(tsr_stream_head_fill(&s->head, s->minor < 0 ? TSR_STREAM_MINOR : s->minor, head, err));
    }
    TSR_TRY(tsr_json_set_array(j, "contents", &groups, err));
    for (size_t i = 0; i < s->n_group; i++) {
        TSR_TRY(tsr_json_set_object(groups, NULL, &group, err));
        TSR_TRY(group_json(&s->group[i], group, err));
    }
    return TSR_OK;
}

enum tsr_status tsr_stream_summary_json(const struct tsr_stream_summary *s, struct tsr_json **out,
                                        struct tsr_error *err)
{
    TSR_TRY(tsr_json_object(out, err));
    enum tsr_status status = fill(s, *out, err);
    if (status != TSR_OK) {
        tsr_json_free(*out);
        *out = NULL;
    }
    return status;
}
