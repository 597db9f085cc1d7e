#include "shared/show.h"

#include <math.h>
#include <stdio.h>

enum tsr_status tsr_show_json(const struct tsr_json *j, struct tsr_error *err)
{
    struct tsr_buf text = {0};
    enum tsr_status status = tsr_json_print(j, &text, err);
    if (status == TSR_OK) {
        fwrite(text.data, 1, text.len, stdout);
        putchar('\n');
    }
    tsr_buf_release(&text);
    return status;
}

/* Names come from files: what a terminal would act upon is not passed on. */
static void put_name(const char *s)
{
    for (; *s != '\0'; s++) putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void put_fact(const char *label, const char *value)
{
    printf("  %-12s", label);
    put_name(value);
    putchar('\n');
}

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

static void show_head(const struct tsr_stream_summary *s)
{
    const struct tsr_stream_head *h = &s->head;
    char shape[TSR_SHAPE_TEXT];
    if (h->producer == NULL) return;
    put_fact("producer", h->producer);
    printf("  %-12s", "model");
    put_name(h->model ? h->model : h->model_digest[0] ? "unnamed" : "not known");
    printf("%s%s\n", h->model_digest[0] ? "  sha256 " : "", h->model_digest);
    for (size_t i = 0; i < h->n_inputs; i++) {
        printf("  %-12s", i == 0 ? "inputs" : "");
        put_name(h->input[i].name);
        printf(" %s %s\n", tsr_dtype_name(h->input[i].dtype), tsr_shape_text(&h->input[i].shape, shape, sizeof shape));
    }
    if (h->outputs == TSR_KIND_ARGMAX && h->classes > 0)
        printf("  %-12sthe likeliest of %lld classes\n", "outputs", (long long)h->classes);
    else if (h->outputs != TSR_KIND_NONE && h->classes > 0)
        printf("  %-12s%s, %lld a sample\n", "outputs", tsr_row_kind_name(h->outputs), (long long)h->classes);
    else if (h->outputs != TSR_KIND_NONE)
        put_fact("outputs", tsr_row_kind_name(h->outputs));
    if (h->blas != NULL) put_fact("blas", h->blas);
    for (size_t i = 0; i < h->n_lineage; i++) put_fact(i == 0 ? "lineage" : "", h->lineage[i]);
}

static void show_view(const struct tsr_json *view)
{
    struct tsr_buf text = {0};
    if (view == NULL || tsr_json_print(view, &text, NULL) != TSR_OK) return;
    printf("  %-12s%.*s\n", "views", (int)text.len, (const char *)text.data);
    tsr_buf_release(&text);
}

/* What a group of records is about. */
static void show_subject(const struct tsr_stream_group *g, const struct tsr_stream_summary *s)
{
    if (g->type == TSR_KEYS || g->name != NULL || g->views) fputs("  ", stdout);
    if (g->type == TSR_KEYS) printf("%lld keys in %lld block%s", (long long)s->samples, (long long)s->blocks, plural((uint64_t)s->blocks));
    if (g->name != NULL) put_name(g->name);
    if (g->type == TSR_BASE) printf("  hub %.12s of %lld dimensions", g->hub, (long long)g->dim);
    if (g->views) printf("%s%lld view%s", g->name ? ", " : "", (long long)g->n_views, plural((uint64_t)g->n_views));
}

static void show_group(const struct tsr_stream_group *g, const struct tsr_stream_summary *s)
{
    char type[5], shape[TSR_SHAPE_TEXT], rows[TSR_SHAPE_TEXT + 32] = "";
    if (g->matrix) {
        if (g->row.rank == 1)
            snprintf(rows, sizeof rows, "%zu x %lld", g->set.rows, (long long)g->row.dim[0]);
        else
            snprintf(rows, sizeof rows, "%zu x %s", g->set.rows, tsr_shape_text(&g->row, shape, sizeof shape));
    }
    printf("  %s %7llu  %-18s %-9s %-8s %12llu %12llu", tsr_type_text(g->type, type), (unsigned long long)g->records, rows,
           g->matrix ? tsr_dtype_name(g->set.dtype) : "",
           g->matrix && g->set.code != TSR_CODE_PLAIN ? tsr_row_code_name(g->set.code) : "",
           (unsigned long long)g->plain, (unsigned long long)g->stored);
    show_subject(g, s);
    putchar('\n');
}

void tsr_show_segment(const struct tsr_stream_summary *s)
{
    char version[24] = "of unknown version";
    if (s->minor >= 0) snprintf(version, sizeof version, "%d.%d", TSR_STREAM_MAJOR, s->minor);
    printf("token stream %s, segment %llu%s\n", version, (unsigned long long)s->segment + 1, s->ended ? "" : " (incomplete)");
    show_head(s);
    show_view(s->view);
    printf("  %-4s %7s  %-18s %-9s %-8s %12s %12s\n", "TYPE", "RECORDS", "ROWS", "ELEMENT", "CODE", "BYTES", "STORED");
    for (size_t i = 0; i < s->n_group; i++) show_group(&s->group[i], s);
    printf("  %-4s %7llu  %-37s %12llu %12llu\n", "all", (unsigned long long)s->records, "", (unsigned long long)s->plain,
           (unsigned long long)s->stored);
}

/* ---- models ---- */

static const char *string_of(const struct tsr_json *j, const char *key)
{
    const char *s = "";
    (void)!tsr_json_need_string(j, key, &s, NULL);
    return s;
}

static long long int_of(const struct tsr_json *j, const char *key)
{
    int64_t v = 0;
    (void)!tsr_json_need_int(j, key, 0, TSR_JSON_INT_MAX, &v, NULL);
    return (long long)v;
}

static void show_shape(const struct tsr_json *shape)
{
    if (shape == NULL) return;
    const char *between = " [";
    for (const struct tsr_json *d = tsr_json_first(shape); d != NULL; d = tsr_json_next(d), between = ",") {
        fputs(between, stdout);
        if (tsr_json_kind(d) == TSR_JSON_NUMBER)
            printf("%.0f", tsr_json_number(d));
        else
            put_name(tsr_json_kind(d) == TSR_JSON_STRING ? tsr_json_string(d) : "?");
    }
    fputs(*between == ' ' ? " []" : "]", stdout);
}

static void show_values(const char *label, const struct tsr_json *list)
{
    for (const struct tsr_json *v = tsr_json_first(list); v != NULL; v = tsr_json_next(v)) {
        printf("  %-12s", v == tsr_json_first(list) ? label : "");
        put_name(string_of(v, "name"));
        printf(" %s", string_of(v, "dtype"));
        show_shape(tsr_json_get(v, "shape"));
        putchar('\n');
    }
}

static void show_counts(const char *label, const struct tsr_json *object)
{
    printf("  %-12s", label);
    const char *between = "";
    for (const struct tsr_json *v = tsr_json_first(object); v != NULL; v = tsr_json_next(v), between = ", ") {
        fputs(between, stdout);
        put_name(tsr_json_key(v));
        printf(" %.0f", tsr_json_number(v));
    }
    putchar('\n');
}

void tsr_show_model(const char *name, const struct tsr_json *model, bool all)
{
    printf("ONNX model, %lld nodes, %lld parameters\n", int_of(model, "nodes"), int_of(model, "parameters"));
    put_fact("file", name);
    put_fact("name", string_of(model, "name"));
    put_fact("producer", string_of(model, "producer"));
    put_fact("digest", string_of(model, "digest"));
    show_counts("opset", tsr_json_get(model, "opset"));
    show_values("inputs", tsr_json_get(model, "inputs"));
    show_values("outputs", tsr_json_get(model, "outputs"));
    show_counts("operators", tsr_json_get(model, "operators"));
    const struct tsr_json *layers = tsr_json_get(model, "layers");
    if (!all) {
        printf("  %-12s%zu tensors that activations can be taken of; --verbose names them\n", "layers", tsr_json_length(layers));
        return;
    }
    for (const struct tsr_json *v = tsr_json_first(layers); v != NULL; v = tsr_json_next(v)) {
        printf("  %-12s", v == tsr_json_first(layers) ? "layers" : "");
        put_name(string_of(v, "name"));
        printf("  %s\n", string_of(v, "op"));
    }
}

/* Bits that a sum may still grow by. */
static double headroom(const struct tsr_proof_layer *l)
{
    const double most = fmax((double)l->highest, -(double)l->lowest);
    return 31 - log2(fmax(most, 1));
}

static void show_wrap(const struct tsr_proof_layer *l)
{
    printf("    the sum of channel %lld reaches %lld, beyond 32 bits: input %d where the weight is positive (%lld terms), %d where it is "
           "negative (%lld)\n", (long long)l->channel, (long long)(l->negative ? l->lowest : l->highest), l->negative ? l->x_lo : l->x_hi,
           (long long)(l->negative ? l->downs : l->ups), l->negative ? l->x_hi : l->x_lo, (long long)(l->negative ? l->ups : l->downs));
}

void tsr_show_proof(const struct tsr_proof_layer *l, bool first)
{
    if (first) printf("%-6s %-14s %8s %6s %12s %12s %6s %8s  %s\n", "holds", "operator", "channels", "terms", "lowest", "highest", "spare", "rounding", "layer");
    printf("%-6s %-14s ", tsr_proof_layer_holds(l) ? "yes" : "NO", l->op);
    if (l->terms_that_fit > 0) printf("%8s %6s %12s %12s %6s ", "any", "any", "-", "-", "-");
    else printf("%8lld %6lld %12lld %12lld %6.1f ", (long long)l->channels, (long long)l->terms, (long long)l->lowest, (long long)l->highest, headroom(l));
    if (l->end == TSR_PROOF_WITHIN) printf("%8.1e  ", l->slack);
    else printf("%8s  ", l->end == TSR_PROOF_FLOAT ? "float" : "BEYOND");
    put_name(l->node);
    putchar('\n');
    if (l->terms_that_fit > 0) printf("    both operands change: sums of up to %lld terms fit in 32 bits\n", (long long)l->terms_that_fit);
    if (l->wraps) show_wrap(l);
    if (l->end == TSR_PROOF_BEYOND)
        printf("    channel %lld, sum %lld: %g comes out where %g is exact\n", (long long)l->end_channel, (long long)l->end_sum, l->end_have, l->end_want);
}
