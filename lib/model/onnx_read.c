/* onnx_read.c - reads a ModelProto without holding its weights twice. The parser of protobuf-c wants
 * all bytes of a message and copies what it finds; so the elements of large initialisers are taken
 * out on the way and read straight into memory of their own, and only the rest is parsed. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <string.h>

enum { MODEL_GRAPH = 7, GRAPH_INITIALISER = 5, TENSOR_RAW_DATA = 9 }; /* field numbers of onnx.proto */
enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };                         /* wire types */

#define LARGE ((uint64_t)1 << 16) /* a smaller tensor is parsed with the rest */
#define STEP ((size_t)1 << 20)    /* memory grows with the bytes that came */
#define MAX_MODEL ((uint64_t)1 << 31) /* as protobuf has it */

struct reader {
    struct tsr_source *src;
    const char *name;
    uint64_t used;
    struct tsr_onnx_message *m;
    struct tsr_error *err;
};

/* One field's beginning. left: the bytes of the message around it that are not yet read. */
struct field {
    uint64_t number, value; /* value: of a VARINT; the length of BYTES */
    int wire;
    uint8_t head[20]; /* tag and value as they stand in the file */
    size_t n_head;
};

static enum tsr_status damaged(const struct reader *r, enum tsr_status status)
{
    return tsr_fail(r->err, status, "'%s' is not an ONNX model, or is cut short: its messages do not parse", r->name);
}

/* A variable-length number, its bytes appended to f->head. */
static enum tsr_status varint(struct reader *r, uint64_t *left, struct field *f, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && *left > 0; shift += 7) {
        uint8_t b;
        size_t got;
        TSR_TRY(tsr_source_read(r->src, &b, 1, &got, r->err));
        if (got == 0) break;
        r->used++;
        *left -= 1;
        f->head[f->n_head++] = b;
        *out |= (uint64_t)(b & 127) << shift;
        if (b < 128) return TSR_OK;
    }
    return damaged(r, TSR_E_CORRUPT);
}

static enum tsr_status next_field(struct reader *r, uint64_t *left, struct field *f)
{
    uint64_t tag;
    f->n_head = 0;
    TSR_TRY(varint(r, left, f, &tag));
    f->number = tag >> 3;
    f->wire = (int)(tag & 7);
    if (f->number == 0) return damaged(r, TSR_E_CORRUPT);
    switch (f->wire) {
    case VARINT: return varint(r, left, f, &f->value);
    case FIXED64: f->value = 8; break;
    case FIXED32: f->value = 4; break;
    case BYTES: TSR_TRY(varint(r, left, f, &f->value)); break;
    default: return damaged(r, TSR_E_CORRUPT);
    }
    if (f->value > *left) return damaged(r, TSR_E_CORRUPT);
    if (r->used > MAX_MODEL || f->value > MAX_MODEL - r->used)
        return tsr_fail(r->err, TSR_E_LIMIT,
                        "'%s' is larger than 2 GiB; such models keep their weights in a file beside them", r->name);
    *left -= f->wire == VARINT ? 0 : f->value;
    return TSR_OK;
}

/* Appends n bytes of the source. */
static enum tsr_status copy(struct reader *r, uint64_t n, struct tsr_buf *to)
{
    while (n > 0) {
        size_t some = n < STEP ? (size_t)n : STEP, got;
        TSR_TRY(tsr_buf_reserve(to, some, r->err));
        TSR_TRY(tsr_source_read(r->src, to->data + to->len, some, &got, r->err));
        to->len += got;
        r->used += got;
        if (got < some) return damaged(r, TSR_E_TRUNCATED);
        n -= some;
    }
    return TSR_OK;
}

/* The field as it stands. */
static enum tsr_status keep(struct reader *r, const struct field *f, struct tsr_buf *to)
{
    TSR_TRY(tsr_buf_append(to, f->head, f->n_head, r->err));
    return f->wire == VARINT ? TSR_OK : copy(r, f->value, to);
}

static enum tsr_status put_varint(struct reader *r, uint64_t v, struct tsr_buf *to)
{
    uint8_t b[10];
    size_t n = 0;
    do {
        b[n++] = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
        v >>= 7;
    } while (v > 0);
    return tsr_buf_append(to, b, n, r->err);
}

/* n bytes into a block of just that size: at once where they are known to be there, in steps where
 * they come through a pipe. */
