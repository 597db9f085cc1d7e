/* foresee.h - tessera-drift --predict. */
#ifndef TSR_SHARED_FORESEE_H
#define TSR_SHARED_FORESEE_H

#include "shared/feed.h"

struct tsr_foresight {
    const char *model;        /* required */
    struct tsr_strings refs;  /* files of samples; required */
    struct tsr_strings grids; /* names; none: f16, int8, int4 */
    const char *labels;       /* of the samples in refs, or NULL */
    int64_t on;               /* as in struct tsr_predict_options */
    double confidence;
    bool json;
};

/* Reads the teacher's tokens from the operand or standard input, and writes the predictions. */
enum tsr_status tsr_cli_foresee(struct tsr_cli *cli, const struct tsr_foresight *f, struct tsr_error *err) TSR_MUST_USE;

#endif
