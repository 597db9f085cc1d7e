/* embed.h - rows of every kind as points of the unit sphere, and back.
 *
 * On the sphere no contributor is louder than another, and the distance of two points bounds what
 * one of them can do. Which embedding a kind of rows has:
 *
 *   class outputs   the square roots of the probabilities (the Hellinger embedding; Bhattacharyya
 *                   1943): always of length one, and |a - b|^2/2 is the squared Hellinger distance
 *   hub tokens,     (x, s) / |(x, s)|, the central projection: invertible, nearly linear where
 *   regression      |x| is below s, bounded everywhere
 *   contributions   x / |x|: the direction alone
 *
 * Two more are no points of the sphere but bounded numbers to be added as they are, for networks that know
 * different classes; see confidence.h.
 *
 * Rows are float32, computed by single operations in a written order; thread-safe. */
#ifndef TSR_MERGE_EMBED_H
#define TSR_MERGE_EMBED_H

#include "stream/rowset.h"

enum tsr_embed_kind {
    TSR_EMBED_ROOTS,
    TSR_EMBED_CENTRAL,
    TSR_EMBED_DIRECTION,
    TSR_EMBED_SCORES, /* for every class a standardised score / TSR_SCORE_MOST, then whether the class is known */
    TSR_EMBED_GATED   /* probabilities times a weight, then the weight */
};
#define TSR_SCORE_MOST 8
#define TSR_SCORE_GAIN 4 /* what a standardised score is multiplied by to be a logit */

struct tsr_embed {
    enum tsr_embed_kind kind;
    size_t cols;  /* of the rows as they are in a stream, after class numbers became one-hot rows */
    size_t width; /* of the embedded rows: one more for TSR_EMBED_CENTRAL */
    float scale;  /* s */
};

struct tsr_embed tsr_embed_roots(size_t classes);
struct tsr_embed tsr_embed_central(size_t cols, float scale);
struct tsr_embed tsr_embed_direction(size_t cols);
struct tsr_embed tsr_embed_scores(size_t classes);
struct tsr_embed tsr_embed_gated(size_t classes);
/* Are rows added as they are, without a length, a centre or a rule? */
bool tsr_embed_loose(const struct tsr_embed *e);

/* Why a row cannot be merged. */
enum tsr_embed_fault { TSR_EMBED_FINE, TSR_EMBED_NAN, TSR_EMBED_ZERO, TSR_EMBED_CLASS };

/* Logits of one row, whatever it holds: logarithms of probabilities, 0 and -15 for a class number. */
enum tsr_embed_fault tsr_embed_logits(size_t classes, enum tsr_row_kind kind, const float *x, float *z);
/* One row of the stream (cols numbers; for argmax one class number) to a point y[width] whose length
 * is not yet one but a safe number: its square is within 2^-40 and 2^40. */
enum tsr_embed_fault tsr_embed_row(const struct tsr_embed *e, enum tsr_row_kind kind, const float *x, float *y);
/* Back: y[width] of any length to cols numbers; probabilities for TSR_EMBED_ROOTS. */
void tsr_embed_back(const struct tsr_embed *e, const double *y, float *x);
/* The point that says nothing: equal probabilities, the pole; 0 for directions. */
void tsr_embed_neutral(const struct tsr_embed *e, float *y);

#endif
