/* show.h - streams and models as text for people. */
#ifndef TSR_SHARED_SHOW_H
#define TSR_SHARED_SHOW_H

#include "tessera.h"

/* One line of JSON on stdout. */
enum tsr_status tsr_show_json(const struct tsr_json *j, struct tsr_error *err) TSR_MUST_USE;
/* A segment of a stream, as a block of facts and a table of its contents. */
void tsr_show_segment(const struct tsr_stream_summary *s);
/* A model, from tsr_graph_describe; its layers too where `all`. */
void tsr_show_model(const char *name, const struct tsr_json *model, bool all);
/* What is proven of a layer, or its counterexample; under a heading where `first`. */
void tsr_show_proof(const struct tsr_proof_layer *l, bool first);

#endif
