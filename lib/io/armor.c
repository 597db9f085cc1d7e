#include "io/armor.h"

#include "base/mem.h"

struct armor {
    struct tsr_source *lines;
    uint64_t line;
    uint8_t group[4]; /* characters of the current group of four */
    int filled, padding;
    bool closed;      /* the line's padding was seen */
    uint8_t ready[3];
    int n_ready, at_ready;
};

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static enum tsr_status spoilt(const struct armor *a, const char *what, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_CORRUPT, "%s: line %llu is no base64: %s", tsr_source_name(a->lines), (unsigned long long)a->line + 1, what);
}

/* A whole group becomes one to three bytes. */
static enum tsr_status decode(struct armor *a, struct tsr_error *err)
{
    uint32_t bits = (uint32_t)a->group[0] << 18 | (uint32_t)a->group[1] << 12 | (uint32_t)a->group[2] << 6 | a->group[3];
    a->n_ready = 3 - a->padding;
    a->at_ready = 0;
    for (int i = 0; i < 3; i++) a->ready[i] = (uint8_t)(bits >> (16 - 8 * i));
    for (int i = a->n_ready; i < 3; i++)
        if (a->ready[i] != 0) return spoilt(a, "bits are left over", err);
    a->closed = a->padding > 0;
    a->filled = a->padding = 0;
    return TSR_OK;
}

static enum tsr_status take(struct armor *a, uint8_t c, struct tsr_error *err)
{
    if (c == '\n' || c == '\r') {
        if (a->filled != 0) return spoilt(a, "it ends within a group of four characters", err);
        if (c == '\n') {
            a->line++;
            a->closed = false;
        }
        return TSR_OK;
    }
    int v = value_of(c);
    if (a->closed || (a->padding > 0 && c != '=')) return spoilt(a, "something follows the padding", err);
    if (c == '=' && a->filled >= 2) {
        a->padding++;
        v = 0;
    }
    if (v < 0) return spoilt(a, "a character is none of the alphabet's", err);
    a->group[a->filled++] = (uint8_t)v;
    return a->filled == 4 ? decode(a, err) : TSR_OK;
}

static enum tsr_status read_armor(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    struct armor *a = arg;
    uint8_t *to = data;
    *got = 0;
    while (*got < n) {
        while (a->at_ready < a->n_ready && *got < n) to[(*got)++] = a->ready[a->at_ready++];
        if (*got == n) break;
        const uint8_t *p;
        size_t avail, i = 0;
        TSR_TRY(tsr_source_peek(a->lines, 1, &p, &avail, err));
        if (avail == 0) break;
        while (i < avail && a->at_ready == a->n_ready) TSR_TRY(take(a, p[i++], err));
        TSR_TRY(tsr_source_skip(a->lines, i, NULL, err));
    }
    if (*got == 0 && n > 0 && a->filled != 0)
        return tsr_fail(err, TSR_E_TRUNCATED, "%s ends inside line %llu", tsr_source_name(a->lines), (unsigned long long)a->line + 1);
    return TSR_OK;
}

static void finish(void *arg)
{
    struct armor *a = arg;
    tsr_source_close(a->lines);
    tsr_free(a);
}

enum tsr_status tsr_armor_source(struct tsr_source *lines, struct tsr_source **out, struct tsr_error *err)
{
    *out = NULL;
    struct armor *a = tsr_calloc(1, sizeof *a);
    if (a == NULL) {
        tsr_source_close(lines);
        return tsr_nomem(err, sizeof *a);
    }
    a->lines = lines;
    return tsr_source_from_callback(read_armor, finish, a, -1, tsr_source_name(lines), out, err);
}

enum tsr_status tsr_armor_write(struct tsr_sink *to, const void *data, size_t n, struct tsr_error *err)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    char text[4096];
    size_t filled = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (have > 2 ? p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) text[filled++] = k <= have ? digit[bits >> (18 - 6 * k) & 63] : '=';
        if (filled == sizeof text) {
            TSR_TRY(tsr_sink_write(to, text, filled, err));
            filled = 0;
        }
    }
    if (filled > 0) TSR_TRY(tsr_sink_write(to, text, filled, err));
    return tsr_sink_write(to, "\n", 1, err);
}
