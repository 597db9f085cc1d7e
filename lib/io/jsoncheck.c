#include "io/jsoncheck.h"

#include <string.h>

size_t tsr_utf8_step(const uint8_t *p, size_t n)
{
    if (n == 0) return 0;
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : p[0] >= 0xE0 && p[0] <= 0xEF ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    uint8_t lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi) return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xBF) return 0;
    return len;
}

bool tsr_utf8_valid(const void *text, size_t n)
{
    const uint8_t *p = text;
    for (size_t i = 0, step; i < n; i += step)
        if ((step = tsr_utf8_step(p + i, n - i)) == 0) return false;
    return true;
}

struct scan {
    const uint8_t *p;
    size_t i, n;
};

static int look(const struct scan *s) { return s->i < s->n ? s->p[s->i] : -1; }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static void space(struct scan *s)
{
    while (look(s) == ' ' || look(s) == '\t' || look(s) == '\n' || look(s) == '\r') s->i++;
}

/* Four hex digits at s->i; -1 where they are not. */
static int hex4(struct scan *s)
{
    int v = 0;
    for (int k = 0; k < 4; k++, s->i++) {
        int c = look(s);
        if (is_digit(c)) c -= '0';
        else if (c >= 'a' && c <= 'f') c -= 'a' - 10;
        else if (c >= 'A' && c <= 'F') c -= 'A' - 10;
        else return -1;
        v = v * 16 + c;
    }
    return v;
}

static const char *escape(struct scan *s)
{
    int c = look(s);
    if (c >= 0 && c != 0 && strchr("\"\\/bfnrt", c) != NULL) {
        s->i++;
        return NULL;
    }
    if (c != 'u') return "unknown escape in a string";
    s->i++;
    int v = hex4(s);
    if (v < 0) return "\\u is not followed by four hexadecimal digits";
    if (v == 0) return "a string contains the NUL character";
    if (v >= 0xDC00 && v <= 0xDFFF) return "lone surrogate in a string";
    if (v >= 0xD800 && v <= 0xDBFF) {
        if (look(s) != '\\') return "lone surrogate in a string";
        s->i++;
        if (look(s) != 'u') return "lone surrogate in a string";
        s->i++;
        v = hex4(s);
        if (v < 0xDC00 || v > 0xDFFF) return "lone surrogate in a string";
    }
    return NULL;
}

static const char *string(struct scan *s)
{
    if (look(s) < 0) return "the text ends where a string is expected";
    if (look(s) != '"') return "expected a string";
    for (s->i++; s->i < s->n;) {
        uint8_t c = s->p[s->i];
        if (c == '"') {
            s->i++;
            return NULL;
        }
        if (c < 0x20) return "control character in a string";
        if (c == '\\') {
            s->i++;
            const char *wrong = escape(s);
            if (wrong != NULL) return wrong;
            continue;
        }
        size_t step = tsr_utf8_step(s->p + s->i, s->n - s->i);
        if (step == 0) return "invalid UTF-8";
        s->i += step;
    }
    return "the text ends inside a string";
}

static const char *digits(struct scan *s)
{
    if (!is_digit(look(s))) return "expected a digit";
    while (is_digit(look(s))) s->i++;
    return NULL;
}

static const char *number(struct scan *s)
{
    size_t start = s->i;
    const char *wrong = NULL;
    if (look(s) == '-') s->i++;
    if (look(s) == '0') s->i++; /* and no digit may follow */
    else wrong = digits(s);
    if (wrong == NULL && look(s) == '.') {
        s->i++;
        wrong = digits(s);
    }
    if (wrong == NULL && (look(s) == 'e' || look(s) == 'E')) {
        s->i++;
        if (look(s) == '+' || look(s) == '-') s->i++;
        wrong = digits(s);
    }
    /* cJSON copies numbers into 64 bytes; 17 digits say all that a double can hold */
    if (wrong == NULL && s->i - start > 60) return "a number of more than 60 characters";
    return wrong;
}

static const char *word(struct scan *s, const char *w)
{
    size_t n = strlen(w);
    if (s->n - s->i < n || memcmp(s->p + s->i, w, n) != 0) return "expected a value";
    s->i += n;
    return NULL;
}

static const char *value(struct scan *s, int depth);

static const char *container(struct scan *s, int depth, bool object)
{
    int close = object ? '}' : ']';
    if (depth == 0) return "nested too deeply";
    s->i++;
    space(s);
    if (look(s) == close) {
        s->i++;
        return NULL;
    }
    for (;;) {
        const char *wrong = NULL;
        if (object) {
            space(s);
            wrong = string(s);
            if (wrong != NULL) return wrong;
            space(s);
            if (look(s) != ':') return "expected ':'";
            s->i++;
        }
        wrong = value(s, depth - 1);
        if (wrong != NULL) return wrong;
        if (look(s) == close) {
            s->i++;
            return NULL;
        }
        if (look(s) < 0) return object ? "the text ends inside an object" : "the text ends inside an array";
        if (look(s) != ',') return object ? "expected ',' or '}'" : "expected ',' or ']'";
        s->i++;
    }
}

/* One value with the white space around it. */
static const char *value(struct scan *s, int depth)
{
    const char *wrong;
    space(s);
    switch (look(s)) {
    case '{': wrong = container(s, depth, true); break;
    case '[': wrong = container(s, depth, false); break;
    case '"': wrong = string(s); break;
    case 't': wrong = word(s, "true"); break;
    case 'f': wrong = word(s, "false"); break;
    case 'n': wrong = word(s, "null"); break;
    case -1: return "the text ends where a value is expected";
    default: wrong = look(s) == '-' || is_digit(look(s)) ? number(s) : "expected a value"; break;
    }
    if (wrong == NULL) space(s);
    return wrong;
}

const char *tsr_json_check(const uint8_t *text, size_t n, int depth, size_t *at)
{
    struct scan s = {.p = text, .n = n};
    const char *wrong = value(&s, depth);
    if (wrong == NULL && s.i != n) wrong = "something follows the value";
    *at = s.i;
    return wrong;
}
