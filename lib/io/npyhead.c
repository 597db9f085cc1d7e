#include "io/npyhead.h"

#include "io/npy.h"
#include "io/number.h"

#include <stdio.h>

static const struct {
    char code[3];
    enum tsr_dtype dtype;
} codes[] = {
    {"f2", TSR_F16}, {"f4", TSR_F32}, {"f8", TSR_F64}, {"i1", TSR_I8},  {"i2", TSR_I16}, {"i4", TSR_I32},
    {"i8", TSR_I64}, {"u1", TSR_U8},  {"u2", TSR_U16}, {"u4", TSR_U32}, {"u8", TSR_U64}, {"b1", TSR_BOOL},
};

struct scan {
    const char *p, *end, *name;
};

static void space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n')) s->p++;
}

/* Passes over white space and then `c`, where it stands there. */
static bool take(struct scan *s, char c)
{
    space(s);
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

static enum tsr_status bad(const struct scan *s, struct tsr_error *err, const char *what)
{
    return tsr_fail(err, TSR_E_CORRUPT, "%s has a damaged .npy header: %s", s->name, what);
}

/* A quoted word without escapes; false where there is none. */
static bool word(struct scan *s, const char **text, size_t *n)
{
    char quote = '\'';
    if (!take(s, '\'')) {
        if (!take(s, '"')) return false;
        quote = '"';
    }
    *text = s->p;
    while (s->p < s->end && *s->p != quote && *s->p != '\\') s->p++;
    if (s->p == s->end || *s->p != quote) return false;
    *n = (size_t)(s->p++ - *text);
    return true;
}

static enum tsr_status unsupported_type(const struct scan *s, const char *t, size_t n, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_UNSUPPORTED,
                    "%s has elements of type '%.*s'; save it as numbers we read, e.g. x.astype('<f4')", s->name,
                    (int)(n < 40 ? n : 40), t);
}

static enum tsr_status descr(struct scan *s, enum tsr_dtype *dtype, struct tsr_error *err)
{
    const char *t;
    size_t n;
    space(s);
    if (s->p < s->end && *s->p == '[') return unsupported_type(s, "structured", 10, err);
    if (!word(s, &t, &n)) return bad(s, err, "'descr' is not a string");
    if (n < 2 || strchr("<>|=", *t) == NULL) return bad(s, err, "'descr' does not name a type");
    for (size_t i = 0; n == 3 && i < sizeof codes / sizeof *codes; i++) {
        if (memcmp(t + 1, codes[i].code, 2) != 0) continue;
        if (t[0] == '>' && t[2] != '1')
            return tsr_fail(err, TSR_E_UNSUPPORTED, "%s is big-endian ('%.*s'); save it with x.astype('<%.2s')",
                            s->name, (int)n, t, t + 1);
        *dtype = codes[i].dtype;
        return TSR_OK;
    }
    return unsupported_type(s, t, n, err);
}

static enum tsr_status fortran(struct scan *s, bool *order, struct tsr_error *err)
{
    space(s);
    size_t left = (size_t)(s->end - s->p);
    *order = left >= 4 && memcmp(s->p, "True", 4) == 0;
    if (!*order && !(left >= 5 && memcmp(s->p, "False", 5) == 0))
        return bad(s, err, "'fortran_order' is neither True nor False");
    s->p += *order ? 4 : 5;
    return TSR_OK;
}

static enum tsr_status shape_of(struct scan *s, struct tsr_shape *shape, struct tsr_error *err)
{
    bool comma = true;
    *shape = (struct tsr_shape){0};
    if (!take(s, '(')) return bad(s, err, "'shape' is not a tuple");
    while (!take(s, ')')) {
        const char *digits = s->p;
        int64_t v;
        if (!comma) return bad(s, err, "'shape' lacks a comma");
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
        if (s->p == digits || !tsr_number_parse_int(digits, (size_t)(s->p - digits), &v))
            return bad(s, err, "'shape' has something else than dimensions");
        if (s->p < s->end && *s->p == 'L') s->p++; /* Python 2 */
        if (shape->rank == TSR_MAX_RANK)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "%s has more than %d dimensions", s->name, TSR_MAX_RANK);
        shape->dim[shape->rank++] = v;
        comma = take(s, ',');
    }
    if (shape->rank == 1 && !comma) return bad(s, err, "'shape' is a number, not a tuple");
    if (tsr_shape_count(shape) < 0) return bad(s, err, "'shape' has more elements than can be counted");
    return TSR_OK;
}

enum tsr_status tsr_npyhead_parse(const char *text, size_t n, const char *name, enum tsr_dtype *dtype,
                                  struct tsr_shape *shape, struct tsr_error *err)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    struct scan s = {.p = text, .end = text + n, .name = name};
    unsigned seen = 0;
    bool order = false, comma = true;
    if (!take(&s, '{')) return bad(&s, err, "it is not a dictionary");
    while (!take(&s, '}')) {
        const char *key;
        size_t len;
        unsigned k = 0;
        if (!comma || !word(&s, &key, &len)) return bad(&s, err, "it is not a dictionary with the keys of an array");
        while (k < 3 && (len != strlen(keys[k]) || memcmp(key, keys[k], len) != 0)) k++;
        if (k == 3 || (seen & 1u << k) != 0) return bad(&s, err, k == 3 ? "an unknown key" : "a key occurs twice");
        seen |= 1u << k;
        if (!take(&s, ':')) return bad(&s, err, "a key without a value");
        TSR_TRY(k == 0 ? descr(&s, dtype, err) : k == 1 ? fortran(&s, &order, err) : shape_of(&s, shape, err));
        comma = take(&s, ',');
    }
    space(&s);
    if (seen != 7) return bad(&s, err, "'descr', 'fortran_order' or 'shape' is missing");
    if (s.p != s.end) return bad(&s, err, "something follows the dictionary");
    if (order && shape->rank > 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "%s is in Fortran order; save it with numpy.ascontiguousarray(x)", name);
    return TSR_OK;
}

enum tsr_status tsr_npyhead_print(enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_buf *to,
                                  struct tsr_error *err)
{
    char text[512];
    size_t k = 0;
    while (k < sizeof codes / sizeof *codes && codes[k].dtype != dtype) k++;
    if (k == sizeof codes / sizeof *codes)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "numpy has no type %s; convert to float32 or int8 first",
                        tsr_dtype_name(dtype));
    int n = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                     codes[k].code[1] == '1' ? '|' : '<', codes[k].code), first = 0;
    for (int i = 0; i < shape->rank; i++) {
        int digits = snprintf(text + n, sizeof text - (size_t)n, "%lld", (long long)shape->dim[i]);
        if (i == 0) first = digits;
        n += digits;
        if (i + 1 < shape->rank || shape->rank == 1)
            n += snprintf(text + n, sizeof text - (size_t)n, shape->rank == 1 ? "," : ", ");
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    if (shape->rank > 0) n += snprintf(text + n, sizeof text - (size_t)n, "%*s", 21 - first, "");
    /* always at least one character of padding: the newline that ends the header comes on top */
    int pad = 64 - (10 + n + 1) % 64;
    n += snprintf(text + n, sizeof text - (size_t)n, "%*s\n", pad, "");
    uint8_t prefix[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    tsr_put_le16(prefix + 8, (uint16_t)n);
    TSR_TRY(tsr_buf_append(to, prefix, sizeof prefix, err));
    return tsr_buf_append(to, text, (size_t)n, err);
}
