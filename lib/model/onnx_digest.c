/* onnx_digest.c - what a graph computes, as one number: nodes in order with operators, attributes
 * and wiring, then the elements of the initialisers. Producer, metadata and docs do not count. */
#include "base/bytes.h"
#include "base/hash.h"
#include "model/onnx.h"

#include <string.h>

static void put_u64(struct tsr_sha256 *h, uint64_t v)
{
    uint8_t b[8];
    tsr_put_le64(b, v);
    tsr_sha256_update(h, b, sizeof b);
}

static void put_text(struct tsr_sha256 *h, const char *s)
{
    put_u64(h, strlen(s));
    tsr_sha256_update(h, s, strlen(s));
}

static void put_tensor(struct tsr_sha256 *h, const struct tsr_tensor *t)
{
    put_u64(h, (uint64_t)t->dtype);
    put_u64(h, (uint64_t)t->shape.rank);
    for (int i = 0; i < t->shape.rank; i++) put_u64(h, (uint64_t)t->shape.dim[i]);
    if (t->data != NULL) tsr_sha256_update(h, t->data, tsr_tensor_bytes(t));
}

static void put_attr(struct tsr_sha256 *h, const struct tsr_attr *a)
{
    put_text(h, a->name);
    put_u64(h, (uint64_t)a->type);
    put_u64(h, (uint64_t)a->i);
    tsr_sha256_update(h, &a->f, sizeof a->f);
    if (a->s != NULL) put_text(h, a->s);
    put_u64(h, a->n);
    for (size_t i = 0; a->ints != NULL && i < a->n; i++) put_u64(h, (uint64_t)a->ints[i]);
    if (a->floats != NULL) tsr_sha256_update(h, a->floats, a->n * sizeof *a->floats);
    for (size_t i = 0; a->strings != NULL && i < a->n; i++) put_text(h, a->strings[i]);
    put_tensor(h, &a->t);
    if (a->g != NULL) {
        uint8_t body[TSR_SHA256_LEN];
        tsr_onnx_digest(a->g, body);
        tsr_sha256_update(h, body, sizeof body);
    }
}

void tsr_onnx_digest(const struct tsr_graph *g, uint8_t digest[32])
{
    struct tsr_sha256 h;
    tsr_sha256_init(&h);
    put_text(&h, "tsr-model");
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *n = &g->node[i];
        put_text(&h, n->domain);
        put_text(&h, n->op_type);
        put_u64(&h, (uint64_t)n->opset);
        /* What its graphs take from around it they name themselves, in an order that means nothing. */
        for (int k = 0; k < n->n_in - n->n_captured; k++) put_text(&h, n->in[k] < 0 ? "" : g->value[n->in[k]].name);
        for (int k = 0; k < n->n_out; k++) put_text(&h, n->out[k] < 0 ? "" : g->value[n->out[k]].name);
        for (size_t k = 0; k < n->n_attr; k++) put_attr(&h, &n->attr[k]);
    }
    for (size_t v = 0; v < g->n_value; v++)
        if (g->value[v].is_init) {
            put_text(&h, g->value[v].name);
            put_tensor(&h, &g->value[v].init);
        }
    for (size_t i = 0; i < g->n_output; i++) put_text(&h, g->value[g->output[i]].name);
    tsr_sha256_final(&h, digest);
}
