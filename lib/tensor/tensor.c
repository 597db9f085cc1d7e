/* tensor.c - shapes and tensors over counted storage. */
#include "tensor/tensor.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- shapes ---- */

int64_t tsr_shape_count(const struct tsr_shape *s)
{
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0) return -1;
        if (s->dim[i] == 0) zero = true;
        else if (__builtin_mul_overflow(n, s->dim[i], &n)) return -1;
    }
    return zero ? 0 : n;
}

bool tsr_shape_equal(const struct tsr_shape *a, const struct tsr_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

const char *tsr_shape_text(const struct tsr_shape *s, char *buf, size_t size)
{
    size_t at = 0;
    if (size == 0) return buf;
    buf[0] = 0;
    for (int i = 0; i <= s->rank && at < size; i++) {
        int k;
        if (i == s->rank) k = snprintf(buf + at, size - at, s->rank ? "]" : "[]");
        else k = snprintf(buf + at, size - at, "%c%" PRId64, i ? ',' : '[', s->dim[i]);
        if (k < 0) break;
        at += (size_t)k;
    }
    return buf;
}

bool tsr_shape_broadcast(const struct tsr_shape *a, const struct tsr_shape *b, struct tsr_shape *out)
{
    struct tsr_shape r = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < r.rank; i++) {
        int ia = a->rank - r.rank + i, ib = b->rank - r.rank + i;
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1) return false;
        r.dim[i] = da == 1 ? db : da;
    }
    *out = r;
    return true;
}

/* ---- storage ---- */

struct tsr_storage {
    atomic_long refs;
    void *block; /* NULL where `release` frees it */
    size_t bytes;
    struct tsr_allocator alloc; /* get NULL: tsr_aligned */
    void (*release)(void *arg);
    void *arg;
};

static void storage_drop(struct tsr_storage *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    if (s->release) s->release(s->arg);
    else if (s->alloc.put) s->alloc.put(s->alloc.self, s->block, s->bytes);
    else tsr_free(s->block);
    tsr_free(s);
}

/* ---- tensors ---- */

int64_t tsr_tensor_count(const struct tsr_tensor *t)
{
    return tsr_shape_count(&t->shape);
}

size_t tsr_dtype_bytes(enum tsr_dtype t, int64_t n)
{
    size_t bits;
    if (n < 0 || (uint64_t)n > SIZE_MAX || !tsr_mul_size((size_t)n, (size_t)tsr_dtype_bits(t), &bits)) {
        size_t bytes; /* the bits of a very large array may not fit where its bytes do */
        if (n < 0 || tsr_dtype_bits(t) < 8 || !tsr_mul_size((size_t)n, (size_t)tsr_dtype_bits(t) / 8, &bytes))
            return SIZE_MAX;
        return bytes;
    }
    return bits / 8 + (bits % 8 != 0);
}

size_t tsr_tensor_bytes(const struct tsr_tensor *t)
{
    return tsr_dtype_bytes(t->dtype, tsr_tensor_count(t));
}

static enum tsr_status check_size(enum tsr_dtype dtype, const struct tsr_shape *shape, size_t *bytes,
                                  struct tsr_error *err)
{
    char text[TSR_SHAPE_TEXT];
    if (tsr_dtype_bits(dtype) == 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "a tensor of type %s cannot be made", tsr_dtype_name(dtype));
    if (shape->rank < 0 || shape->rank > TSR_MAX_RANK)
        return tsr_fail(err, TSR_E_LIMIT, "a tensor of %d dimensions is beyond the limit of %d", shape->rank,
                        TSR_MAX_RANK);
    int64_t n = tsr_shape_count(shape);
    *bytes = n < 0 ? SIZE_MAX : tsr_dtype_bytes(dtype, n);
    if (*bytes > (size_t)PTRDIFF_MAX)
        return tsr_fail(err, TSR_E_LIMIT, "a %s tensor of shape %s does not fit in memory", tsr_dtype_name(dtype),
                        tsr_shape_text(shape, text, sizeof text));
    return TSR_OK;
}

