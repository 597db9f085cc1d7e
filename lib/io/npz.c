#include "io/npz.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <zip.h>

struct tsr_npz {
    char *name; /* for messages */
    zip_t *zip;
    struct tsr_buf memory; /* what zip reads from, where it is no file */
    struct entry {
        char *name; /* without ".npy" */
        zip_uint64_t index;
        int64_t size;   /* unpacked; -1 where not to be relied on */
        bool encrypted;
        int32_t method; /* of packing */
    } * entry;
    size_t n, cap;
};

bool tsr_npz_is_magic(const uint8_t *p, size_t n)
{
    return n >= 4 && p[0] == 'P' && p[1] == 'K' && ((p[2] == 3 && p[3] == 4) || (p[2] == 5 && p[3] == 6));
}

/* What an error of libzip means for the caller. */
static enum tsr_status zip_fail(const char *name, zip_error_t *e, struct tsr_error *err)
{
    enum tsr_status status = TSR_E_CORRUPT;
    switch (zip_error_code_zip(e)) {
    case ZIP_ER_MEMORY: status = TSR_E_NOMEM; break;
    case ZIP_ER_NOZIP: status = TSR_E_FORMAT; break;
    case ZIP_ER_NOENT:
    case ZIP_ER_OPEN:
    case ZIP_ER_READ:
    case ZIP_ER_SEEK:
    case ZIP_ER_TELL: status = TSR_E_IO; break;
    case ZIP_ER_EOF: status = TSR_E_TRUNCATED; break;
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_NOPASSWD:
    case ZIP_ER_MULTIDISK:
    case ZIP_ER_OPNOTSUPP: status = TSR_E_UNSUPPORTED; break;
    default: break;
    }
    if (status == TSR_E_FORMAT)
        return tsr_fail(err, status, "%s is no zip archive, or one that is cut short", name);
    return tsr_fail(err, status, "%s: cannot unpack the archive: %s", name, zip_error_strerror(e));
}

/* Whether the packed bytes can hold what they claim to, because memory is set aside for it. Deflate
 * cannot shrink by more than 1032 to 1 (258 bytes for two bits, RFC 1951). */
static bool credible(const zip_stat_t *st)
{
    if (st->comp_size > INT64_MAX / 2048) return false;
    if (st->comp_method == ZIP_CM_STORE) return st->size <= st->comp_size;
    return st->comp_method != ZIP_CM_DEFLATE || st->size <= st->comp_size * 1032 + 64;
}

