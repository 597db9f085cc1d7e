#include "io/samples.h"

#include "base/mem.h"
#include "io/csv.h"
#include "io/gather.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"

#include <string.h>
#include <sys/stat.h>

struct tsr_samples {
    struct tsr_source *source; /* the array's bytes; of .npz: the member's */
    struct tsr_npz *npz;
    enum tsr_dtype want;
    union {
        struct tsr_npy npy;
        struct tsr_idx idx;
        struct tsr_csv csv;
    } as;
    tsr_gather_fn *read; /* on &as */
    const char *format;
    enum tsr_dtype dtype;
    struct tsr_shape sample;
    size_t sample_bytes;
    int64_t rows, done;
    bool backed;
};

static enum tsr_status npy_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_npy_read(arg, max_rows, data, got, err);
}
static enum tsr_status idx_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_idx_read(arg, max_rows, data, got, err);
}
static enum tsr_status csv_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_csv_read(arg, max_rows, data, got, err);
}

static enum tsr_status open_npy(struct tsr_samples *r, struct tsr_error *err)
{
    struct tsr_npy *npy = &r->as.npy;
    TSR_TRY(tsr_npy_open(npy, r->source, err));
    if (npy->shape.rank == 0)
        return tsr_fail(err, TSR_E_MISMATCH, "%s holds a single number, not one sample per row",
                        tsr_source_name(r->source));
    r->read = npy_rows;
    r->dtype = npy->dtype;
    r->sample = npy->row;
    r->sample_bytes = npy->row_bytes;
    r->rows = npy->rows;
    r->backed = npy->backed;
    return TSR_OK;
}

static enum tsr_status open_idx(struct tsr_samples *r, struct tsr_error *err)
{
    struct tsr_idx *idx = &r->as.idx;
    TSR_TRY(tsr_idx_open(idx, r->source, err));
    r->read = idx_rows;
    r->dtype = idx->dtype;
    r->sample = idx->row;
    r->sample_bytes = idx->row_bytes;
    r->rows = idx->rows;
    r->backed = idx->backed;
    return TSR_OK;
}

static enum tsr_status open_csv(struct tsr_samples *r, struct tsr_error *err)
{
    struct tsr_csv *csv = &r->as.csv;
    TSR_TRY(tsr_csv_open(csv, r->source, tsr_dtype_is_int(r->want) || r->want == TSR_BOOL, err));
    r->read = csv_rows;
    r->dtype = csv->dtype;
    r->sample = csv->row;
    r->sample_bytes = csv->row_bytes;
    r->rows = -1;
    return TSR_OK;
}

/* Changes from the archive's source to its member's. */
static enum tsr_status open_npz(struct tsr_samples *r, const char *path, const char *member, struct tsr_error *err)
{
    struct stat st;
    if (path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        TSR_TRY(tsr_npz_open(path, &r->npz, err));
    } else {
        TSR_TRY(tsr_npz_from_source(r->source, &r->npz, err));
    }
    tsr_source_close(r->source);
    r->source = NULL;
    TSR_TRY(tsr_npz_member(r->npz, member, &r->source, err));
    return open_npy(r, err);
}

static bool begins(const uint8_t *p, size_t n, const char *magic, size_t len)
{
    return n >= len && memcmp(p, magic, len) == 0;
}

static enum tsr_status recognise(struct tsr_samples *r, const char *path, const char *member, struct tsr_error *err)
{
    const uint8_t *p;
    size_t n;
    const char *name = tsr_source_name(r->source);
    TSR_TRY(tsr_source_peek(r->source, 8, &p, &n, err));
    if (n == 0) return tsr_fail(err, TSR_E_FORMAT, "%s is empty", name);
    if (memcmp(p, TSR_NPY_MAGIC, n < TSR_NPY_MAGIC_LEN ? n : TSR_NPY_MAGIC_LEN) == 0) {
        r->format = "npy";
        return open_npy(r, err);
    }
    if (tsr_npz_is_magic(p, n)) {
        r->format = "npz";
        return open_npz(r, path, member, err);
    }
    if (tsr_idx_is_magic(p, n)) {
        r->format = "idx";
        return open_idx(r, err);
    }
    if (begins(p, n, "\x1f\x8b", 2) || begins(p, n, "\xfd" "7zXZ", 5) || begins(p, n, "\x28\xb5\x2f\xfd", 4))
        return tsr_fail(err, TSR_E_UNSUPPORTED, "%s is compressed; unpack it first (gzip -d, xz -d, zstd -d)", name);
    TSR_TRY(tsr_source_peek(r->source, 512, &p, &n, err));
    if (!tsr_csv_is_text(p, n < 512 ? n : 512))
        return tsr_fail(err, TSR_E_FORMAT, "%s is none of .npy, .npz, IDX and CSV", name);
    r->format = "csv";
    return open_csv(r, err);
}

