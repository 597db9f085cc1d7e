/* onnx_tensor.c - TensorProto messages to tensors. */
#include "base/bytes.h"
#include "base/mem.h"
#include "model/onnx.h"
#include "model/onnx_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The parser says NULL for bad bytes and for short memory alike; `arg` remembers which. */
static void *proto_alloc(void *arg, size_t n)
{
    void *p = tsr_malloc(n, 1);
    if (p == NULL) *(bool *)arg = true;
    return p;
}

static void proto_free(void *arg, void *p)
{
    (void)arg;
    tsr_free(p);
}

ProtobufCAllocator tsr_onnx_allocator(bool *failed)
{
    *failed = false;
    return (ProtobufCAllocator){proto_alloc, proto_free, failed};
}

/* Types of the format that no tensor of ours can have. */
static const char *type_name(int type)
{
    static const char *const foreign[] = {[14] = "complex64", [15] = "complex128"};
    bool is_foreign = type >= 0 && type < (int)(sizeof foreign / sizeof *foreign) && foreign[type] != NULL;
    return is_foreign ? foreign[type] : tsr_dtype_name((enum tsr_dtype)type);
}

static const char *name_of(const Tsr__Onnx__Tensor *m) { return m->name != NULL && m->name[0] ? m->name : "(no name)"; }

static enum tsr_status shape_of(const Tsr__Onnx__Tensor *m, struct tsr_shape *shape, struct tsr_error *err)
{
    if (m->n_dims > TSR_MAX_RANK)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "tensor '%s' has rank %zu, and %d is the most this program handles",
                        name_of(m), m->n_dims, TSR_MAX_RANK);
    shape->rank = (int)m->n_dims;
    for (size_t i = 0; i < m->n_dims; i++) shape->dim[i] = m->dims[i];
    char text[TSR_SHAPE_TEXT];
    if (tsr_shape_count(shape) < 0)
        return tsr_fail(err, TSR_E_CORRUPT, "tensor '%s' has the impossible shape %s", name_of(m),
                        tsr_shape_text(shape, text, sizeof text));
    return TSR_OK;
}

static enum tsr_status wrong_count(const Tsr__Onnx__Tensor *m, const struct tsr_shape *shape, size_t have,
                                   const char *unit, struct tsr_error *err)
{
    char text[TSR_SHAPE_TEXT];
    return tsr_fail(err, TSR_E_CORRUPT, "tensor '%s' of shape %s holds %zu %s, which does not fit its shape",
                    name_of(m), tsr_shape_text(shape, text, sizeof text), have, unit);
}

/* Host order is little-endian on every platform we build for, as raw_data is. */
static enum tsr_status from_raw(Tsr__Onnx__Tensor *m, bool take, enum tsr_dtype dtype,
                                const struct tsr_shape *shape, struct tsr_tensor *out, struct tsr_error *err)
{
    size_t need = tsr_dtype_bytes(dtype, tsr_shape_count(shape));
    if (need != m->raw_data.len) return wrong_count(m, shape, m->raw_data.len, "bytes", err);
    if (need == 0 || !take) {
        TSR_TRY(tsr_tensor_new(out, dtype, shape, NULL, err));
        if (need != 0) memcpy(out->data, m->raw_data.data, need);
        return TSR_OK;
    }
    enum tsr_status status = tsr_tensor_wrap(out, dtype, shape, m->raw_data.data, tsr_free, m->raw_data.data, err);
    if (status == TSR_OK) m->raw_data = (ProtobufCBinaryData){0, NULL};
    return status;
}

/* Takes over a typed field whose numbers are the elements. */
static enum tsr_status take_field(void *field, size_t *n, enum tsr_dtype dtype, const struct tsr_shape *shape,
                                  struct tsr_tensor *out, struct tsr_error *err)
{
    void *data;
    memcpy(&data, field, sizeof data); /* of whichever type the numbers are */
    TSR_TRY(tsr_tensor_wrap(out, dtype, shape, data, tsr_free, data, err));
    memset(field, 0, sizeof data);
    *n = 0;
    return TSR_OK;
}

/* The typed fields: each holds several element types, one number an element (packed types: one
 * number a byte). */
