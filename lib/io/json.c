/* The tree, its decoding and its memory are cJSON's; strictness, order and text are ours, because
 * cJSON takes more than RFC 8259 allows and prints numbers by way of the locale. */
#include "io/json.h"

#include "base/mem.h"
#include "io/jsoncheck.h"
#include "io/number.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <threads.h>

/* struct tsr_json is never defined: it is a cJSON by another name. */
static cJSON *in(const struct tsr_json *j)
{
    union {
        const struct tsr_json *from;
        cJSON *to;
    } cast = {.from = j};
    return cast.to;
}
static struct tsr_json *out_of(cJSON *j)
{
    union {
        cJSON *from;
        struct tsr_json *to;
    } cast = {.from = j};
    return cast.to;
}

static void *hook_malloc(size_t n) { return tsr_malloc(n, 1); }
static void hook_free(void *p) { tsr_free(p); }
static void install_hooks(void)
{
    cJSON_Hooks hooks = {.malloc_fn = hook_malloc, .free_fn = hook_free};
    cJSON_InitHooks(&hooks);
}
static void prepare(void)
{
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, install_hooks);
}

/* Order of member names: by UTF-16 code units (RFC 8785, 3.2.3). In UTF-8 bytes that is strcmp,
 * but for characters above U+FFFF (F0..F4), which come before U+E000..U+FFFF (EE, EF). */
static int compare_names(const char *x, const char *y)
{
    const unsigned char *a = (const unsigned char *)x, *b = (const unsigned char *)y;
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    if (*a >= 0xEE && *b >= 0xEE && (*a >= 0xF0) != (*b >= 0xF0)) return *a >= 0xF0 ? -1 : 1;
    return (*a > *b) - (*a < *b);
}

static int compare_items(const void *x, const void *y)
{
    const cJSON *const *a = x, *const *b = y;
    return compare_names((*a)->string, (*b)->string);
}

/* Sorts the members of one object and refuses two of a name. */
static enum tsr_status sort_members(cJSON *object, const char *what, struct tsr_error *err)
{
    size_t n = (size_t)cJSON_GetArraySize(object), i = 0;
    if (n < 2) return TSR_OK;
    cJSON **item = tsr_malloc(n, sizeof *item);
    if (item == NULL) return tsr_nomem(err, n * sizeof *item);
    for (cJSON *c = object->child; c != NULL; c = c->next) item[i++] = c;
    qsort(item, n, sizeof *item, compare_items);
    enum tsr_status status = TSR_OK;
    for (i = 1; i < n && status == TSR_OK; i++)
        if (strcmp(item[i - 1]->string, item[i]->string) == 0)
            status = tsr_fail(err, TSR_E_CORRUPT, "%s has the field '%.80s' twice", what, item[i]->string);
    object->child = item[0];
    for (i = 0; i < n; i++) {
        item[i]->prev = item[i != 0 ? i - 1 : n - 1];
        item[i]->next = i + 1 < n ? item[i + 1] : NULL;
    }
    tsr_free(item);
    return status;
}

static enum tsr_status settle(cJSON *j, const char *what, struct tsr_error *err)
{
    if (cJSON_IsNumber(j) && !isfinite(j->valuedouble))
        return tsr_fail(err, TSR_E_CORRUPT, "%s has a number that is too large%s%.80s", what,
                        j->string != NULL ? " in field " : "", j->string != NULL ? j->string : "");
    if (cJSON_IsObject(j)) TSR_TRY(sort_members(j, what, err));
    for (cJSON *c = j->child; c != NULL; c = c->next) TSR_TRY(settle(c, what, err));
    return TSR_OK;
}

