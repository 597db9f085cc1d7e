/* external.c - weights in files beside the model: mapped, never read as a whole. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
    void *base;
    size_t length;
};

static void unmap(void *arg)
{
    struct mapping *m = arg;
    (void)munmap(m->base, m->length);
    tsr_free(m);
}

/* No path may leave the folder: neither by its text nor through a symbolic link. */
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
    size_t len = strlen(root);
    if (strcmp(root, "/") != 0 && (strncmp(real, root, len) != 0 || real[len] != '/'))
        return tsr_fail(err, TSR_E_CORRUPT,
                        "its data file '%.200s' leads outside the model's folder, which is not allowed", location);
    *fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not keep us waiting */
    if (*fd < 0) return tsr_fail(err, TSR_E_IO, "cannot open its data file '%.200s': %s", location, strerror(errno));
    return TSR_OK;
}

static enum tsr_status map(int fd, const char *location, int64_t offset, int64_t length, enum tsr_dtype dtype,
                           const struct tsr_shape *shape, struct tsr_tensor *out, struct tsr_error *err)
{
    struct stat st;
    size_t need = tsr_dtype_bytes(dtype, tsr_shape_count(shape));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return tsr_fail(err, TSR_E_IO, "its data file '%.200s' is no regular file", location);
    int64_t left = offset <= st.st_size ? st.st_size - offset : -1;
    if (left < 0)
        return tsr_fail(err, TSR_E_TRUNCATED, "its data file '%.200s' ends before offset %lld", location,
                        (long long)offset);
    if (length < 0) length = need <= (size_t)left ? (int64_t)need : left; /* not given */
    if (length > left || need != (size_t)length)
        return tsr_fail(err, length <= left ? TSR_E_CORRUPT : TSR_E_TRUNCATED,
                        "its data file '%.200s' has %lld bytes from offset %lld on, the tensor needs %zu", location,
                        (long long)(left < length ? left : length), (long long)offset, need);
    if (need == 0) return tsr_tensor_new(out, dtype, shape, NULL, err);
    struct mapping *m = tsr_malloc(1, sizeof *m);
    if (m == NULL) return tsr_nomem(err, sizeof *m);
    int64_t page = sysconf(_SC_PAGESIZE), start = offset - offset % page;
    m->length = need + (size_t)(offset - start);
    m->base = mmap(NULL, m->length, PROT_READ, MAP_PRIVATE, fd, (off_t)start);
    if (m->base == MAP_FAILED) {
        tsr_free(m);
        return tsr_fail(err, TSR_E_IO, "cannot map its data file '%.200s': %s", location, strerror(errno));
    }
    char *data = (char *)m->base + (offset - start);
    enum tsr_status status;
    if (offset % ((tsr_dtype_bits(dtype) + 7) / 8) == 0 && dtype != TSR_BOOL) {
        status = tsr_tensor_wrap(out, dtype, shape, data, unmap, m, err);
        if (status != TSR_OK) unmap(m);
        return status;
    }
    /* Kernels read whole elements: what lies askew is copied. So are truth values, which the caller
     * has to put right. */
    status = tsr_tensor_new(out, dtype, shape, NULL, err);
    if (status == TSR_OK) memcpy(out->data, data, need);
    unmap(m);
    return status;
}

enum tsr_status tsr_onnx_external(const char *folder, const char *location, int64_t offset, int64_t length,
                                  enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_tensor *out,
                                  struct tsr_error *err)
{
    int fd;
    TSR_TRY(open_inside(folder, location, &fd, err));
    enum tsr_status status = map(fd, location, offset, length, dtype, shape, out, err);
    (void)close(fd);
    return status;
}
