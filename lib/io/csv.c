#include "io/csv.h"

#include "io/gather.h"
#include "io/number.h"

#include <math.h>

#define TSR_CSV_LINE_MAX ((size_t)64 << 20)

/* Shows the next line without its end; *line == NULL at the end of the input. *whole is how much
 * to skip for it. */
static enum tsr_status peek_line(struct tsr_csv *r, const char **line, size_t *n, size_t *whole, struct tsr_error *err)
{
    const uint8_t *p;
    size_t want = 1, avail = 0, seen = 0;
    const uint8_t *end = NULL;
    for (;;) {
        TSR_TRY(tsr_source_peek(r->source, want, &p, &avail, err));
        end = avail > seen ? memchr(p + seen, '\n', avail - seen) : NULL;
        if (end != NULL || avail < want) break;
        seen = avail;
        if (avail > TSR_CSV_LINE_MAX)
            return tsr_fail(err, TSR_E_LIMIT, "%s: line %lld is longer than 64 MiB", tsr_source_name(r->source),
                            (long long)r->line + 1);
        want = avail + 1;
    }
    *line = avail != 0 ? (const char *)p : NULL;
    *n = end != NULL ? (size_t)(end - p) : avail;
    *whole = *n + (end != NULL);
    if (*n != 0 && p[*n - 1] == '\r') --*n;
    return TSR_OK;
}

static enum tsr_status next_line(struct tsr_csv *r, size_t whole, struct tsr_error *err)
{
    r->line++;
    return tsr_source_skip(r->source, whole, NULL, err);
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t') return false;
    return true;
}

static enum tsr_status at(const struct tsr_csv *r, struct tsr_error *err, enum tsr_status status, int64_t column,
                          const char *field, size_t n, const char *what)
{
    return tsr_fail(err, status, "%s: line %lld, column %lld: '%.*s' %s", tsr_source_name(r->source),
                    (long long)r->line + 1, (long long)column, (int)(n < 40 ? n : 40), field, what);
}

/* Passes over comments; empty lines only where nothing but such follows. */
static enum tsr_status peek_data(struct tsr_csv *r, const char **line, size_t *n, size_t *whole, struct tsr_error *err)
{
    int64_t empty = 0;
    for (;;) {
        TSR_TRY(peek_line(r, line, n, whole, err));
        if (*line == NULL) return TSR_OK;
        bool blank = is_blank(*line, *n), comment = **line == '#' && *n != 0;
        if (!blank && !comment) break;
        if (blank && empty == 0) empty = r->line + 1;
        TSR_TRY(next_line(r, *whole, err));
    }
    if (empty == 0) return TSR_OK;
    return tsr_fail(err, TSR_E_CORRUPT, "%s: line %lld is empty but more lines follow", tsr_source_name(r->source),
                    (long long)empty);
}

/* One field from *p on, trimmed and without its quotes; *p moves behind it and its separator,
 * to NULL at the end of the line. False where quotes do not match. Fields with quotes inside are
 * no numbers, so that they come as they are. */
static bool next_field(const struct tsr_csv *r, const char **p, const char *end, const char **field, size_t *n)
{
    const char *q = *p, *stop;
    while (q < end && (*q == ' ' || (*q == '\t' && r->separator != '\t'))) q++;
    if (q < end && *q == '"') {
        *field = ++q;
        while (q < end && (*q != '"' || (q + 1 < end && q[1] == '"'))) q += *q == '"' ? 2 : 1;
        if (q >= end) return false;
        *n = (size_t)(q++ - *field);
        while (q < end && *q == ' ' && r->separator != ' ') q++;
        if (q < end && (*q != r->separator || r->separator == '\0')) return false;
        stop = q;
    } else {
        *field = q;
        while (q < end && (*q != r->separator || r->separator == '\0')) q++;
        stop = q;
        while (q > *field && (q[-1] == ' ' || q[-1] == '\t')) q--;
        *n = (size_t)(q - *field);
    }
    if (r->separator == ' ') /* any number of spaces is one separator, and none at the end */
        while (stop + 1 < end && stop[1] == ' ') stop++;
    *p = stop == end || (r->separator == ' ' && stop + 1 >= end) ? NULL : stop + 1;
    return true;
}

