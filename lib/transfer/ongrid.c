#include "transfer/ongrid.h"

#include "transfer/lesson.h"

#include <math.h>

enum { BLOCK = 256, CALIBRATION_ROWS = 1024 };

struct tsr_ongrid_options tsr_ongrid_defaults(enum tsr_grid grid, bool quality)
{
    struct tsr_ongrid_options o = {.quant = tsr_quantise_defaults(grid), .teach = tsr_teach_defaults(quality)};
    o.teach.steps = quality ? 600 : 100;
    o.teach.rate = quality ? (struct tsr_rate_choice){.list = {2e-3f, 5e-4f}, .n = 2, .steps = 100}
                           : (struct tsr_rate_choice){.list = {1e-3f}, .n = 1};
    o.teach.looks = quality ? 4 : 2;
    if (quality && tsr_grid_activation_bits(grid) <= 4) { /* far from what floats learnt: long steps, and many */
        o.teach.steps = 2400;
        o.teach.rate = (struct tsr_rate_choice){.list = {5e-3f}, .n = 1};
    }
    o.teach.refit_head = false;
    return o;
}

/* Shows the quantiser what the receiver learns from: references and views, up to CALIBRATION_ROWS of them. */
static enum tsr_status calibrate(struct tsr_quantiser *q, const struct tsr_graph *g, const struct tsr_tokens *tokens,
                                 const struct tsr_tensor *refs, const struct tsr_key *key, uint64_t seed, struct tsr_error *err)
{
    struct tsr_lesson lesson;
    struct tsr_session *s = NULL;
    uint32_t index[BLOCK];
    TSR_TRY(tsr_lesson_init(&lesson, tokens, refs, key, 0, true, seed, err));
    enum tsr_status status = tsr_session_new(g, NULL, &s, err);
    const uint32_t rows = lesson.n < CALIBRATION_ROWS ? lesson.n : CALIBRATION_ROWS;
    for (uint32_t at = 0; at < rows && status == TSR_OK; at += BLOCK) {
        const uint32_t m = rows - at < BLOCK ? rows - at : BLOCK;
        for (uint32_t i = 0; i < m; i++) index[i] = at + i;
        status = tsr_lesson_input(&lesson, index, m, g, s, err);
        if (status == TSR_OK) status = tsr_quantiser_block(q, &lesson.batch, 1, err);
    }
    tsr_session_free(s);
    tsr_lesson_release(&lesson);
    return status;
}

enum tsr_status tsr_teach_on_grid(const struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                                  const struct tsr_key *key, const struct tsr_ongrid_options *options, struct tsr_graph **out,
                                  struct tsr_ongrid_report *report, struct tsr_error *err)
{
    struct tsr_quantiser *q;
    struct tsr_graph *fake = NULL;
    const bool learns = tsr_grid_weight_bits(options->quant.grid) <= 8;
    *out = NULL;
    *report = (struct tsr_ongrid_report){.teach.before = NAN, .teach.after = NAN};
    TSR_TRY(tsr_quantiser_new(g, &options->quant, &q, err));
    enum tsr_status status = TSR_OK;
    if (tsr_quantiser_wants_samples(q)) status = calibrate(q, g, tokens, refs, key, options->teach.seed, err);
    if (status == TSR_OK && learns) status = tsr_quantiser_fake(q, &fake, err);
    if (status == TSR_OK && learns) status = tsr_teach(fake, tokens, refs, key, &options->teach, &report->teach, err);
    if (status == TSR_OK && learns) status = tsr_quantiser_take(q, fake, err);
    if (status == TSR_OK) status = tsr_quantiser_finish(q, out, &report->quant, err);
    tsr_graph_free(fake);
    tsr_quantiser_free(q);
    return status;
}
