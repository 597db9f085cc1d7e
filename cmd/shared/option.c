#include "shared/option.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WHAT = 96 };

enum tsr_status tsr_parse_int(const char *what, const char *s, int64_t lo, int64_t hi, int64_t *out,
                              struct tsr_error *err)
{
    char *end = NULL;
    const char *digits = s + (*s == '-' || *s == '+');
    errno = 0;
    intmax_t v = *digits >= '0' && *digits <= '9' ? strtoimax(s, &end, 10) : 0;
    if (end && *end == '\0' && errno == 0 && v >= lo && v <= hi) {
        *out = (int64_t)v;
        return TSR_OK;
    }
    if (hi == INT64_MAX)
        return tsr_fail(err, TSR_E_USAGE, "%s wants an integer of at least %" PRId64 ", not '%s'", what, lo, s);
    return tsr_fail(err, TSR_E_USAGE, "%s wants an integer from %" PRId64 " to %" PRId64 ", not '%s'", what, lo, hi, s);
}

/* Decimal notation only: strtod alone would take "nan", "inf" and hexadecimal. No program calls
 * setlocale, so the decimal point is always a point. */
static bool decimal(const char *s)
{
    return *s != '\0' && strspn(s, "+-.0123456789eE") == strlen(s);
}

enum tsr_status tsr_parse_double(const char *what, const char *s, double lo, double hi, double *out,
                                 struct tsr_error *err)
{
    char *end = NULL;
    double v = decimal(s) ? strtod(s, &end) : 0;
    if (end && end != s && *end == '\0' && isfinite(v) && v >= lo && v <= hi) {
        *out = v;
        return TSR_OK;
    }
    if (isinf(lo) && isinf(hi)) return tsr_fail(err, TSR_E_USAGE, "%s wants a finite number, not '%s'", what, s);
    if (isinf(hi)) return tsr_fail(err, TSR_E_USAGE, "%s wants a number of at least %g, not '%s'", what, lo, s);
    return tsr_fail(err, TSR_E_USAGE, "%s wants a number from %g to %g, not '%s'", what, lo, hi, s);
}

enum tsr_status tsr_parse_size(const char *what, const char *s, int64_t lo, int64_t hi, int64_t *out,
                               struct tsr_error *err)
{
    static const char *const unit[] = {"", "KiB", "MiB", "GiB"};
    char *end = NULL;
    errno = 0;
    intmax_t v = *s >= '0' && *s <= '9' ? strtoimax(s, &end, 10) : 0;
    for (int u = 0; end && errno == 0 && u < 4; u++) {
        if (strcmp(end, unit[u]) != 0) continue;
        if (v > (INT64_MAX >> (10 * u))) break;
        int64_t bytes = (int64_t)v << (10 * u);
        if (bytes < lo || bytes > hi) break;
        *out = bytes;
        return TSR_OK;
    }
    if (hi == INT64_MAX)
        return tsr_fail(err, TSR_E_USAGE, "%s wants a size of at least %" PRId64
                        " bytes (a number, or one with KiB, MiB or GiB), not '%s'", what, lo, s);
    return tsr_fail(err, TSR_E_USAGE, "%s wants a size from %" PRId64 " to %" PRId64
                    " bytes (a number, or one with KiB, MiB or GiB), not '%s'", what, lo, hi, s);
}

enum tsr_status tsr_parse_choice(const char *what, const char *s, const char *const *choices, int *out,
                                 struct tsr_error *err)
{
    char words[256] = "";
    size_t len = 0;
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], s) == 0) {
            *out = i;
            return TSR_OK;
        }
        const char *before = i == 0 ? "" : choices[i + 1] ? ", " : " or ";
        int n = snprintf(words + len, sizeof words - len, "%s%s", before, choices[i]);
        if (n < 0 || (size_t)n >= sizeof words - len) break;
        len += (size_t)n;
    }
    return tsr_fail(err, TSR_E_USAGE, "%s wants %s, not '%s'", what, words, s);
}

const struct tsr_option *tsr_option_at(const struct tsr_option_set *set, size_t i)
{
    if (i < set->n[0]) return &set->table[0][i];
    i -= set->n[0];
    return i < set->n[1] ? &set->table[1][i] : NULL;
}

bool tsr_option_visible(const struct tsr_option_set *set, const struct tsr_option *o)
{
    return o->common == 0 || (o->common & set->takes) != 0;
}

