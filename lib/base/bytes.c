#include "base/bytes.h"

#include "base/mem.h"

enum tsr_status tsr_buf_reserve(struct tsr_buf *b, size_t more, struct tsr_error *err)
{
    size_t need;
    if (!tsr_add_size(b->len, more, &need)) return tsr_nomem(err, more);
    return tsr_grow(&b->data, &b->cap, need, 1, err);
}

enum tsr_status tsr_buf_append(struct tsr_buf *b, const void *p, size_t n, struct tsr_error *err)
{
    TSR_TRY(tsr_buf_reserve(b, n, err));
    if (n != 0) memcpy(b->data + b->len, p, n);
    b->len += n;
    return TSR_OK;
}

void tsr_buf_clear(struct tsr_buf *b) { b->len = 0; }

void tsr_buf_release(struct tsr_buf *b)
{
    tsr_free(b->data);
    *b = (struct tsr_buf){0};
}