/* Lists the members that are arrays. */
static enum tsr_status list(struct tsr_npz *z, struct tsr_error *err)
{
    zip_int64_t all = zip_get_num_entries(z->zip, 0);
    for (zip_int64_t i = 0; i < all; i++) {
        zip_stat_t st;
        zip_stat_init(&st);
        if (zip_stat_index(z->zip, (zip_uint64_t)i, 0, &st) != 0)
            return zip_fail(z->name, zip_get_error(z->zip), err);
        size_t len = (st.valid & ZIP_STAT_NAME) != 0 ? strlen(st.name) : 0;
        if (len <= 4 || memcmp(st.name + len - 4, ".npy", 4) != 0) continue;
        TSR_TRY(tsr_grow(&z->entry, &z->cap, z->n + 1, sizeof *z->entry, err));
        const zip_uint64_t need = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
        if ((st.valid & need) != need || !credible(&st))
            return tsr_fail(err, TSR_E_CORRUPT, "%s: '%.80s' claims to hold more than its packed bytes can", z->name,
                            st.name);
        struct entry e = {.index = (zip_uint64_t)i,
                          .size = st.comp_method == ZIP_CM_STORE || st.comp_method == ZIP_CM_DEFLATE ? (int64_t)st.size : -1,
                          .encrypted = (st.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && st.encryption_method != ZIP_EM_NONE,
                          .method = st.comp_method,
                          .name = tsr_memdup(st.name, len + 1)};
        if (e.name == NULL) return tsr_nomem(err, len + 1);
        e.name[len - 4] = '\0';
        z->entry[z->n++] = e;
    }
    if (z->n != 0) return TSR_OK;
    return tsr_fail(err, TSR_E_FORMAT, "%s is a zip archive without .npy arrays, not an .npz file", z->name);
}

static enum tsr_status make(const char *name, struct tsr_npz **out, struct tsr_error *err)
{
    struct tsr_npz *z = tsr_calloc(1, sizeof *z);
    if (z != NULL) z->name = tsr_strdup(name);
    if (z == NULL || z->name == NULL) {
        tsr_free(z);
        return tsr_nomem(err, sizeof *z);
    }
    *out = z;
    return TSR_OK;
}

enum tsr_status tsr_npz_open(const char *path, struct tsr_npz **out, struct tsr_error *err)
{
    struct tsr_npz *z = NULL;
    int code = 0;
    *out = NULL;
    TSR_TRY(make(path, &z, err));
    enum tsr_status status = TSR_OK;
    z->zip = zip_open(path, ZIP_RDONLY, &code);
    if (z->zip == NULL) {
        zip_error_t e;
        zip_error_init_with_code(&e, code);
        status = zip_fail(path, &e, err);
        zip_error_fini(&e);
    }
    if (status == TSR_OK) status = list(z, err);
    if (status == TSR_OK) *out = z;
    else tsr_npz_close(z);
    return status;
}

enum tsr_status tsr_npz_from_source(struct tsr_source *source, struct tsr_npz **out, struct tsr_error *err)
{
    struct tsr_npz *z = NULL;
    zip_error_t e;
    enum tsr_status status;
    *out = NULL;
    TSR_TRY(make(tsr_source_name(source), &z, err));
    zip_error_init(&e);
    TSR_GO(status, out, tsr_source_read_all(source, TSR_NPZ_MEMORY_MAX, &z->memory, err));
    zip_source_t *from = zip_source_buffer_create(z->memory.data, z->memory.len, 0, &e);
    if (from != NULL && (z->zip = zip_open_from_source(from, ZIP_RDONLY, &e)) == NULL) zip_source_free(from);
    status = z->zip != NULL ? list(z, err) : zip_fail(z->name, &e, err);
out:
    zip_error_fini(&e);
    if (status == TSR_OK) *out = z;
    else tsr_npz_close(z);
    return status;
}

void tsr_npz_close(struct tsr_npz *z)
{
    if (z == NULL) return;
    int keep = errno;
    if (z->zip != NULL) zip_discard(z->zip);
    for (size_t i = 0; i < z->n; i++) tsr_free(z->entry[i].name);
    tsr_free(z->entry);
    tsr_buf_release(&z->memory);
    tsr_free(z->name);
    tsr_free(z);
    errno = keep;
}

size_t tsr_npz_count(const struct tsr_npz *z) { return z->n; }
const char *tsr_npz_name(const struct tsr_npz *z, size_t i) { return z->entry[i].name; }

/* "a, b, c and 4 more" */
static void list_names(const struct tsr_npz *z, char *text, size_t size)
{
    size_t len = 0, i = 0;
    for (; i < z->n && len + 60 < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s'%.40s'", i != 0 ? ", " : "", z->entry[i].name);
    if (i < z->n) (void)snprintf(text + len, size - len, " and %zu more", z->n - i);
}

static enum tsr_status find(const struct tsr_npz *z, const char *name, const struct entry **out, struct tsr_error *err)
{
    char names[300] = "";
    if (name == NULL) {
        *out = &z->entry[0];
        if (z->n == 1) return TSR_OK;
        list_names(z, names, sizeof names);
        return tsr_fail(err, TSR_E_NOT_FOUND, "%s holds %zu arrays; choose one of %s, as in FILE.npz:NAME", z->name, z->n, names);
    }
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".npy") == 0) len -= 4;
    for (size_t i = 0; i < z->n; i++) {
        *out = &z->entry[i];
        if (strlen((*out)->name) == len && memcmp((*out)->name, name, len) == 0) return TSR_OK;
    }
    list_names(z, names, sizeof names);
    return tsr_fail(err, TSR_E_NOT_FOUND, "%s has no array '%.80s'; it has %s", z->name, name, names);
}

struct member {
    zip_file_t *file;
    char *label;
};

static enum tsr_status member_read(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    struct member *m = arg;
    *got = 0;
    zip_int64_t r = zip_fread(m->file, data, n < (size_t)1 << 30 ? n : (size_t)1 << 30);
    if (r < 0) return zip_fail(m->label, zip_file_get_error(m->file), err);
    *got = (size_t)r;
    return TSR_OK;
}

static void member_finish(void *arg)
{
    struct member *m = arg;
    if (m->file != NULL) (void)zip_fclose(m->file); /* what it could say, reading has said */
    tsr_free(m->label);
    tsr_free(m);
}

enum tsr_status tsr_npz_member(struct tsr_npz *z, const char *name, struct tsr_source **out, struct tsr_error *err)
{
    const struct entry *e;
    *out = NULL;
    TSR_TRY(find(z, name, &e, err));
    if (e->encrypted)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "%s: '%.80s' is encrypted; unpack it first", z->name, e->name);
    if (!zip_compression_method_supported(e->method, 0))
        return tsr_fail(err, TSR_E_UNSUPPORTED, "%s: '%.80s' is packed by method %d; save it with numpy.savez", z->name,
                        e->name, (int)e->method);
    size_t room = strlen(z->name) + strlen(e->name) + 8;
    struct member *m = tsr_calloc(1, sizeof *m);
    if (m != NULL) m->label = tsr_malloc(room, 1);
    if (m == NULL || m->label == NULL) {
        tsr_free(m);
        return tsr_nomem(err, room);
    }
    (void)snprintf(m->label, room, "%s: %s", z->name, e->name);
    m->file = zip_fopen_index(z->zip, e->index, 0);
    if (m->file == NULL) {
        enum tsr_status status = zip_fail(m->label, zip_get_error(z->zip), err);
        member_finish(m);
        return status;
    }
    return tsr_source_from_callback(member_read, member_finish, m, e->size, m->label, out, err);
}