enum tsr_status tsr_tensor_new(struct tsr_tensor *t, enum tsr_dtype dtype, const struct tsr_shape *shape,
                               const struct tsr_allocator *alloc, struct tsr_error *err)
{
    struct tsr_shape kept = *shape; /* `shape` may lie in *t */
    size_t bytes;
    memset(t, 0, sizeof *t);
    TSR_TRY(check_size(dtype, &kept, &bytes, err));
    if (bytes == 0) bytes = 1; /* so that data is never NULL where elements are known */
    struct tsr_storage *s = tsr_calloc(1, sizeof *s);
    if (!s) return tsr_nomem(err, sizeof *s);
    s->block = alloc ? alloc->get(alloc->self, bytes) : tsr_aligned(bytes);
    if (!s->block) {
        tsr_free(s);
        return tsr_nomem(err, bytes);
    }
    if (alloc) s->alloc = *alloc;
    s->bytes = bytes;
    atomic_init(&s->refs, 1);
    *t = (struct tsr_tensor){.dtype = dtype, .shape = kept, .data = s->block, .storage = s};
    return TSR_OK;
}

enum tsr_status tsr_tensor_zeros(struct tsr_tensor *t, enum tsr_dtype dtype, int rank, const int64_t *dim,
                                 struct tsr_error *err)
{
    struct tsr_shape s = {.rank = rank};
    for (int i = 0; i < rank && i < TSR_MAX_RANK; i++) s.dim[i] = dim[i];
    TSR_TRY(tsr_tensor_new(t, dtype, &s, NULL, err));
    memset(t->data, 0, tsr_tensor_bytes(t));
    return TSR_OK;
}

enum tsr_status tsr_tensor_wrap(struct tsr_tensor *t, enum tsr_dtype dtype, const struct tsr_shape *shape,
                                void *data, void (*release)(void *arg), void *arg, struct tsr_error *err)
{
    struct tsr_shape kept = *shape;
    size_t bytes;
    memset(t, 0, sizeof *t);
    TSR_TRY(check_size(dtype, &kept, &bytes, err));
    struct tsr_storage *s = NULL;
    if (release) {
        s = tsr_calloc(1, sizeof *s);
        if (!s) return tsr_nomem(err, sizeof *s);
        s->release = release;
        s->arg = arg;
        s->bytes = bytes;
        atomic_init(&s->refs, 1);
    }
    *t = (struct tsr_tensor){.dtype = dtype, .shape = kept, .data = data, .storage = s};
    return TSR_OK;
}

struct tsr_tensor tsr_tensor_share(const struct tsr_tensor *t)
{
    if (t->storage) atomic_fetch_add_explicit(&t->storage->refs, 1, memory_order_relaxed);
    return *t;
}

enum tsr_status tsr_tensor_cast(struct tsr_tensor *to, enum tsr_dtype dtype, const struct tsr_tensor *from,
                                struct tsr_error *err)
{
    TSR_TRY(tsr_tensor_new(to, dtype, &from->shape, NULL, err));
    if (from->data) tsr_convert(dtype, to->data, from->dtype, from->data, tsr_tensor_count(from));
    return TSR_OK;
}

enum tsr_status tsr_tensor_copy(struct tsr_tensor *to, const struct tsr_tensor *from, struct tsr_error *err)
{
    return tsr_tensor_cast(to, from->dtype, from, err);
}

void tsr_tensor_release(struct tsr_tensor *t)
{
    storage_drop(t->storage);
    memset(t, 0, sizeof *t);
}

bool tsr_tensor_unique(const struct tsr_tensor *t)
{
    return t->storage && !t->storage->release && atomic_load_explicit(&t->storage->refs, memory_order_acquire) == 1;
}

int64_t tsr_tensor_nonfinite(const struct tsr_tensor *t)
{
    enum { BLOCK = 4096 };
    int64_t n = tsr_tensor_count(t);
    if (!tsr_dtype_is_float(t->dtype) || !t->data) return -1;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t end = n - at < BLOCK ? n : at + BLOCK;
        uint32_t any = 0; /* a branch-free sweep; the place is looked for only where there is one */
        if (t->dtype == TSR_F32) {
            const uint32_t *p = t->data;
            for (int64_t i = at; i < end; i++) any |= (p[i] & 0x7f800000) == 0x7f800000;
        } else if (t->dtype == TSR_F64) {
            const double *p = t->data;
            for (int64_t i = at; i < end; i++) any |= (uint32_t)!isfinite(p[i]);
        } else {
            const uint16_t *p = t->data;
            uint16_t e = t->dtype == TSR_F16 ? 0x7c00 : 0x7f80;
            for (int64_t i = at; i < end; i++) any |= (p[i] & e) == e;
        }
        for (int64_t i = at; any && i < end; i++)
            if (!isfinite(tsr_load_f64(t->dtype, t->data, i))) return i;
    }
    return -1;
}
