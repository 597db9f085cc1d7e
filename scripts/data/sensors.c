/* sensors.c - multivariate series of a machine, 6 channels x 32 steps. Five kinds of event exist, each a
 * short pattern over all channels; a class is one of the ten unordered pairs of different events, in either
 * order. Every sample adds jitter of position, length and of each channel's amplitude, a weaker stray event,
 * leakage between the channels, a slow drift and coloured noise. */
#include "data.h"

#include <string.h>

enum { CHANNELS = 6, STEPS = 32, EVENTS = 5 };

/* The pattern of an event: in every channel a wave under a window, at u in [-1, 1]. */
struct event {
    float weight[CHANNELS], turns[CHANNELS], phase[CHANNELS];
};

static void describe(int kind, struct event *e)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 0x73656E736Fu, (uint64_t)kind);
    for (int c = 0; c < CHANNELS; c++) {
        e->weight[c] = tsr_data_uniform(&r, 0.5f, 1.0f) * (tsr_rng_below(&r, 2) ? 1.0f : -1.0f);
        e->turns[c] = tsr_data_uniform(&r, 0.2f, 0.7f);
        e->phase[c] = tsr_data_uniform(&r, -0.5f, 0.5f);
    }
    for (int k = 0; k < 2; k++) e->weight[(kind + 3 * k) % CHANNELS] *= 0.2f;
}

/* The sine of a number of turns. */
static float wave(float turns)
{
    float f = turns - (float)(int)turns;
    if (f > 0.5f) f -= 1.0f;
    if (f < -0.5f) f += 1.0f;
    return tsr_data_sin(6.28318531f * f);
}

static void add_event(float x[CHANNELS][STEPS], const struct event *e, float centre, float half, float amplitude)
{
    for (int t = 0; t < STEPS; t++) {
        const float u = ((float)t - centre) / half;
        if (u <= -1.0f || u >= 1.0f) continue;
        const float window = amplitude * (1.0f - u * u) * (1.0f - u * u);
        for (int c = 0; c < CHANNELS; c++) x[c][t] += window * e->weight[c] * wave(e->turns[c] * u + e->phase[c]);
    }
}

static void add_events(float x[CHANNELS][STEPS], const int kinds[2], struct tsr_rng *rng)
{
    const float half = 5.5f, strength = 2.2f;
    struct event e;
    for (int k = 0; k < 2; k++) {
        describe(kinds[k], &e);
        for (int c = 0; c < CHANNELS; c++) e.weight[c] += 0.25f * tsr_rng_normal(rng);
        const float centre = (k == 0 ? 9.0f : 22.0f) + tsr_data_uniform(rng, -1.8f, 1.8f);
        const float length = tsr_data_uniform(rng, 0.85f, 1.2f), gain = tsr_data_uniform(rng, 0.75f, 1.3f);
        add_event(x, &e, centre, half * length, strength * gain);
    }
    describe((int)tsr_rng_below(rng, EVENTS), &e); /* the stray one */
    const float centre = tsr_data_uniform(rng, 0.0f, (float)STEPS), gain = tsr_data_uniform(rng, 0.15f, 0.75f);
    add_event(x, &e, centre, half, strength * gain);
}

/* Every channel hears a little of the others. */
static void mix(float in[CHANNELS][STEPS], float out[CHANNELS][STEPS], struct tsr_rng *rng)
{
    for (int c = 0; c < CHANNELS; c++) {
        for (int d = 0; d < CHANNELS; d++) {
            const float share = d == c ? tsr_data_uniform(rng, 0.8f, 1.2f) : 0.28f * tsr_rng_normal(rng);
            for (int t = 0; t < STEPS; t++) out[c][t] += share * in[d][t];
        }
    }
}

static void add_noise(float x[CHANNELS][STEPS], float level, struct tsr_rng *rng)
{
    for (int c = 0; c < CHANNELS; c++) {
        const float colour = tsr_data_uniform(rng, 0.4f, 0.8f);
        const float fresh = level * (1.0f - 0.5f * colour * colour); /* about the same variance for every colour */
        const float drift = tsr_data_uniform(rng, -0.02f, 0.02f), offset = tsr_data_uniform(rng, -0.2f, 0.2f);
        float state = level * tsr_rng_normal(rng);
        for (int t = 0; t < STEPS; t++) {
            state = colour * state + fresh * tsr_rng_normal(rng);
            x[c][t] += state + offset + drift * ((float)t - 15.5f);
        }
    }
}

static int make_series(struct tsr_rng *rng, int label, int writer, float *x)
{
    (void)writer;
    int first = 0, second = 1;
    for (int k = 0; k < label; k++)
        if (++second == EVENTS) second = ++first + 1;
    const bool swap = tsr_rng_below(rng, 2) == 1;
    const int kinds[2] = {swap ? second : first, swap ? first : second};
    float clean[CHANNELS][STEPS], heard[CHANNELS][STEPS];
    memset(clean, 0, sizeof clean);
    memset(heard, 0, sizeof heard);
    add_events(clean, kinds, rng);
    mix(clean, heard, rng);
    add_noise(heard, tsr_data_uniform(rng, 0.2f, 0.42f), rng);
    for (int c = 0; c < CHANNELS; c++)
        for (int t = 0; t < STEPS; t++) x[c * STEPS + t] = tsr_data_round(heard[c][t]);
    return label;
}

const struct tsr_data_task tsr_data_sensors = {
    .name = "sensors", .n_classes = 10, .rank = 2, .shape = {CHANNELS, STEPS}, .make = make_series};
