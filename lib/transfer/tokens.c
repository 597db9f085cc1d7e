#include "transfer/tokens.h"

#include "base/mem.h"

void tsr_tokens_release(struct tsr_tokens *t)
{
    tsr_free(t->key);
    tsr_free(t->block);
    tsr_free(t->out);
    tsr_free(t->hub);
    tsr_free(t->basis);
    tsr_tensor_release(&t->inputs);
    *t = (struct tsr_tokens){0};
}

/* The block in which `first` * views (or `first`, for reference rows) falls: by bisection. */
static const struct tsr_token_block *block_at(const struct tsr_tokens *t, size_t ref)
{
    size_t lo = 0, hi = t->n_block;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->block[mid].first <= ref) lo = mid;
        else hi = mid;
    }
    return &t->block[lo];
}

struct tsr_token_row tsr_tokens_row(const struct tsr_tokens *t, size_t r)
{
    if (r < t->refs) return (struct tsr_token_row){.ref = (uint32_t)r, .block = block_at(t, r)};
    r -= t->refs;
    const struct tsr_token_block *b = block_at(t, r / t->views.count);
    size_t within = r - (size_t)b->first * t->views.count;
    return (struct tsr_token_row){
        .ref = b->first + (uint32_t)(within % b->count), .view = 1 + (uint32_t)(within / b->count), .block = b};
}
