#include "merge/ledger.h"

#include "base/mem.h"
#include "merge/real.h"

#include <stdlib.h>
#include <string.h>

#define SCHEMA "tessera-merge.credit/1"
#define MAX_BYTES ((size_t)1 << 30)
#define MAX_LINE ((size_t)1 << 16)

void tsr_ledger_release(struct tsr_ledger *l)
{
    tsr_buf_release(&l->text);
    tsr_buf_release(&l->fresh);
    tsr_free(l->entry);
    *l = (struct tsr_ledger){0};
}

static int by_key(const void *a, const void *b)
{
    const struct tsr_ledger_entry *x = a, *y = b;
    return memcmp(x->key.b, y->key.b, TSR_KEY_LEN);
}

static enum tsr_status take_line(struct tsr_ledger *l, const char *line, size_t n, struct tsr_error *err)
{
    struct tsr_json *j;
    const char *schema, *name;
    bool counts;
    TSR_TRY(tsr_json_parse(line, n, MAX_LINE, "its JSON", &j, err));
    enum tsr_status status = tsr_json_need_string(j, "schema", &schema, err);
    if (status == TSR_OK && strcmp(schema, SCHEMA) != 0) status = tsr_fail(err, TSR_E_FORMAT, "its schema is not " SCHEMA);
    if (status == TSR_OK) status = tsr_json_need_string(j, "contributor", &name, err);
    if (status == TSR_OK) status = tsr_json_need_bool(j, "counts", &counts, err);
    if (status == TSR_OK) status = tsr_grow(&l->entry, &l->cap, l->n + 1, sizeof *l->entry, err);
    if (status == TSR_OK) l->entry[l->n++] = (struct tsr_ledger_entry){tsr_roster_key(name), counts, !counts};
    tsr_json_free(j);
    return status;
}

/* Entries of the same contributor become one. */
static void gather(struct tsr_ledger *l)
{
    size_t n = 0;
    if (l->n == 0) return;
    qsort(l->entry, l->n, sizeof *l->entry, by_key);
    for (size_t i = 1; i < l->n; i++) {
        if (by_key(&l->entry[n], &l->entry[i]) != 0) {
            l->entry[++n] = l->entry[i];
            continue;
        }
        l->entry[n].counted += l->entry[i].counted;
        l->entry[n].left_out += l->entry[i].left_out;
    }
    l->n = n + 1;
}

enum tsr_status tsr_ledger_load(struct tsr_ledger *l, struct tsr_source *from, struct tsr_error *err)
{
    TSR_TRY(tsr_source_read_all(from, MAX_BYTES, &l->text, err));
    const char *at = (const char *)l->text.data, *end = at + l->text.len;
    for (size_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        enum tsr_status status = stop == NULL ? tsr_fail(err, TSR_E_TRUNCATED, "the line has no end")
                                              : take_line(l, at, (size_t)(stop - at), err);
        if (status != TSR_OK) {
            (void)tsr_error_prefix(err, "%s: line %zu", tsr_source_name(from), number);
            return status == TSR_E_CORRUPT || status == TSR_E_LIMIT ? TSR_E_FORMAT : status;
        }
        at = stop + 1;
    }
    gather(l);
    return TSR_OK;
}

static double reliability_of(const struct tsr_ledger *l, const char *name)
{
    struct tsr_ledger_entry want = {.key = tsr_roster_key(name)};
    const struct tsr_ledger_entry *e = l->n > 0 ? bsearch(&want, l->entry, l->n, sizeof want, by_key) : NULL;
    return e == NULL ? 0.5 : ((double)e->counted + 1) / ((double)e->counted + (double)e->left_out + 2);
}

static enum tsr_status fill(const struct tsr_ledger *l, const struct tsr_merge_decision *d, struct tsr_json *j, struct tsr_error *err)
{
    bool counts = d->fault == TSR_FAULT_NONE, aged = counts && l->now > 0 && d->time > 0 && d->time <= l->now;
    double quality = d->quality < 0 ? 0 : d->quality > 1 ? 1 : d->quality, reliability = reliability_of(l, d->contributor);
    double freshness = aged ? tsr_real_exp(-0.6931471805599453 * (double)(l->now - d->time) / l->half_life) : 0;
    double sum = 0.2 * reliability, parts = 0.2;
    TSR_TRY(tsr_json_set_string(j, "schema", SCHEMA, err));
    TSR_TRY(tsr_json_set_string(j, "contributor", d->contributor, err));
    if (l->round != NULL) TSR_TRY(tsr_json_set_string(j, "round", l->round, err));
    TSR_TRY(tsr_json_set_bool(j, "counts", counts, err));
    TSR_TRY(tsr_json_set_string(j, "reason", tsr_merge_fault_name(d->fault), err));
    TSR_TRY(tsr_json_set_int(j, "weight", d->weight, err));
    TSR_TRY(tsr_json_set_int(j, "rows", (int64_t)d->rows, err));
    TSR_TRY(tsr_json_set_number(j, "reliability", reliability, err));
    if (counts && d->centred) {
        TSR_TRY(tsr_json_set_number(j, "quality", quality, err));
        sum += 0.4 * quality;
        parts += 0.4;
    }
    if (counts && d->novelty >= 0) {
        TSR_TRY(tsr_json_set_number(j, "novelty", d->novelty, err));
        sum += 0.2 * d->novelty;
        parts += 0.2;
    }
    if (aged) {
        TSR_TRY(tsr_json_set_number(j, "freshness", freshness, err));
        sum += 0.2 * freshness;
        parts += 0.2;
    }
    return tsr_json_set_number(j, "utility", counts ? sum / parts : 0, err);
}

enum tsr_status tsr_ledger_add(struct tsr_ledger *l, const struct tsr_merge_decision *d, struct tsr_error *err)
{
    struct tsr_json *j;
    TSR_TRY(tsr_json_object(&j, err));
    enum tsr_status status = fill(l, d, j, err);
    if (status == TSR_OK) status = tsr_json_print(j, &l->fresh, err);
    if (status == TSR_OK) status = tsr_buf_append(&l->fresh, "\n", 1, err);
    tsr_json_free(j);
    return status;
}

enum tsr_status tsr_ledger_write(const struct tsr_ledger *l, struct tsr_sink *to, struct tsr_error *err)
{
    if (l->text.len > 0) TSR_TRY(tsr_sink_write(to, l->text.data, l->text.len, err));
    return l->fresh.len > 0 ? tsr_sink_write(to, l->fresh.data, l->fresh.len, err) : TSR_OK;
}