static enum tsr_status open_source(struct tsr_source *source, const char *path, const char *member,
                                   enum tsr_dtype want, struct tsr_samples **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_samples *r = tsr_calloc(1, sizeof *r);
    if (r == NULL) {
        tsr_source_close(source);
        return tsr_nomem(err, sizeof *r);
    }
    r->source = source;
    r->want = want;
    enum tsr_status status = recognise(r, path, member, err);
    if (status == TSR_OK) *out = r;
    else tsr_samples_close(r);
    return status;
}

/* Where there is no file of that name, but one whose name ends before a colon: cuts `path` there. What follows names
 * an array of that archive; else NULL. */
static const char *cut_member(char *path)
{
    struct stat st;
    if (stat(path, &st) == 0) return NULL;
    for (size_t i = strlen(path); i-- > 1;) {
        if (path[i] != ':' || path[i + 1] == '\0') continue;
        path[i] = '\0';
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) return path + i + 1;
        path[i] = ':';
    }
    return NULL;
}

enum tsr_status tsr_samples_open(const char *path, const char *member, enum tsr_dtype want, struct tsr_samples **out,
                                 struct tsr_error *err)
{
    struct tsr_source *source = NULL;
    const char *chosen = NULL;
    *out = NULL;
    char *file = tsr_strdup(path);
    if (file == NULL) return tsr_nomem(err, strlen(path) + 1);
    const bool named = strcmp(path, "-") != 0;
    if (named && member == NULL) chosen = cut_member(file);
    enum tsr_status status = tsr_source_open(file, &source, err);
    if (status == TSR_OK) status = open_source(source, named ? file : NULL, chosen != NULL ? chosen : member, want, out, err);
    if (status == TSR_OK && chosen != NULL && (*out)->npz == NULL) {
        status = tsr_fail(err, TSR_E_NOT_FOUND, "%s is no .npz archive, so there is no array '%.80s' in it", file, chosen);
        tsr_samples_close(*out);
        *out = NULL;
    }
    tsr_free(file);
    return status;
}

enum tsr_status tsr_samples_from_source(struct tsr_source *source, const char *member, enum tsr_dtype want,
                                        struct tsr_samples **out, struct tsr_error *err)
{
    return open_source(source, NULL, member, want, out, err);
}

void tsr_samples_close(struct tsr_samples *r)
{
    if (r == NULL) return;
    tsr_source_close(r->source);
    tsr_npz_close(r->npz);
    tsr_free(r);
}

const char *tsr_samples_name(const struct tsr_samples *r) { return tsr_source_name(r->source); }
const char *tsr_samples_format(const struct tsr_samples *r) { return r->format; }
enum tsr_dtype tsr_samples_dtype(const struct tsr_samples *r) { return r->dtype; }
const struct tsr_shape *tsr_samples_shape(const struct tsr_samples *r) { return &r->sample; }
size_t tsr_samples_row_bytes(const struct tsr_samples *r) { return r->sample_bytes; }
int64_t tsr_samples_count(const struct tsr_samples *r) { return r->rows; }

enum tsr_status tsr_samples_read(struct tsr_samples *r, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    TSR_TRY(r->read(&r->as, max_rows, data, got, err));
    r->done += *got;
    return TSR_OK;
}

static enum tsr_status read_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_samples_read(arg, max_rows, data, got, err);
}

enum tsr_status tsr_samples_load(struct tsr_samples *r, struct tsr_tensor *t, struct tsr_error *err)
{
    const struct tsr_gather g = {.read = read_rows, .arg = r, .source = r->rows < 0 ? NULL : r->source,
                                 .dtype = r->dtype, .row = r->sample, .row_bytes = r->sample_bytes,
                                 .rows = r->rows < 0 ? -1 : r->rows - r->done, .backed = r->backed};
    return tsr_gather(&g, t, err);
}

enum tsr_status tsr_samples_load_file(const char *path, const char *member, enum tsr_dtype want, struct tsr_tensor *t,
                                      struct tsr_error *err)
{
    struct tsr_samples *r;
    *t = (struct tsr_tensor){0};
    TSR_TRY(tsr_samples_open(path, member, want, &r, err));
       enum tsr_status status = tsr_samples_load(r, t, err);
    tsr_samples_close(r);
    return status;
}