/* Optimal string alignment is overkill: plain edit distance, for "did you mean". */
static size_t distance(const char *a, size_t na, const char *b)
{
    size_t row[64], nb = strlen(b);
    if (nb >= 64) return nb;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

static enum tsr_status unknown(const struct tsr_option_set *set, const char *name, size_t len, struct tsr_error *err)
{
    const struct tsr_option *o, *near = NULL;
    size_t best = len < 5 ? 2 : 3; /* below this many edits it may be a slip */
    for (size_t i = 0; (o = tsr_option_at(set, i)) != NULL; i++) {
        if (!tsr_option_visible(set, o)) continue;
        size_t d = len > 2 && strncmp(o->name, name, len) == 0 ? 0 : distance(name, len, o->name);
        if (d < best) best = d, near = o;
    }
    if (near)
        return tsr_fail(err, TSR_E_USAGE, "unknown option '--%.*s'; did you mean '--%s'?", (int)(len < 200 ? len : 200),
                        name, near->name);
    return tsr_fail(err, TSR_E_USAGE, "unknown option '--%.*s'", (int)(len < 200 ? len : 200), name);
}

static bool takes_value(const struct tsr_option *o)
{
    return o->kind != TSR_OPT_FLAG && o->kind != TSR_OPT_COUNT && o->kind != TSR_OPT_HELP && o->kind != TSR_OPT_VERSION;
}

static enum tsr_status store(const struct tsr_option *o, const char *value, struct tsr_error *err)
{
    char what[WHAT];
    snprintf(what, sizeof what, "option '--%s'", o->name);
    switch (o->kind) {
    case TSR_OPT_FLAG: *o->to.flag = true; return TSR_OK;
    case TSR_OPT_COUNT: ++*o->to.count; return TSR_OK;
    case TSR_OPT_STRING:
        if (*value == '\0') return tsr_fail(err, TSR_E_USAGE, "%s wants %s, not an empty string", what, o->arg);
        *o->to.string = value;
        return TSR_OK;
    case TSR_OPT_INT: return tsr_parse_int(what, value, o->lo, o->hi, o->to.integer, err);
    case TSR_OPT_DOUBLE: return tsr_parse_double(what, value, o->dlo, o->dhi, o->to.real, err);
    case TSR_OPT_SIZE: return tsr_parse_size(what, value, o->lo, o->hi, o->to.integer, err);
    case TSR_OPT_CHOICE: return tsr_parse_choice(what, value, o->choices, o->to.choice, err);
    case TSR_OPT_LIST: {
        struct tsr_strings *l = o->to.list;
        if (*value == '\0') return tsr_fail(err, TSR_E_USAGE, "%s wants %s, not an empty string", what, o->arg);
        TSR_TRY(tsr_grow(&l->item, &l->cap, l->n + 1, sizeof *l->item, err));
        l->item[l->n++] = value;
        return TSR_OK;
    }
    case TSR_OPT_HELP:
    case TSR_OPT_VERSION: break;
    }
    return tsr_fail(err, TSR_E_INTERNAL, "%s has no place to store its value", what);
}

struct parse {
    const struct tsr_option_set *set;
    int argc;
    char **argv;
    int at; /* the argument in hand */
    bool *given;
    tsr_option_action *action;
    void *arg;
};

static enum tsr_status take(struct parse *p, size_t index, const char *value, struct tsr_error *err)
{
    const struct tsr_option *o = tsr_option_at(p->set, index);
    p->given[index] = true;
    if (o->kind == TSR_OPT_HELP && value && strcmp(value, "table") != 0)
        return tsr_fail(err, TSR_E_USAGE, "option '--%s' takes no value but 'table', not '%s'", o->name, value);
    if (o->kind == TSR_OPT_HELP || o->kind == TSR_OPT_VERSION) {
        p->action(p->arg, o, value);
        return TSR_OK;
    }
    return store(o, value, err);
}

static enum tsr_status parse_long(struct parse *p, const char *text, struct tsr_error *err)
{
    const struct tsr_option *o;
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const char *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; (o = tsr_option_at(p->set, i)) != NULL; i++) {
        if (!tsr_option_visible(p->set, o) || strlen(o->name) != len || strncmp(o->name, text, len) != 0) continue;
        if (!takes_value(o) && value && o->kind != TSR_OPT_HELP)
            return tsr_fail(err, TSR_E_USAGE, "option '--%s' takes no value", o->name);
        if (takes_value(o) && !value) {
            if (p->at + 1 >= p->argc) return tsr_fail(err, TSR_E_USAGE, "option '--%s' wants %s", o->name, o->arg);
            value = p->argv[++p->at];
        }
        return take(p, i, value, err);
    }
    return unknown(p->set, text, len, err);
}

static enum tsr_status parse_short(struct parse *p, const char *text, struct tsr_error *err)
{
    for (; *text; text++) {
        const struct tsr_option *o;
        size_t i = 0;
        while ((o = tsr_option_at(p->set, i)) != NULL && !(o->letter == *text && tsr_option_visible(p->set, o))) i++;
        if (!o) return tsr_fail(err, TSR_E_USAGE, "unknown option '-%c'", *text);
        if (!takes_value(o)) {
            TSR_TRY(take(p, i, NULL, err));
            continue;
        }
        const char *value = text + 1;
        if (*value == '\0') {
            if (p->at + 1 >= p->argc) return tsr_fail(err, TSR_E_USAGE, "option '-%c' wants %s", *text, o->arg);
            value = p->argv[++p->at];
        }
        return take(p, i, value, err);
    }
    return TSR_OK;
}

enum tsr_status tsr_option_parse(const struct tsr_option_set *set, int argc, char **argv, int *operands, bool *given,
                                 tsr_option_action *action, void *arg, struct tsr_error *err)
{
    struct parse p = {set, argc, argv, 1, given, action, arg};
    int n = 0;
    bool options = true;
    for (; p.at < argc; p.at++) {
        char *a = argv[p.at];
        if (!options || a[0] != '-' || a[1] == '\0') {
            argv[++n] = a; /* never overtakes p.at */
        } else if (strcmp(a, "--") == 0) {
            options = false;
        } else if (a[1] == '-') {
            TSR_TRY(parse_long(&p, a + 2, err));
        } else {
            TSR_TRY(parse_short(&p, a + 1, err));
        }
    }
    *operands = n;
    return TSR_OK;
}
