/* samplekey.c - the names of samples. */
#include "base/bytes.h"
#include "transfer/transmit.h"

#include <string.h>

static void put_u64(struct tsr_keyhash *h, uint64_t v)
{
    uint8_t b[8];
    tsr_put_le64(b, v);
    tsr_keyhash_update(h, b, sizeof b);
}

void tsr_sample_keys(const struct tsr_tensor *x, size_t n_inputs, struct tsr_key *key)
{
    int64_t m = x[0].shape.dim[0];
    for (int64_t i = 0; i < m; i++) {
        struct tsr_keyhash h;
        tsr_keyhash_init(&h);
        for (size_t k = 0; k < n_inputs; k++) {
            const char *type = tsr_dtype_name(x[k].dtype);
            size_t each = tsr_tensor_bytes(&x[k]) / (size_t)m;
            tsr_keyhash_update(&h, type, strlen(type) + 1);
            put_u64(&h, (uint64_t)(x[k].shape.rank - 1));
            for (int a = 1; a < x[k].shape.rank; a++) put_u64(&h, (uint64_t)x[k].shape.dim[a]);
            tsr_keyhash_update(&h, (const char *)x[k].data + each * (size_t)i, each);
        }
        tsr_keyhash_final(&h, &key[i]);
    }
}

uint32_t tsr_views_count(uint32_t views, int64_t refs)
{
    if (views != TSR_VIEWS_AUTO && views != TSR_VIEWS_RICH) return views;
    int64_t k = (views == TSR_VIEWS_RICH ? 64000 : 16000) / (refs > 0 ? refs : 1);
    return k < 8 ? 8 : k > 640 ? 640 : (uint32_t)k;
}

int64_t tsr_block_rows(size_t sample_bytes)
{
    const size_t most = (size_t)256 << 20; /* bytes of a block */
    size_t rows = most / (sample_bytes > 0 ? sample_bytes : 1);
    return rows < 1 ? 1 : rows < TSR_BLOCK_ROWS ? (int64_t)rows : TSR_BLOCK_ROWS;
}
