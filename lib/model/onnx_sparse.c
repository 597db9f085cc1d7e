/* onnx_sparse.c - sparse tensors of the file are made dense when it is read. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <string.h>

/* A few bytes can claim any shape. All of a model's sparse tensors together may take MAX_DENSE bytes, and
 * MAX_CLAIMED of them beyond a thousandfold of the values that are there. */
#define MAX_DENSE ((size_t)1 << 30)
#define MAX_CLAIMED ((size_t)16 << 20)
#define FOLD 1000

/* Counts what a tensor takes when made dense, of which the file holds `there` bytes. */
static enum tsr_status count_dense(struct tsr_graph *g, const char *name, size_t bytes, size_t there, struct tsr_error *err)
{
    const size_t claimed = bytes / FOLD > there ? bytes - there * FOLD : 0;
    if (bytes > MAX_DENSE - g->dense_bytes)
        return tsr_fail(err, TSR_E_LIMIT, "sparse tensor '%s': the model's sparse tensors take more than %zu MiB when made dense",
                        name, MAX_DENSE >> 20);
    if (claimed > MAX_CLAIMED - g->claimed_bytes)
        return tsr_fail(err, TSR_E_LIMIT,
                        "sparse tensor '%s' has %zu bytes of values for %zu of its shape: with fewer than one in %d, the "
                        "model's sparse tensors may take %zu MiB; make it dense",
                        name, there, bytes, FOLD, MAX_CLAIMED >> 20);
    g->dense_bytes += bytes;
    g->claimed_bytes += claimed;
    return TSR_OK;
}

static enum tsr_status shape_of(struct tsr_graph *g, const Tsr__Onnx__SparseTensor *m, const char *name,
                                const struct tsr_tensor *values, struct tsr_shape *s, struct tsr_error *err)
{
    if (m->n_dims > TSR_MAX_RANK)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "sparse tensor '%s' has rank %zu, and %d is the most this program handles",
                        name, m->n_dims, TSR_MAX_RANK);
    *s = (struct tsr_shape){.rank = (int)m->n_dims};
    for (int i = 0; i < s->rank; i++) s->dim[i] = m->dims[i];
    int64_t count = tsr_shape_count(s);
    if (count < 0) return tsr_fail(err, TSR_E_CORRUPT, "sparse tensor '%s' has an impossible shape", name);
    return count_dense(g, name, tsr_dtype_bytes(values->dtype, count), tsr_dtype_bytes(values->dtype, tsr_tensor_count(values)), err);
}

/* Element k of the values goes to: indices[k], or, where indices has a row for each, the place with
 * these coordinates. -1: outside. */
static int64_t place(const struct tsr_shape *s, const struct tsr_tensor *indices, int64_t k)
{
    const int64_t *at = indices->data, count = tsr_shape_count(s);
    if (indices->shape.rank == 1) return at[k] >= 0 && at[k] < count ? at[k] : -1;
    int64_t to = 0;
    for (int i = 0; i < s->rank; i++) {
        int64_t c = at[k * s->rank + i];
        if (c < 0 || c >= s->dim[i]) return -1;
        to = to * s->dim[i] + c;
    }
    return to;
}

static enum tsr_status fill(const char *name, const struct tsr_shape *s, const struct tsr_tensor *values,
                            const struct tsr_tensor *indices, struct tsr_tensor *out, struct tsr_error *err)
{
    const int64_t n = tsr_tensor_count(values);
    bool fits = indices->dtype == TSR_I64 && values->shape.rank == 1 &&
                ((indices->shape.rank == 1 && indices->shape.dim[0] == n) ||
                 (indices->shape.rank == 2 && indices->shape.dim[0] == n && indices->shape.dim[1] == s->rank));
    if (!fits) return tsr_fail(err, TSR_E_CORRUPT, "sparse tensor '%s': its indices do not fit its %lld values", name, (long long)n);
    TSR_TRY(tsr_tensor_zeros(out, values->dtype, s->rank, s->dim, err));
    for (int64_t k = 0; k < n; k++) {
        int64_t to = place(s, indices, k);
        if (to < 0) {
            tsr_tensor_release(out);
            return tsr_fail(err, TSR_E_CORRUPT, "sparse tensor '%s': index %lld lies outside its shape", name, (long long)k);
        }
        if (tsr_dtype_bits(values->dtype) < 8) tsr_store_i64(out->dtype, out->data, to, tsr_load_i64(values->dtype, values->data, k));
        else {
            size_t size = tsr_dtype_bytes(values->dtype, 1);
            memcpy((char *)out->data + (size_t)to * size, (const char *)values->data + (size_t)k * size, size);
        }
    }
    return TSR_OK;
}

enum tsr_status tsr_onnx_sparse(struct tsr_graph *g, Tsr__Onnx__SparseTensor *m, struct tsr_onnx_files *files, const char **name,
                                struct tsr_tensor *out, struct tsr_error *err)
{
    struct tsr_shape shape;
    struct tsr_tensor values = {0}, indices = {0};
    enum tsr_status status;
    *out = (struct tsr_tensor){0};
    *name = m->values != NULL && m->values->name != NULL ? m->values->name : "";
    if (m->values == NULL || m->indices == NULL)
        return tsr_fail(err, TSR_E_CORRUPT, "sparse tensor '%s' lacks its values or its indices", *name);
    TSR_GO(status, done, tsr_onnx_tensor(m->values, false, files, &values, err));
    TSR_GO(status, done, tsr_onnx_tensor(m->indices, false, files, &indices, err));
    TSR_GO(status, done, shape_of(g, m, *name, &values, &shape, err));
    status = fill(*name, &shape, &values, &indices, out, err);
done:
    tsr_tensor_release(&values);
    tsr_tensor_release(&indices);
    return status;
}