static enum tsr_status read_block(struct reader *r, uint64_t n, struct tsr_buf *to)
{
    if (tsr_source_size(r->src) >= 0) {
        to->data = tsr_malloc((size_t)n, 1);
        if (to->data == NULL) return tsr_nomem(r->err, (size_t)n);
        to->cap = (size_t)n;
        return copy(r, n, to);
    }
    TSR_TRY(copy(r, n, to));
    uint8_t *exact = tsr_realloc(to->data, to->len, 1);
    if (exact != NULL) to->data = exact, to->cap = to->len;
    return TSR_OK;
}

/* A large initialiser of n bytes: its elements into a block, the rest into the graph's message. */
static enum tsr_status read_tensor(struct reader *r, uint64_t n)
{
    struct tsr_onnx_message *m = r->m;
    struct tsr_buf rest = {0}, raw = {0};
    struct field f;
    enum tsr_status status = TSR_OK;
    while (n > 0) {
        TSR_GO(status, done, next_field(r, &n, &f));
        if (f.number != TENSOR_RAW_DATA || f.wire != BYTES) {
            TSR_GO(status, done, keep(r, &f, &rest));
            continue;
        }
        tsr_buf_release(&raw); /* of a field that comes twice the last counts */
        TSR_GO(status, done, read_block(r, f.value, &raw));
    }
    TSR_GO(status, done, put_varint(r, GRAPH_INITIALISER << 3 | BYTES, &m->graph));
    TSR_GO(status, done, put_varint(r, rest.len, &m->graph));
    TSR_GO(status, done, tsr_buf_append(&m->graph, rest.data, rest.len, r->err));
    if (raw.len > 0) {
        TSR_GO(status, done, tsr_grow(&m->block, &m->cap_block, m->n_block + 1, sizeof *m->block, r->err));
        m->block[m->n_block++] = (struct tsr_onnx_block){m->n_initialisers, raw.len, raw.data};
        raw = (struct tsr_buf){0};
    }
    m->n_initialisers++;
done:
    tsr_buf_release(&rest);
    tsr_buf_release(&raw);
    return status;
}

static enum tsr_status read_graph(struct reader *r, uint64_t n)
{
    struct field f;
    r->m->has_graph = true;
    while (n > 0) {
        TSR_TRY(next_field(r, &n, &f));
        bool initialiser = f.number == GRAPH_INITIALISER && f.wire == BYTES;
        if (initialiser && f.value >= LARGE) {
            TSR_TRY(read_tensor(r, f.value));
            continue;
        }
        r->m->n_initialisers += initialiser;
        TSR_TRY(keep(r, &f, &r->m->graph));
    }
    return TSR_OK;
}

/* What is no model at all is told from a model that is damaged: up to the first field of the
 * outermost message that does not parse, nothing speaks for a model. */
static enum tsr_status read_model(struct reader *r)
{
    int64_t size = tsr_source_size(r->src);
    uint64_t left = size >= 0 ? (uint64_t)size : UINT64_MAX;
    for (;;) {
        const uint8_t *peeked;
        size_t some;
        struct field f;
        TSR_TRY(tsr_source_peek(r->src, 1, &peeked, &some, r->err));
        if (some == 0) return TSR_OK;
        enum tsr_status status = next_field(r, &left, &f);
        if (status == TSR_E_CORRUPT) return damaged(r, TSR_E_FORMAT);
        if (status != TSR_OK) return status;
        if (f.number == MODEL_GRAPH && f.wire == BYTES) TSR_TRY(read_graph(r, f.value));
        else TSR_TRY(keep(r, &f, &r->m->model));
    }
}

enum tsr_status tsr_onnx_read(struct tsr_source *src, const char *name, struct tsr_onnx_message *m,
                              struct tsr_error *err)
{
    struct reader r = {.src = src, .name = name, .m = m, .err = err};
    *m = (struct tsr_onnx_message){.n_block = 0};
    enum tsr_status status = read_model(&r);
    if (status == TSR_OK && r.used == 0)
        status = tsr_fail(err, TSR_E_TRUNCATED, "'%s' is empty; an ONNX model was expected", name);
    if (status != TSR_OK) tsr_onnx_message_release(m);
    return status;
}

void tsr_onnx_message_release(struct tsr_onnx_message *m)
{
    for (size_t i = 0; i < m->n_block; i++) tsr_free(m->block[i].data);
    tsr_free(m->block);
    tsr_buf_release(&m->model);
    tsr_buf_release(&m->graph);
    *m = (struct tsr_onnx_message){.n_block = 0};
}
