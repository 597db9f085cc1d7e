/* external.c - weights in files beside the model: mapped, never read as a whole. A file is mapped
 * once, however many tensors lie in it. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
    atomic_long refs;
    void *base; /* NULL: an empty file */
    size_t length;
};

struct tsr_onnx_file {
    char *location;
    struct mapping *map;
};

static void drop(void *arg)
{
    struct mapping *m = arg;
    if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    if (m->base != NULL) (void)munmap(m->base, m->length);
    tsr_free(m);
}

void tsr_onnx_files_release(struct tsr_onnx_files *files)
{
    for (size_t i = 0; i < files->n_file; i++) {
        drop(files->file[i].map);
        tsr_free(files->file[i].location);
    }
    tsr_free(files->file);
    *files = (struct tsr_onnx_files){.folder = files->folder};
}

/* Opens what lies at `path` below the folder `root`, passing through no link on the way. */
static int open_below(const char *root, const char *path)
{
    int at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        char part[NAME_MAX + 1];
        size_t n = strcspn(path, "/");
        bool last = path[n] == '\0';
        if (n > NAME_MAX) {
            (void)close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        /* O_NONBLOCK: a fifo must not keep us waiting. */
        int next = openat(at, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY));
        int keep = errno;
        (void)close(at);
        errno = keep;
        if (last) return next;
        at = next;
        path += n + 1;
    }
    return -1;
}

/* No path may leave the folder: neither by its text nor through a symbolic link. Links within the
 * folder are followed first; what they lead to is then opened without following any, so that
 * nobody can put one there in between. */
static enum tsr_status open_inside(const char *folder, const char *location, int *fd, struct tsr_error *err)
{
    char path[PATH_MAX], root[PATH_MAX], real[PATH_MAX];
    bool text_ok = location[0] != '/' && location[0] != '\0';
    for (const char *p = location; text_ok && *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') text_ok = false;
        p += n + (p[n] == '/');
    }
    int n = snprintf(path, sizeof path, "%s/%s", folder, location);
    if (!text_ok || n < 0 || (size_t)n >= sizeof path)
        return tsr_fail(err, TSR_E_CORRUPT,
                        "its data file '%.200s' lies outside the model's folder, which is not allowed", location);
    if (realpath(folder, root) == NULL || realpath(path, real) == NULL)
        return tsr_fail(err, TSR_E_IO, "cannot open its data file '%.200s': %s", location, strerror(errno));
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(real, root, len) != 0 || real[len] != '/')
        return tsr_fail(err, TSR_E_CORRUPT,
                        "its data file '%.200s' leads outside the model's folder, which is not allowed", location);
    *fd = open_below(root, real + len + 1);
    if (*fd < 0) return tsr_fail(err, TSR_E_IO, "cannot open its data file '%.200s': %s", location, strerror(errno));
    return TSR_OK;
}

static enum tsr_status map_whole(int fd, const char *location, struct mapping **out, struct tsr_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return tsr_fail(err, TSR_E_IO, "its data file '%.200s' is no regular file", location);
    struct mapping *m = tsr_calloc(1, sizeof *m);
    if (m == NULL) return tsr_nomem(err, sizeof *m);
    atomic_init(&m->refs, 1);
    m->length = (size_t)st.st_size;
    if (m->length > 0) {
        void *base = mmap(NULL, m->length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (base == MAP_FAILED) {
            tsr_free(m);
            return tsr_fail(err, TSR_E_IO, "cannot map its data file '%.200s': %s", location, strerror(errno));
        }
        m->base = base;
    }
    *out = m;
    return TSR_OK;
}

/* The file's mapping, borrowed from the list. The tensors of one file come one after the other, so
 * the list is searched from its end. */
static enum tsr_status find(struct tsr_onnx_files *files, const char *location, struct mapping **out,
                            struct tsr_error *err)
{
    for (size_t i = files->n_file; i-- > 0;)
        if (strcmp(files->file[i].location, location) == 0) {
            *out = files->file[i].map;
            return TSR_OK;
        }
    int fd;
    struct tsr_onnx_file new = {.map = NULL};
    TSR_TRY(tsr_grow(&files->file, &files->cap_file, files->n_file + 1, sizeof *files->file, err));
    TSR_TRY(open_inside(files->folder, location, &fd, err));
    enum tsr_status status = map_whole(fd, location, &new.map, err);
    (void)close(fd);
    TSR_TRY(status);
    new.location = tsr_strdup(location);
    if (new.location == NULL) {
        drop(new.map);
        return tsr_nomem(err, strlen(location) + 1);
    }
    files->file[files->n_file++] = new;
    *out = new.map;
    return TSR_OK;
}

enum tsr_status tsr_onnx_external(struct tsr_onnx_files *files, const char *location, int64_t offset, int64_t length,
                                  enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_tensor *out,
                                  struct tsr_error *err)
{
    struct mapping *m = NULL;
    size_t need = tsr_dtype_bytes(dtype, tsr_shape_count(shape));
    TSR_TRY(find(files, location, &m, err));
    if ((uint64_t)offset > m->length)
        return tsr_fail(err, TSR_E_TRUNCATED, "its data file '%.200s' ends before offset %lld", location,
                        (long long)offset);
    size_t left = m->length - (size_t)offset;
    size_t given = length >= 0 ? (size_t)length : need <= left ? need : left;
    if (given > left || need != given)
        return tsr_fail(err, given <= left ? TSR_E_CORRUPT : TSR_E_TRUNCATED,
                        "its data file '%.200s' has %zu bytes from offset %lld on, the tensor needs %zu", location,
                        left < given ? left : given, (long long)offset, need);
    if (need == 0) return tsr_tensor_new(out, dtype, shape, NULL, err);
    char *data = (char *)m->base + offset;
    if (offset % ((tsr_dtype_bits(dtype) + 7) / 8) == 0 && dtype != TSR_BOOL) {
        TSR_TRY(tsr_tensor_wrap(out, dtype, shape, data, drop, m, err));
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
        return TSR_OK;
    }
    /* Kernels read whole elements: what lies askew is copied. So are truth values, which the caller
     * has to put right. */
    TSR_TRY(tsr_tensor_new(out, dtype, shape, NULL, err));
    memcpy(out->data, data, need);
    return TSR_OK;
}