static char separator_of(const char *line, size_t n)
{
    static const char order[] = "\t;, ";
    size_t best = 4;
    bool quoted = false;
    while (n != 0 && (line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
    size_t first = 0;
    while (first < n && line[first] == ' ') first++;
    for (size_t i = first; i < n; i++) {
        if (line[i] == '"') quoted = !quoted;
        const char *c = quoted || line[i] == '\0' ? NULL : strchr(order, line[i]);
        if (c != NULL && (size_t)(c - order) < best) best = (size_t)(c - order);
    }
    return best < 4 ? order[best] : '\0';
}

/* The letters of nan, inf and infinity in any case, with a sign. */
static bool is_special(const char *p, size_t n)
{
    static const char *const words[] = {"nan", "inf", "infinity", "null", "na", "n/a"};
    if (n != 0 && (*p == '+' || *p == '-')) {
        p++;
        n--;
    }
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        size_t i = 0;
        while (i < n && words[w][i] != '\0' && (p[i] | 32) == (words[w][i] | 32)) i++;
        if (i == n && i != 0 && words[w][i] == '\0') return true;
    }
    return false;
}

/* Counts the fields of the first line and says how many of them are numbers, or stand for one. */
static enum tsr_status count_fields(const struct tsr_csv *r, const char *line, size_t n, int64_t *fields,
                                    int64_t *numbers, struct tsr_error *err)
{
    const char *p = line, *field;
    size_t len;
    double v;
    *fields = *numbers = 0;
    while (p != NULL) {
        if (!next_field(r, &p, line + n, &field, &len))
            return at(r, err, TSR_E_CORRUPT, *fields + 1, field, (size_t)(line + n - field), "lacks its closing quote");
        ++*fields;
        *numbers += tsr_number_parse(field, len, &v) || is_special(field, len);
    }
    return TSR_OK;
}

bool tsr_csv_is_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') return false;
    return true;
}

/* Binary input shows within its first bytes; UTF-16 does so by NUL characters. */
static enum tsr_status check_text(struct tsr_csv *r, struct tsr_error *err)
{
    const uint8_t *p;
    size_t avail;
    const char *name = tsr_source_name(r->source);
    TSR_TRY(tsr_source_peek(r->source, 512, &p, &avail, err));
    if (avail == 0) return tsr_fail(err, TSR_E_FORMAT, "%s is empty", name);
    if (!tsr_csv_is_text(p, avail < 512 ? avail : 512)) return tsr_fail(err, TSR_E_FORMAT, "%s is not text", name);
    if (avail >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) return tsr_source_skip(r->source, 3, NULL, err);
    return TSR_OK;
}

