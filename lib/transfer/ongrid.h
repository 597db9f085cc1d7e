/* ongrid.h - teaching a receiver on the grid that it will run on: after it was taught in float, its weights and
 * the steps of the grid learn from the same tokens through fake quantisation. */
#ifndef TSR_TRANSFER_ONGRID_H
#define TSR_TRANSFER_ONGRID_H

#include "quant/quantise.h"
#include "transfer/teach.h"

struct tsr_ongrid_options {
    struct tsr_quantise_options quant;
    struct tsr_teach_options teach;
};

/* A quarter of the steps and smaller rates than teaching in float has (more of both where activations have 4 bits);
 * the head is not refitted. */
struct tsr_ongrid_options tsr_ongrid_defaults(enum tsr_grid grid, bool quality);

struct tsr_ongrid_report {
    struct tsr_teach_report teach;    /* on the grid; before: as quantised after float teaching */
    struct tsr_quantise_report quant;
};

/* g is a float receiver that was taught; it stays as it is. Ranges come from the references and their views.
 * refs and key as in tsr_teach. Grids without integers (f16, bf16, f32) are only converted to. *out is the
 * quantised model; release with tsr_graph_free. */
enum tsr_status tsr_teach_on_grid(const struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                                  const struct tsr_key *key, const struct tsr_ongrid_options *options, struct tsr_graph **out,
                                  struct tsr_ongrid_report *report, struct tsr_error *err) TSR_MUST_USE;

#endif