enum tsr_status tsr_json_parse(const void *text, size_t n, size_t max, const char *what, struct tsr_json **out,
                               struct tsr_error *err)
{
    *out = NULL;
    if (n > max)
        return tsr_fail(err, TSR_E_LIMIT, "%s is JSON of %zu bytes, more than the %zu that are allowed", what, n, max);
    size_t at = 0;
    const char *wrong = tsr_json_check(text, n, TSR_JSON_DEPTH, &at);
    if (wrong != NULL) return tsr_fail(err, TSR_E_CORRUPT, "%s is not valid JSON at byte %zu: %s", what, at, wrong);
    prepare();
    char *copy = tsr_malloc(n + 1, 1); /* terminated, for a parser that was written for strings */
    if (copy == NULL) return tsr_nomem(err, n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    cJSON *root = cJSON_ParseWithOpts(copy, NULL, 1);
    tsr_free(copy);
    if (root == NULL) return tsr_nomem(err, n); /* the text is valid, so nothing else can be wrong */
    enum tsr_status status = settle(root, what, err);
    if (status != TSR_OK) {
        cJSON_Delete(root);
        return status;
    }
    *out = out_of(root);
    return TSR_OK;
}

void tsr_json_free(struct tsr_json *root) { cJSON_Delete(in(root)); }

/* ---- printing ---- */

static enum tsr_status put(struct tsr_buf *to, const char *s, struct tsr_error *err)
{
    return tsr_buf_append(to, s, strlen(s), err);
}

static enum tsr_status print_string(const char *s, struct tsr_buf *to, struct tsr_error *err)
{
    static const char hex[] = "0123456789abcdef";
    TSR_TRY(put(to, "\"", err));
    for (const char *p = s; *p != '\0';) {
        size_t plain = 0;
        while ((unsigned char)p[plain] >= 0x20 && p[plain] != '"' && p[plain] != '\\') plain++;
        TSR_TRY(tsr_buf_append(to, p, plain, err));
        p += plain;
        if (*p == '\0') break;
        char esc[7] = {'\\', 'u', '0', '0', hex[(*p >> 4) & 15], hex[*p & 15], '\0'};
        static const char from[] = "\b\t\n\f\r\"\\", short_form[] = "btnfr\"\\";
        const char *known = strchr(from, *p);
        if (known != NULL) {
            esc[1] = short_form[known - from];
            esc[2] = '\0';
        }
        TSR_TRY(put(to, esc, err));
        p++;
    }
    return put(to, "\"", err);
}

static enum tsr_status print_value(const cJSON *j, struct tsr_buf *to, struct tsr_error *err)
{
    char number[TSR_NUMBER_TEXT];
    if (cJSON_IsNull(j)) return put(to, "null", err);
    if (cJSON_IsBool(j)) return put(to, cJSON_IsTrue(j) ? "true" : "false", err);
    if (cJSON_IsNumber(j)) return tsr_buf_append(to, number, tsr_number_print(j->valuedouble, number), err);
    if (cJSON_IsString(j)) return print_string(j->valuestring, to, err);
    bool object = cJSON_IsObject(j);
    TSR_TRY(put(to, object ? "{" : "[", err));
    for (const cJSON *c = j->child; c != NULL; c = c->next) {
        if (object) {
            TSR_TRY(print_string(c->string, to, err));
            TSR_TRY(put(to, ":", err));
        }
        TSR_TRY(print_value(c, to, err));
        if (c->next != NULL) TSR_TRY(put(to, ",", err));
    }
    return put(to, object ? "}" : "]", err);
}

enum tsr_status tsr_json_print(const struct tsr_json *j, struct tsr_buf *to, struct tsr_error *err)
{
    return print_value(in(j), to, err);
}

/* ---- building ---- */

static enum tsr_status root(cJSON *(*create)(void), struct tsr_json **out, struct tsr_error *err)
{
    prepare();
    *out = out_of(create());
    return *out != NULL ? TSR_OK : tsr_nomem(err, sizeof(cJSON));
}

enum tsr_status tsr_json_object(struct tsr_json **out, struct tsr_error *err)
{
    return root(cJSON_CreateObject, out, err);
}

enum tsr_status tsr_json_array(struct tsr_json **out, struct tsr_error *err)
{
    return root(cJSON_CreateArray, out, err);
}

/* Links `item` behind `after` (NULL: in front). The first child's prev is the last child. */
static void link_behind(cJSON *parent, cJSON *after, cJSON *item)
{
    cJSON *first = parent->child;
    cJSON *next = after != NULL ? after->next : first;
    item->next = next;
    item->prev = after != NULL ? after : first != NULL ? first->prev : item;
    if (after != NULL) after->next = item;
    else parent->child = item;
    if (next != NULL) next->prev = item;
    else parent->child->prev = item;
}

/* Adds an item that was just made (NULL: memory was short) and owns it in every case. */
static enum tsr_status add(struct tsr_json *j, const char *key, cJSON *item, struct tsr_error *err)
{
    cJSON *parent = in(j);
    if (item == NULL) return tsr_nomem(err, sizeof(cJSON));
    enum tsr_status status = TSR_OK;
    if (key == NULL ? !cJSON_IsArray(parent) : !cJSON_IsObject(parent))
        status = tsr_fail(err, TSR_E_USAGE, "cannot add %s to JSON that is not an %s", key != NULL ? key : "an element",
                          key != NULL ? "object" : "array");
    else if (key != NULL && !tsr_utf8_valid(key, strlen(key)))
        status = tsr_fail(err, TSR_E_USAGE, "the name of a JSON field is not valid UTF-8");
    else if (key != NULL && (item->string = tsr_strdup(key)) == NULL)
        status = tsr_nomem(err, strlen(key));
    if (status != TSR_OK) {
        cJSON_Delete(item);
        return status;
    }
    cJSON *after = parent->child != NULL ? parent->child->prev : NULL;
    if (key != NULL) {
        tsr_json_remove(j, key);
        after = parent->child != NULL ? parent->child->prev : NULL;
        while (after != NULL && compare_names(after->string, key) > 0)
            after = after == parent->child ? NULL : after->prev;
    }
    link_behind(parent, after, item);
    return TSR_OK;
}

enum tsr_status tsr_json_set_null(struct tsr_json *j, const char *key, struct tsr_error *err)
{
    return add(j, key, cJSON_CreateNull(), err);
}

enum tsr_status tsr_json_set_bool(struct tsr_json *j, const char *key, bool v, struct tsr_error *err)
{
    return add(j, key, cJSON_CreateBool(v), err);
}

enum tsr_status tsr_json_set_int(struct tsr_json *j, const char *key, int64_t v, struct tsr_error *err)
{
    if (v > TSR_JSON_INT_MAX || v < -TSR_JSON_INT_MAX)
        return tsr_fail(err, TSR_E_NUMERIC, "the integer %lld of field '%s' is not exact in JSON", (long long)v,
                        key != NULL ? key : "[]");
    return add(j, key, cJSON_CreateNumber((double)v), err);
}

enum tsr_status tsr_json_set_number(struct tsr_json *j, const char *key, double v, struct tsr_error *err)
{
    if (!isfinite(v))
        return tsr_fail(err, TSR_E_NUMERIC, "field '%s' is not a finite number and cannot be JSON",
                        key != NULL ? key : "[]");
    return add(j, key, cJSON_CreateNumber(v), err);
}

enum tsr_status tsr_json_set_string(struct tsr_json *j, const char *key, const char *v, struct tsr_error *err)
{
    if (!tsr_utf8_valid(v, strlen(v)))
        return tsr_fail(err, TSR_E_USAGE, "the text of field '%s' is not valid UTF-8", key != NULL ? key : "[]");
    return add(j, key, cJSON_CreateString(v), err);
}

enum tsr_status tsr_json_set_object(struct tsr_json *j, const char *key, struct tsr_json **child,
                                    struct tsr_error *err)
{
    cJSON *item = cJSON_CreateObject();
    *child = NULL;
    TSR_TRY(add(j, key, item, err));
    *child = out_of(item);
    return TSR_OK;
}

enum tsr_status tsr_json_set_array(struct tsr_json *j, const char *key, struct tsr_json **child, struct tsr_error *err)
{
    cJSON *item = cJSON_CreateArray();
    *child = NULL;
    TSR_TRY(add(j, key, item, err));
    *child = out_of(item);
    return TSR_OK;
}

enum tsr_status tsr_json_set_ints(struct tsr_json *j, const char *key, const int64_t *v, size_t n,
                                  struct tsr_error *err)
{
    struct tsr_json *array; /* complete before it is linked, so that a failure leaves no trace */
    TSR_TRY(tsr_json_array(&array, err));
    for (size_t i = 0; i < n; i++) {
        enum tsr_status status = tsr_json_set_int(array, NULL, v[i], err);
        if (status != TSR_OK) {
            tsr_json_free(array);
            return status;
        }
    }
    return add(j, key, in(array), err);
}

enum tsr_status tsr_json_set_copy(struct tsr_json *j, const char *key, const struct tsr_json *v, struct tsr_error *err)
{
    cJSON *item = cJSON_Duplicate(in(v), 1);
    if (item != NULL && item->string != NULL) { /* the copy brings the name it had elsewhere */
        tsr_free(item->string);
        item->string = NULL;
    }
    return add(j, key, item, err);
}

void tsr_json_remove(struct tsr_json *object, const char *key)
{
    if (cJSON_IsObject(in(object))) cJSON_DeleteItemFromObjectCaseSensitive(in(object), key);
}

/* ---- looking around ---- */

enum tsr_json_kind tsr_json_kind(const struct tsr_json *j)
{
    const cJSON *c = in(j);
    if (cJSON_IsBool(c)) return TSR_JSON_BOOL;
    if (cJSON_IsNumber(c)) return TSR_JSON_NUMBER;
    if (cJSON_IsString(c)) return TSR_JSON_STRING;
    if (cJSON_IsArray(c)) return TSR_JSON_ARRAY;
    return cJSON_IsObject(c) ? TSR_JSON_OBJECT : TSR_JSON_NULL;
}

size_t tsr_json_length(const struct tsr_json *j) { return (size_t)cJSON_GetArraySize(in(j)); }

struct tsr_json *tsr_json_get(const struct tsr_json *object, const char *key)
{
    if (!cJSON_IsObject(in(object))) return NULL;
    return out_of(cJSON_GetObjectItemCaseSensitive(in(object), key));
}

struct tsr_json *tsr_json_first(const struct tsr_json *j) { return out_of(in(j)->child); }
struct tsr_json *tsr_json_next(const struct tsr_json *item) { return out_of(in(item)->next); }
const char *tsr_json_key(const struct tsr_json *item) { return in(item)->string; }

bool tsr_json_equal(const struct tsr_json *a, const struct tsr_json *b)
{
    const cJSON *x = in(a), *y = in(b);
    if (tsr_json_kind(a) != tsr_json_kind(b)) return false;
    if (cJSON_IsBool(x)) return cJSON_IsTrue(x) == cJSON_IsTrue(y);
    if (cJSON_IsNumber(x)) return x->valuedouble == y->valuedouble;
    if (cJSON_IsString(x)) return strcmp(x->valuestring, y->valuestring) == 0;
    for (x = x->child, y = y->child; x != NULL && y != NULL; x = x->next, y = y->next) {
        if ((x->string != NULL) != (y->string != NULL)) return false;
        if (x->string != NULL && strcmp(x->string, y->string) != 0) return false;
        if (!tsr_json_equal(out_of((cJSON *)(uintptr_t)x), out_of((cJSON *)(uintptr_t)y))) return false;
    }
    return x == NULL && y == NULL;
}

bool tsr_json_bool(const struct tsr_json *j) { return cJSON_IsTrue(in(j)); }
double tsr_json_number(const struct tsr_json *j) { return cJSON_IsNumber(in(j)) ? in(j)->valuedouble : 0; }
const char *tsr_json_string(const struct tsr_json *j) { return cJSON_IsString(in(j)) ? in(j)->valuestring : NULL; }