enum tsr_status tsr_csv_open(struct tsr_csv *r, struct tsr_source *source, bool integers, struct tsr_error *err)
{
    const char *line = NULL;
    size_t n = 0, whole = 0;
    int64_t fields = 0, numbers = 0;
    *r = (struct tsr_csv){.dtype = integers ? TSR_I64 : TSR_F32, .source = source};
    TSR_TRY(check_text(r, err));
    TSR_TRY(peek_data(r, &line, &n, &whole, err));
    if (line != NULL) {
        r->separator = separator_of(line, n);
        TSR_TRY(count_fields(r, line, n, &fields, &numbers, err));
    }
    if (line != NULL && numbers == 0) { /* a header; what it names is up to the reader */
        TSR_TRY(next_line(r, whole, err));
        TSR_TRY(peek_data(r, &line, &n, &whole, err));
        if (line != NULL) {
            int64_t header = fields;
            char separator = r->separator;
            r->separator = separator_of(line, n);
            TSR_TRY(count_fields(r, line, n, &fields, &numbers, err));
            if (numbers != 0 && (fields != header || r->separator != separator))
                return tsr_fail(err, TSR_E_CORRUPT, "%s: line %lld has %lld fields but its header has %lld",
                                tsr_source_name(source), (long long)r->line + 1, (long long)fields, (long long)header);
        }
    }
    if (line == NULL) return tsr_fail(err, TSR_E_FORMAT, "%s has no line of numbers", tsr_source_name(source));
    if (numbers == 0) return at(r, err, TSR_E_FORMAT, 1, line, n, "has no number");
    r->row = (struct tsr_shape){.rank = 1, .dim = {fields}};
    r->row_bytes = (size_t)fields * (integers ? sizeof(int64_t) : sizeof(float));
    return TSR_OK;
}

static enum tsr_status store(const struct tsr_csv *r, const char *field, size_t n, int64_t column, void *row,
                             struct tsr_error *err)
{
    double v = 0;
    if (r->dtype == TSR_I64) {
        int64_t i;
        if (tsr_number_parse_int(field, n, &i)) {
            ((int64_t *)row)[column] = i;
            return TSR_OK;
        }
        return at(r, err, TSR_E_CORRUPT, column + 1, field, n,
                  tsr_number_parse(field, n, &v) ? "is not an integer" : "is not a number");
    }
    if (!tsr_number_parse(field, n, &v))
        return is_special(field, n) ? at(r, err, TSR_E_NUMERIC, column + 1, field, n, "is not a finite number")
                                    : at(r, err, TSR_E_CORRUPT, column + 1, field, n, "is not a number");
    float f = (float)v;
    if (!isfinite(f)) return at(r, err, TSR_E_NUMERIC, column + 1, field, n, "is too large for float32");
    ((float *)row)[column] = f;
    return TSR_OK;
}

static enum tsr_status parse_row(const struct tsr_csv *r, const char *line, size_t n, void *row, struct tsr_error *err)
{
    const char *p = line, *end = line + n, *field;
    int64_t column = 0, columns = r->row.dim[0];
    size_t len;
    for (; p != NULL; column++) {
        if (!next_field(r, &p, end, &field, &len))
            return at(r, err, TSR_E_CORRUPT, column + 1, field, (size_t)(end - field), "lacks its closing quote");
        if (column < columns) TSR_TRY(store(r, field, len, column, row, err));
    }
    if (column == columns) return TSR_OK;
    return tsr_fail(err, TSR_E_CORRUPT, "%s: line %lld has %lld fields where the first has %lld",
                    tsr_source_name(r->source), (long long)r->line + 1, (long long)column, (long long)columns);
}

enum tsr_status tsr_csv_read(struct tsr_csv *r, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    int64_t done = 0;
    for (*got = 0; done < max_rows && !r->ended; done++) {
        const char *line;
        size_t n, whole;
        TSR_TRY(peek_data(r, &line, &n, &whole, err));
        r->ended = line == NULL;
        if (r->ended) break;
        TSR_TRY(parse_row(r, line, n, (uint8_t *)data + (size_t)done * r->row_bytes, err));
        TSR_TRY(next_line(r, whole, err));
    }
    *got = done;
    return TSR_OK;
}

static enum tsr_status read_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_csv_read(arg, max_rows, data, got, err);
}

enum tsr_status tsr_csv_load(struct tsr_source *source, bool integers, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_csv r;
    *t = (struct tsr_tensor){0};
    TSR_TRY(tsr_csv_open(&r, source, integers, err));
    const struct tsr_gather g = {.read = read_rows, .arg = &r, .dtype = r.dtype, .row = r.row,
                                 .row_bytes = r.row_bytes, .rows = -1};
    return tsr_gather(&g, t, err);
}
