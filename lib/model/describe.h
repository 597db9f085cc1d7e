/* describe.h - what an ONNX model consists of, for people and reports. Thread-safe. */
#ifndef TSR_MODEL_DESCRIBE_H
#define TSR_MODEL_DESCRIBE_H

#include "graph/graph.h"
#include "io/json.h"

/* As a JSON object: "schema" "tessera-inspect.model/1", "name", "producer", "ir", "opset" (domain
 * to version), "digest", "nodes", "operators" (name to count), "parameters" (elements that
 * training adjusts), "inputs" and "outputs" ("name", "dtype", "shape"; unknown dimensions by their
 * name or null), "warnings" (sentences on what is wrong in the file), "layers" ("name", "op": every
 * tensor that a node computes from the input, in an order in which they are computed). */
enum tsr_status tsr_graph_describe(const struct tsr_graph *g, struct tsr_json **out,
                                   struct tsr_error *err) TSR_MUST_USE;

#endif
