#include "merge/roster.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "io/number.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 30)

struct tsr_key tsr_roster_key(const char *name)
{
    struct tsr_keyhash h;
    struct tsr_key key;
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, name, strlen(name));
    tsr_keyhash_final(&h, &key);
    return key;
}

static int by_key(const void *a, const void *b)
{
    const struct tsr_roster_entry *x = a, *y = b;
    return memcmp(x->key.b, y->key.b, TSR_KEY_LEN);
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool from_hex(const char *name, struct tsr_key *key)
{
    if (strlen(name) != 2 * TSR_KEY_LEN) return false;
    for (size_t i = 0; i < TSR_KEY_LEN; i++) {
        int high = digit(name[2 * i]), low = digit(name[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        key->b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static enum tsr_status add(struct tsr_roster *r, const char *name, int64_t weight, struct tsr_error *err)
{
    struct tsr_key raw;
    TSR_TRY(tsr_grow(&r->entry, &r->cap, r->n + 2, sizeof *r->entry, err));
    r->entry[r->n++] = (struct tsr_roster_entry){tsr_roster_key(name), weight};
    if (from_hex(name, &raw)) r->entry[r->n++] = (struct tsr_roster_entry){raw, weight};
    return TSR_OK;
}

/* One line, NUL-terminated: a name of anything but blanks at its ends, and perhaps a weight. */
static enum tsr_status take_line(struct tsr_roster *r, char *line, const char *source, size_t number, struct tsr_error *err)
{
    char *end = line + strcspn(line, "#");
    int64_t weight = 1;
    while (end > line && strchr(" \t\r", end[-1]) != NULL) end--;
    *end = '\0';
    line += strspn(line, " \t");
    if (*line == '\0') return TSR_OK;
    char *gap = line + strcspn(line, " \t");
    if (*gap != '\0') {
        char *text = gap + strspn(gap, " \t");
        *gap = '\0';
        if (!tsr_number_parse_int(text, strlen(text), &weight) || weight < 0 || weight > TSR_ROSTER_WEIGHT)
            return tsr_fail(err, TSR_E_FORMAT, "%s: line %zu: '%.60s' is no weight from 0 to %d", source, number, text,
                            TSR_ROSTER_WEIGHT);
    }
    return add(r, line, weight, err);
}

static enum tsr_status finish(struct tsr_roster *r, const char *source, struct tsr_error *err)
{
    struct tsr_sha256 h;
    uint8_t digest[TSR_SHA256_LEN];
    if (r->n > 1) qsort(r->entry, r->n, sizeof *r->entry, by_key);
    tsr_sha256_init(&h);
    for (size_t i = 0; i < r->n; i++) {
        uint8_t weight[8];
        if (i > 0 && by_key(&r->entry[i - 1], &r->entry[i]) == 0)
            return tsr_fail(err, TSR_E_FORMAT, "%s: a contributor is listed twice", source);
        tsr_put_le64(weight, (uint64_t)r->entry[i].weight);
        tsr_sha256_update(&h, r->entry[i].key.b, TSR_KEY_LEN);
        tsr_sha256_update(&h, weight, sizeof weight);
    }
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, r->digest);
    return TSR_OK;
}

enum tsr_status tsr_roster_load(struct tsr_roster *r, struct tsr_source *from, struct tsr_error *err)
{
    struct tsr_buf text = {0};
    const char *name = tsr_source_name(from);
    *r = (struct tsr_roster){0};
    enum tsr_status status = tsr_source_read_all(from, MAX_BYTES, &text, err);
    if (status == TSR_OK) status = tsr_buf_append(&text, "\n", 2, err); /* and a NUL */
    size_t number = 1;
    for (char *line = (char *)text.data; status == TSR_OK && line + 1 < (char *)text.data + text.len; number++) {
        char *next = line + strcspn(line, "\n");
        if (*next != '\n') {
            status = tsr_fail(err, TSR_E_FORMAT, "%s: line %zu holds a NUL character", name, number);
            break;
        }
        *next = '\0';
        status = take_line(r, line, name, number, err);
        line = next + 1;
    }
    if (status == TSR_OK) status = finish(r, name, err);
    tsr_buf_release(&text);
    if (status != TSR_OK) tsr_roster_release(r);
    return status;
}

void tsr_roster_release(struct tsr_roster *r)
{
    tsr_free(r->entry);
    *r = (struct tsr_roster){0};
}

const struct tsr_roster_entry *tsr_roster_find(const struct tsr_roster *r, const struct tsr_key *key)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = memcmp(r->entry[mid].key.b, key->b, TSR_KEY_LEN);
        if (order == 0) return &r->entry[mid];
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}
