#include "stream/ends.h"

#include "stream/record.h"

#include <string.h>

void tsr_tally_clear(struct tsr_tally *t)
{
    tsr_merkle_init(&t->tree);
    t->types = 0;
}

enum tsr_status tsr_tally_add(struct tsr_tally *t, uint32_t type, const void *header, size_t nh, const void *rest,
                              size_t nr, struct tsr_error *err)
{
    size_t i = 0;
    while (i < t->types && t->count[i].type != type) i++;
    if (i == TSR_MAX_TYPES) return tsr_fail(err, TSR_E_LIMIT, "a segment has more than %d types of records", TSR_MAX_TYPES);
    if (i == t->types) {
        t->count[i].type = type;
        t->count[i].records = 0;
        t->types++;
    }
    t->count[i].records++;
    tsr_merkle_add(&t->tree, header, nh, rest, nr);
    return TSR_OK;
}

static void root_text(const struct tsr_tally *t, char out[2 * TSR_SHA256_LEN + 1])
{
    uint8_t root[TSR_SHA256_LEN];
    tsr_merkle_root(&t->tree, root);
    tsr_hex(root, sizeof root, out);
}

enum tsr_status tsr_tally_meta(const struct tsr_tally *t, struct tsr_json **out, struct tsr_error *err)
{
    struct tsr_json *meta, *counts;
    char root[2 * TSR_SHA256_LEN + 1], type[5];
    enum tsr_status status;
    *out = NULL;
    TSR_TRY(tsr_json_object(&meta, err));
    root_text(t, root);
    TSR_GO(status, failed, tsr_json_set_object(meta, "counts", &counts, err));
    for (size_t i = 0; i < t->types; i++)
        TSR_GO(status, failed, tsr_json_set_int(counts, tsr_type_text(t->count[i].type, type), (int64_t)t->count[i].records, err));
    TSR_GO(status, failed, tsr_json_set_int(meta, "records", (int64_t)t->tree.leaves, err));
    TSR_GO(status, failed, tsr_json_set_string(meta, "root", root, err));
    *out = meta;
    return TSR_OK;
failed:
    tsr_json_free(meta);
    return status;
}

enum tsr_status tsr_tally_check(const struct tsr_tally *t, const struct tsr_json *meta, struct tsr_error *err)
{
    const char *said;
    const struct tsr_json *counts;
    char root[2 * TSR_SHA256_LEN + 1], type[5];
    int64_t n;
    TSR_TRY(tsr_json_need_int(meta, "records", 0, TSR_JSON_INT_MAX, &n, err));
    TSR_TRY(tsr_json_need_string(meta, "root", &said, err));
    TSR_TRY(tsr_json_need_object(meta, "counts", &counts, err));
    if ((uint64_t)n != t->tree.leaves)
        return tsr_fail(err, TSR_E_CORRUPT, "it counts %lld records where %llu are", (long long)n,
                        (unsigned long long)t->tree.leaves);
    if (tsr_json_length(counts) != t->types) return tsr_fail(err, TSR_E_CORRUPT, "it lists other types of records than there are");
    for (size_t i = 0; i < t->types; i++) {
        TSR_TRY(tsr_json_need_int(counts, tsr_type_text(t->count[i].type, type), 0, TSR_JSON_INT_MAX, &n, err));
        if ((uint64_t)n != t->count[i].records)
            return tsr_fail(err, TSR_E_CORRUPT, "it counts %lld records %s where %llu are", (long long)n, type,
                            (unsigned long long)t->count[i].records);
    }
    root_text(t, root);
    if (strcmp(root, said) != 0) return tsr_fail(err, TSR_E_CORRUPT, "its Merkle root is not that of the records before it");
    return TSR_OK;
}