static enum tsr_status from_fields(Tsr__Onnx__Tensor *m, bool take, enum tsr_dtype dtype,
                                   const struct tsr_shape *shape, struct tsr_tensor *out, struct tsr_error *err)
{
    size_t count = (size_t)tsr_shape_count(shape), have;
    size_t numbers = tsr_dtype_bits(dtype) < 8 ? tsr_dtype_bytes(dtype, (int64_t)count) : count;
    switch (dtype) {
    case TSR_F32: have = m->n_float_data; break;
    case TSR_F64: have = m->n_double_data; break;
    case TSR_I64: have = m->n_int64_data; break;
    case TSR_U32:
    case TSR_U64: have = m->n_uint64_data; break;
    default: have = m->n_int32_data; break;
    }
    if (have != numbers) return wrong_count(m, shape, have, "numbers", err);
    if (take && count > 0) switch (dtype) {
        case TSR_F32: return take_field(&m->float_data, &m->n_float_data, dtype, shape, out, err);
        case TSR_F64: return take_field(&m->double_data, &m->n_double_data, dtype, shape, out, err);
        case TSR_I32: return take_field(&m->int32_data, &m->n_int32_data, dtype, shape, out, err);
        case TSR_I64: return take_field(&m->int64_data, &m->n_int64_data, dtype, shape, out, err);
        case TSR_U64: return take_field(&m->uint64_data, &m->n_uint64_data, dtype, shape, out, err);
        default: break;
        }
    TSR_TRY(tsr_tensor_new(out, dtype, shape, NULL, err));
    if (count == 0) return TSR_OK;
    uint8_t *to = out->data;
    switch (dtype) {
    case TSR_F32: memcpy(to, m->float_data, count * 4); break;
    case TSR_F64: memcpy(to, m->double_data, count * 8); break;
    case TSR_I64: memcpy(to, m->int64_data, count * 8); break;
    case TSR_U64: memcpy(to, m->uint64_data, count * 8); break;
    case TSR_U32:
        for (size_t i = 0; i < count; i++) tsr_put_le32(to + 4 * i, (uint32_t)m->uint64_data[i]);
        break;
    case TSR_I32: memcpy(to, m->int32_data, count * 4); break;
    case TSR_F16:
    case TSR_BF16:
    case TSR_I16:
    case TSR_U16:
        for (size_t i = 0; i < count; i++) tsr_put_le16(to + 2 * i, (uint16_t)m->int32_data[i]);
        break;
    default: /* one byte each: I8 U8 BOOL, floats of 8 bits, and what is packed into bytes */
        for (size_t i = 0; i < numbers; i++) to[i] = (uint8_t)m->int32_data[i];
    }
    return TSR_OK;
}

static enum tsr_status from_file(const Tsr__Onnx__Tensor *m, struct tsr_onnx_files *files, enum tsr_dtype dtype,
                                 const struct tsr_shape *shape, struct tsr_tensor *out, struct tsr_error *err)
{
    const char *location = NULL;
    int64_t offset = 0, length = -1;
    for (size_t i = 0; i < m->n_external_data; i++) {
        const char *key = m->external_data[i]->key, *value = m->external_data[i]->value;
        if (key == NULL || value == NULL) continue;
        if (strcmp(key, "location") == 0) {
            location = value;
            continue;
        }
        bool is_offset = strcmp(key, "offset") == 0;
        if (!is_offset && strcmp(key, "length") != 0) continue;
        char *end;
        errno = 0;
        long long v = strtoll(value, &end, 10);
        if (errno != 0 || end == value || *end != '\0' || v < 0)
            return tsr_fail(err, TSR_E_CORRUPT, "tensor '%s': the %s '%.40s' of its external data is no number",
                            name_of(m), key, value);
        if (is_offset) offset = v;
        else length = v;
    }
    if (location == NULL)
        return tsr_fail(err, TSR_E_CORRUPT, "tensor '%s' keeps its data in another file but names none", name_of(m));
    if (files == NULL || files->folder == NULL)
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "tensor '%s' keeps its data in the file '%.100s', which a model read from a pipe cannot have; "
                        "give the model as a file",
                        name_of(m), location);
    enum tsr_status status = tsr_onnx_external(files, location, offset, length, dtype, shape, out, err);
    if (status != TSR_OK) tsr_error_prefix(err, "tensor '%s'", name_of(m));
    return status;
}

enum tsr_status tsr_onnx_tensor(Tsr__Onnx__Tensor *m, bool take, struct tsr_onnx_files *files, struct tsr_tensor *out,
                                struct tsr_error *err)
{
    struct tsr_shape shape = {0};
    enum tsr_dtype dtype = (enum tsr_dtype)m->data_type;
    *out = (struct tsr_tensor){0};
    if (tsr_dtype_bits(dtype) == 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "tensor '%s' has elements of type %s (%d), which this program has not",
                        name_of(m), type_name(m->data_type), (int)m->data_type);
    if (m->segment != NULL)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "tensor '%s' is stored in segments", name_of(m));
    TSR_TRY(shape_of(m, &shape, err));
    if (m->data_location == 1) TSR_TRY(from_file(m, files, dtype, &shape, out, err));
    else if (m->has_raw_data) TSR_TRY(from_raw(m, take, dtype, &shape, out, err));
    else TSR_TRY(from_fields(m, take, dtype, &shape, out, err));
    /* Kernels rely on 0 and 1. */
    uint8_t *truth = out->data;
    for (int64_t i = 0; dtype == TSR_BOOL && i < tsr_tensor_count(out); i++) truth[i] = truth[i] != 0;
    return TSR_OK;
}

enum tsr_status tsr_onnx_load_tensor(const void *data, size_t n, const char *name, struct tsr_tensor *out,
                                     struct tsr_error *err)
{
    bool failed;
    ProtobufCAllocator allocator = tsr_onnx_allocator(&failed);
    *out = (struct tsr_tensor){0};
    Tsr__Onnx__Tensor *m = tsr__onnx__tensor__unpack(&allocator, n, data);
    if (m == NULL) return failed ? tsr_nomem(err, n) : tsr_fail(err, TSR_E_FORMAT, "'%s' is not an ONNX tensor", name);
    enum tsr_status status = tsr_onnx_tensor(m, true, NULL, out, err);
    tsr__onnx__tensor__free_unpacked(m, &allocator);
    if (status != TSR_OK) tsr_error_prefix(err, "'%s'", name);
    return status;
}
