/* onnx_scan.c - a look over the messages before the parser sees them. ONNX messages recurse through
 * Graph -> Node -> Attribute -> Graph; the generated parser follows on the stack. */
#include "model/onnx_parts.h"

#define MAX_DEPTH 96

enum kind { MODEL, GRAPH, NODE, ATTRIBUTE, FUNCTION, LEAF };

/* The kind of message that field `field` of a message of kind k holds. */
static enum kind child(enum kind k, uint64_t field)
{
    switch (k) {
    case MODEL: return field == 25 ? FUNCTION : LEAF; /* its graph is looked at on its own */
    case GRAPH: return field == 1 ? NODE : LEAF;
    case FUNCTION: return field == 7 ? NODE : field == 11 ? ATTRIBUTE : LEAF;
    case NODE: return field == 5 ? ATTRIBUTE : LEAF;
    case ATTRIBUTE: return field == 6 || field == 11 ? GRAPH : LEAF;
    default: return LEAF;
    }
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *out = v;
            return true;
        }
    }
    return false;
}

static enum tsr_status scan(const uint8_t *p, const uint8_t *end, enum kind k, int depth, const char *name,
                            struct tsr_error *err)
{
    if (depth > MAX_DEPTH)
        return tsr_fail(err, TSR_E_CORRUPT, "'%s' nests its graphs more than %d messages deep", name, MAX_DEPTH);
    while (p < end) {
        uint64_t tag, value;
        if (!varint(&p, end, &tag) || tag >> 3 == 0) goto damaged;
        switch (tag & 7) {
        case 0:
            if (!varint(&p, end, &value)) goto damaged;
            break;
        case 1:
        case 5:
            value = (tag & 7) == 1 ? 8 : 4;
            if ((uint64_t)(end - p) < value) goto damaged;
            p += value;
            break;
        case 2:
            if (!varint(&p, end, &value) || (uint64_t)(end - p) < value) goto damaged;
            if (child(k, tag >> 3) != LEAF) TSR_TRY(scan(p, p + value, child(k, tag >> 3), depth + 1, name, err));
            p += value;
            break;
        default: goto damaged;
        }
    }
    return TSR_OK;
damaged:
    return tsr_fail(err, TSR_E_CORRUPT, "'%s' is damaged: its messages do not parse", name);
}

enum tsr_status tsr_onnx_scan(const struct tsr_onnx_message *m, const char *name, struct tsr_error *err)
{
    if (m->model.len > 0) TSR_TRY(scan(m->model.data, m->model.data + m->model.len, MODEL, 0, name, err));
    return m->graph.len > 0 ? scan(m->graph.data, m->graph.data + m->graph.len, GRAPH, 1, name, err) : TSR_OK;
}
