/* sdpa.h - scaled dot-product attention on strided views, forward and backward, the one kernel
 * behind tessera.Attention (what the fusion pass makes) and ai.onnx.Attention. Private to ops/.
 *
 *     S = softcap(scale * Q K'),  P = softmax(S + mask) over the keys that row may see,  Y = P V
 *
 * Row i of sample b sees the first limit(b, i) keys: all S of them, or i + offset + 1 where
 * causal, never more than kv_len[b]. Rows are processed in blocks, so that no more than a block of
 * P is in memory unless the caller wants to keep P. (Vaswani et al. 2017; softcap: Gemma 2.) */
#ifndef TSR_OPS_SDPA_H
#define TSR_OPS_SDPA_H

#include "ops/op.h"

/* Element [b, h, t, d] is at data + b*sb + h*sh + t*st + d*sd. */
struct tsr_sdpa_view {
    void *data;
    int64_t sb, sh, st, sd;
};

struct tsr_sdpa {
    struct tsr_op_ctx *ctx;
    int64_t B, H, G, T, S, D, Dv; /* G: heads of keys and values, a divisor of H */
    double scale, softcap;        /* softcap 0: none */
    bool causal;
    int64_t offset;               /* causal: keys before the first query (may be negative) ... */
    const int64_t *kv_len;        /* ... or, where not NULL and offset_from_len, kv_len[b] - T */
    bool offset_from_len;
    bool empty_is_zero;           /* a row without any key gives zeros; otherwise NaN */
    struct tsr_sdpa_view q, k, v, y; /* sd is 1, but k may have st == 1 instead */
    const void *mask;             /* additive (the operator's type) or NULL; broadcast by stride 0 */
    const uint8_t *keep;          /* boolean: 0 hides the key; or NULL */
    int64_t mask_sb, mask_sh, mask_st, mask_ss, mask_len; /* keys from mask_len on are hidden */
    void *probs;                  /* [B,H,T,S] filled by forward, read by backward; NULL: recompute */
    void *trace;                  /* [B,H,T,S] or NULL: what trace_mode says (forward) */
    int trace_mode;               /* 0: scale * Q K'; 1: after softcap; 2: after the masks; 3: P */
    /* Backward. Data NULL: not wanted. */
    struct tsr_sdpa_view dy, dq, dk, dv;
    void *dscore;                 /* [B,H,T,S] or NULL: gradient of S + mask */
};

enum tsr_status tsr_sdpa_forward_f32(const struct tsr_sdpa *a) TSR_MUST_USE;
enum tsr_status tsr_sdpa_forward_f64(const struct tsr_sdpa *a) TSR_MUST_USE;
enum tsr_status tsr_sdpa_backward_f32(const struct tsr_sdpa *a) TSR_MUST_USE;
enum tsr_status tsr_sdpa_backward_f64(const struct tsr_sdpa *a) TSR_MUST_USE;

#endif
