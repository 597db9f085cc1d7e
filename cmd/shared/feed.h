/* feed.h - samples for a model's inputs from the files on the command line: `file` for a model
 * with one input (several files are read one after the other), `name=file` otherwise. Elements
 * are converted to the type the model wants, flat rows take the model's shape. */
#ifndef TSR_SHARED_FEED_H
#define TSR_SHARED_FEED_H

#include "shared/cli.h"

#define TSR_FEED_INPUTS 16
#define TSR_FEED_FILES 256

struct tsr_feed {
    size_t n_inputs;
    struct {
        const char *name; /* of the model input */
        enum tsr_dtype dtype; /* the model's, or the first file's where it says none */
        struct tsr_shape shape; /* of one sample */
        bool shape_known;
        struct tsr_samples *file[TSR_FEED_FILES];
        size_t n_files, at;
    } in[TSR_FEED_INPUTS];
    int64_t count; /* samples to come; -1: unknown */
    bool ended;
};

/* Opens the files; no operand at all means standard input. g NULL: one input of unknown type.
 * *feed is to be released with tsr_feed_close whatever comes. */
enum tsr_status tsr_feed_open(struct tsr_feed *feed, struct tsr_cli *cli, const struct tsr_graph *g, int argc,
                              char *const *argv, struct tsr_error *err) TSR_MUST_USE;
/* The same for one input of this type and shape of a sample, whatever a model wants. */
enum tsr_status tsr_feed_open_as(struct tsr_feed *feed, struct tsr_cli *cli, const char *name, enum tsr_dtype dtype,
                                 const struct tsr_shape *shape, int argc, char *const *argv,
                                 struct tsr_error *err) TSR_MUST_USE;
void tsr_feed_close(struct tsr_feed *feed);

/* Up to max samples of every input into x[0 .. n_inputs), each to be released; *m of them, 0 at
 * the end. feed->ended is true once nothing is left. */
enum tsr_status tsr_feed_next(struct tsr_feed *feed, int64_t max, struct tsr_tensor *x, int64_t *m,
                              struct tsr_error *err) TSR_MUST_USE;
/* Bytes of one sample, over all inputs. */
size_t tsr_feed_sample_bytes(const struct tsr_feed *feed);
/* Everything that is left, for one input. */
enum tsr_status tsr_feed_all(struct tsr_feed *feed, struct tsr_tensor *x, struct tsr_error *err) TSR_MUST_USE;

#endif
