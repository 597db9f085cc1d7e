#include "data.h"

#include <string.h>

static const struct tsr_data_task *const tasks[] = {&tsr_data_tokens, &tsr_data_glyphs, &tsr_data_sensors};

const struct tsr_data_task *tsr_data_find(const char *name)
{
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        if (strcmp(tasks[i]->name, name) == 0) return tasks[i];
    return NULL;
}

size_t tsr_data_size(const struct tsr_data_task *task)
{
    size_t n = 1;
    for (int i = 0; i < task->rank; i++) n *= (size_t)task->shape[i];
    return n;
}

int tsr_data_make(const struct tsr_data_task *task, enum tsr_data_split split, uint64_t seed, int writer,
                  uint64_t index, float *x)
{
    enum { MAX_CLASSES = 16, LABELS = 8 };
    const uint64_t stream = ((uint64_t)split << 8 | (uint64_t)writer) << 40;
    struct tsr_rng rng;
    int label = 0;
    if (!task->integral) {
        uint32_t order[MAX_CLASSES];
        const uint64_t n = (uint64_t)task->n_classes;
        for (uint32_t c = 0; c < n; c++) order[c] = c;
        tsr_rng_init(&rng, seed ^ LABELS, stream | index / n);
        tsr_rng_shuffle(&rng, order, n);
        label = (int)order[index % n];
    }
    tsr_rng_init(&rng, seed, stream | index);
    return task->make(&rng, label, writer, x);
}

float tsr_data_uniform(struct tsr_rng *rng, float low, float high) { return low + (high - low) * tsr_rng_float(rng); }

float tsr_data_round(float value)
{
    const float scaled = value * 64.0f;
    if (scaled >= 1024.0f) return 16.0f;
    if (scaled <= -1024.0f) return -16.0f;
    const int rounded = (int)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    if (rounded == 0) return 0.0f; /* converted there and back in one instruction, a zero may keep its sign */
    return (float)rounded * 0.015625f;
}

float tsr_data_sin(float x)
{
    const float half_pi = 1.57079633f, pi = 3.14159265f;
    if (x > half_pi) x = pi - x;
    if (x < -half_pi) x = -pi - x;
    const float q = x * x;
    return x * (1.0f - q * (0.166666667f - q * (0.00833333333f - q * (0.000198412698f - q * 0.00000275573192f))));
}

float tsr_data_cos(float x)
{
    const float half_pi = 1.57079633f;
    return tsr_data_sin(half_pi - (x < 0.0f ? -x : x));
}

/* tokens: 16 tokens of 0 to 255, class 1 where their mean is at least 128. */
static int make_tokens(struct tsr_rng *rng, int label, int writer, float *x)
{
    (void)label;
    (void)writer;
    int sum = 0;
    for (int i = 0; i < 16; i++) {
        const int token = (int)tsr_rng_below(rng, 256);
        x[i] = (float)token;
        sum += token;
    }
    return sum >= 16 * 128;
}

const struct tsr_data_task tsr_data_tokens = {
    .name = "tokens", .n_classes = 2, .rank = 1, .shape = {16}, .integral = true, .make = make_tokens};
