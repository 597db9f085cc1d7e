/* hub.h - the anchor-ridge hub: a common space for the activations of any network, with one
 * closed-form encoder and decoder a network.
 *
 * A is n x d: a layer's activations on the n anchors (reference samples that both sides hold),
 * centred by their mean mu. With s1 the largest eigenvalue of A'A and
 * lambda = s1 * clip(1/n, 1e-3, 1e-2):
 *
 *     E(a) = A (A'A + lambda I)^-1 (a - mu)      in R^n, zero-padded to the hub's width
 *     D(h) = A' h + mu
 *
 * so D_rx(E_tx(a)) is the ridge regression from the transmitter's activations to the
 * receiver's (Hoerl and Kennard, 1970), although neither side ever saw the other. With the
 * singular value decomposition A = U S V' the encoding factors into a basis and r coefficients,
 *
 *     E(a) = U[:, :r] c(a),    c(a) = S / (S^2 + lambda) V' (a - mu),
 *
 * which is what travels. Everything is computed in double. Thread-safe.
 */
#ifndef TSR_HUB_HUB_H
#define TSR_HUB_HUB_H

#include "base/hash.h"

#define TSR_HUB_DIM 2048

struct tsr_hub_encoder {
    int64_t anchors; /* n, at most TSR_HUB_DIM */
    int64_t d;       /* width of the layer */
    int64_t rank;    /* r */
    double lambda;
    double *mean;    /* [d] */
    double *map;     /* [r, d]: c(a) = map (a - mean) */
    double *basis;   /* [n, r]: the first r columns of U */
    double *spectrum; /* [r]: the singular values S */
};

/* Calibrates an encoder from a[n, d] (float32, not centred), keeping at most max_rank
 * coefficients. TSR_E_NUMERIC: a value is not finite (its row is named), or the layer is
 * constant over the anchors. Release with tsr_hub_encoder_release. */
enum tsr_status tsr_hub_calibrate(struct tsr_hub_encoder *e, const float *a, int64_t n, int64_t d, int64_t max_rank,
                                  struct tsr_error *err) TSR_MUST_USE;
void tsr_hub_encoder_release(struct tsr_hub_encoder *e);

/* c[rows, r] of a[rows, d]. */
enum tsr_status tsr_hub_encode(const struct tsr_hub_encoder *e, const float *a, int64_t rows, float *c,
                               struct tsr_error *err) TSR_MUST_USE;

/* The receiver's half, folded with a transmitter's basis: D(U c) = map c + mean. */
struct tsr_hub_decoder {
    int64_t d, rank;
    double *map;  /* [d, r] = A' U */
    double *mean; /* [d] */
};

/* From the receiver's activations on the same anchors in the same order, a[n, d], and the
 * stream's basis[n, r]. */
enum tsr_status tsr_hub_decoder_init(struct tsr_hub_decoder *dec, const float *a, int64_t n, int64_t d,
                                     const float *basis, int64_t rank, struct tsr_error *err) TSR_MUST_USE;
/* Where the receiver holds only some of the anchors: ridge regression from the coefficients
 * c[n, r] to the activations a[n, d] over the n rows that both hold. */
enum tsr_status tsr_hub_decoder_regress(struct tsr_hub_decoder *dec, const float *a, int64_t n, int64_t d,
                                        const float *c, int64_t rank, struct tsr_error *err) TSR_MUST_USE;
void tsr_hub_decoder_release(struct tsr_hub_decoder *dec);
/* a[rows, d] from c[rows, r]. */
enum tsr_status tsr_hub_decode(const struct tsr_hub_decoder *dec, const float *c, int64_t rows, float *a,
                               struct tsr_error *err) TSR_MUST_USE;

/* The hub's identity: SHA-256 over its dimension and the anchors' keys in order. */
void tsr_hub_id(const struct tsr_key *key, int64_t n, uint8_t id[TSR_SHA256_LEN]);

#endif
