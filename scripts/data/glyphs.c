/* glyphs.c - handwritten-like digits, 1x16x16. Twelve writers draw stroke fonts of their own making with
 * their habits (which form of a digit, slant, width, pen); every sample adds a random affine map, jitter of
 * the control points, stray strokes, contrast, a shaded background and noise. Coverage is counted on a
 * grid of 4x4 points a pixel with integer coordinates. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 16,             /* pixels */
    FINE = 4,              /* points a pixel and axis */
    GRID = SIDE * FINE,
    UNIT = 256,            /* integer coordinates a pixel */
    STEP = UNIT / FINE,
    FORMS = 3,
    WRITERS = 12,
    MAX_POINTS = 24,
    CURVE = 5              /* chords between two control points */
};

/* Strokes separated by '|': '~' a smooth curve through the points, '-' straight lines. The box is
 * 16 wide and 24 high, y downwards. */
static const char *const forms[10][FORMS] = {
    {"~8,0 3,3 1,12 3,21 8,24 13,21 15,12 13,3 8,0",
     "~8,0 3,3 1,12 3,21 8,24 13,21 15,12 13,3 8,0|-12,5 4,19",
     "-4,0 12,0 15,4 15,20 12,24 4,24 1,20 1,4 4,0"},
    {"-8,0 8,24", "-3,6 8,0 8,24", "-3,6 8,0 8,24|-2,24 14,24"},
    {"~1,6 4,1 9,0 14,3 14,8 9,15 1,24|-1,24 15,24", "-1,0 15,0 15,11 1,13 1,24 15,24",
     "~1,5 5,0 12,1 14,6 10,14 4,22 1,22 2,19 6,20 15,24"},
    {"~1,3 6,0 12,1 14,6 11,11 6,12|~6,12 12,13 15,18 12,23 6,24 1,21",
     "-1,0 14,0 7,10|~7,10 13,12 15,18 11,23 5,24 0,21", "-1,0 15,0 15,24 1,24|-4,12 15,12"},
    {"-11,24 11,0 1,16 16,16", "-2,0 2,13 14,13|-12,4 12,24", "-5,0 1,14 15,14|-11,7 10,24"},
    {"-14,0 3,0 2,10|~2,10 8,9 14,12 15,18 11,23 5,24 0,21", "-15,0 1,0 1,12 15,12 15,24 1,24",
     "~13,1 8,0 3,2 2,8 5,11 11,12 14,17 11,23 5,24 1,21"},
    {"~13,2 8,1 3,8 1,16 4,23 9,24 14,21 14,15 9,12 4,14 2,18", "-15,0 1,0 1,24 15,24 15,12 1,12",
     "-11,0 3,13|~3,13 1,18 4,23 9,24 14,21 14,16 9,12 3,14"},
    {"-1,0 15,0 6,24", "-1,0 15,0 6,24|-4,12 13,12", "-1,4 1,0 15,0 8,14 7,24"},
    {"~8,11 3,8 2,4 5,0 11,0 14,4 13,8 8,11 2,15 1,20 5,24 11,24 15,20 14,15 8,11",
     "~8,0 3,2 3,8 8,11 13,8 13,2 8,0|~8,11 2,14 1,20 8,24 15,20 14,14 8,11",
     "-1,0 15,0 15,24 1,24 1,0|-1,12 15,12"},
    {"~14,9 10,12 5,12 1,8 2,2 8,0 13,2 14,8 13,16 8,24", "-15,12 1,12 1,0 15,0 15,24 1,24",
     "~14,6 10,11 4,11 1,7 3,1 9,0 14,4|-14,4 13,24"},
};

struct style {
    int form[10];       /* the favourite form of each digit */
    float slant, width, height, pen, jitter;
};

struct map { /* box coordinates to pixels */
    float xx, xy, yx, yy, x0, y0;
};

struct canvas {
    uint8_t ink[GRID][GRID];
};

static void habits(int writer, struct style *s)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 0x676C797068u, (uint64_t)writer);
    for (int d = 0; d < 10; d++) s->form[d] = (int)tsr_rng_below(&r, FORMS);
    s->slant = tsr_data_uniform(&r, -0.25f, 0.35f);
    s->width = tsr_data_uniform(&r, 0.85f, 1.15f);
    s->height = tsr_data_uniform(&r, 0.9f, 1.1f);
    s->pen = tsr_data_uniform(&r, 0.6f, 0.9f);
    s->jitter = tsr_data_uniform(&r, 0.4f, 0.95f);
}

/* Marks the grid points within `radius` (integer coordinates) of the segment from a to b. */
static void draw_segment(struct canvas *c, const int32_t a[2], const int32_t b[2], int32_t radius)
{
    int low[2], high[2];
    for (int k = 0; k < 2; k++) {
        const int32_t least = (a[k] < b[k] ? a[k] : b[k]) - radius, most = (a[k] > b[k] ? a[k] : b[k]) + radius;
        low[k] = least < 0 ? 0 : least / STEP;
        high[k] = most < 0 ? -1 : most / STEP;
        if (high[k] >= GRID) high[k] = GRID - 1;
    }
    const int64_t dx = b[0] - a[0], dy = b[1] - a[1], length2 = dx * dx + dy * dy;
    const int64_t limit = (int64_t)radius * radius;
    for (int y = low[1]; y <= high[1]; y++) {
        for (int x = low[0]; x <= high[0]; x++) {
            const int64_t px = x * STEP + STEP / 2 - a[0], py = y * STEP + STEP / 2 - a[1];
            const int64_t along = px * dx + py * dy, across = px * dy - py * dx;
            bool in;
            if (along <= 0)
                in = px * px + py * py <= limit;
            else if (along >= length2)
                in = (px - dx) * (px - dx) + (py - dy) * (py - dy) <= limit;
            else
                in = across * across <= limit * length2;
            if (in) c->ink[y][x] = 1;
        }
    }
}

static void place(const struct map *m, float x, float y, int32_t out[2])
{
    out[0] = (int32_t)((m->xx * x + m->xy * y + m->x0) * (float)UNIT);
    out[1] = (int32_t)((m->yx * x + m->yy * y + m->y0) * (float)UNIT);
}

/* Catmull-Rom between points i and i+1 (doubled end points), at t in [0, 1]. */
static float curve(const float *p, int n, int i, float t)
{
    const float a = p[i > 0 ? i - 1 : 0], b = p[i], c = p[i + 1], d = p[i + 2 < n ? i + 2 : n - 1];
    return b + 0.5f * t * ((c - a) + t * ((2.0f * a - 5.0f * b + 4.0f * c - d) + t * (3.0f * (b - c) + d - a)));
}

static void draw_stroke(struct canvas *c, const struct map *m, const float *x, const float *y, int n, bool smooth,
                        int32_t radius)
{
    const int chords = smooth ? CURVE : 1;
    int32_t from[2], to[2];
    place(m, x[0], y[0], from);
    for (int i = 0; i + 1 < n; i++) {
        for (int k = 1; k <= chords; k++) {
            const float t = (float)k / (float)chords;
            if (smooth)
                place(m, curve(x, n, i, t), curve(y, n, i, t), to);
            else
                place(m, x[i + 1], y[i + 1], to);
            draw_segment(c, from, to, radius);
            memcpy(from, to, sizeof from);
        }
    }
}

static void draw_form(struct canvas *c, const char *form, const struct map *m, float jitter, int32_t radius,
                      struct tsr_rng *rng)
{
    float x[MAX_POINTS], y[MAX_POINTS];
    for (const char *s = form; *s;) {
        const bool smooth = *s++ == '~';
        int n = 0;
        while (*s && *s != '|') {
            char *end;
            x[n] = (float)strtol(s, &end, 10) + jitter * tsr_rng_normal(rng);
            y[n] = (float)strtol(end + 1, &end, 10) + jitter * tsr_rng_normal(rng);
            n++;
            s = *end == ' ' ? end + 1 : end;
        }
        draw_stroke(c, m, x, y, n, smooth, radius);
        if (*s == '|') s++;
    }
}

/* The box's centre goes near the picture's centre: scale, shear and rotation about it. */
static struct map random_map(const struct style *s, struct tsr_rng *rng)
{
    const float width = 0.44f * s->width * tsr_data_uniform(rng, 0.8f, 1.15f);
    const float height = 0.42f * s->height * tsr_data_uniform(rng, 0.85f, 1.15f);
    const float shear = s->slant + tsr_data_uniform(rng, -0.2f, 0.2f), angle = tsr_data_uniform(rng, -0.21f, 0.21f);
    const float sine = tsr_data_sin(angle), cosine = tsr_data_cos(angle);
    struct map m;
    m.xx = cosine * width;
    m.xy = (-cosine * shear - sine) * height;
    m.yx = sine * width;
    m.yy = (cosine - sine * shear) * height;
    m.x0 = 8.0f + tsr_data_uniform(rng, -1.4f, 1.4f) - (m.xx * 8.0f + m.xy * 12.0f);
    m.y0 = 8.0f + tsr_data_uniform(rng, -1.4f, 1.4f) - (m.yx * 8.0f + m.yy * 12.0f);
    return m;
}

static void draw_stray(struct canvas *c, struct tsr_rng *rng)
{
    static const struct map pixels = {.xx = 1.0f, .yy = 1.0f};
    float x[3], y[3];
    x[0] = tsr_data_uniform(rng, 0.0f, 16.0f);
    y[0] = tsr_data_uniform(rng, 0.0f, 16.0f);
    for (int i = 1; i < 3; i++) {
        x[i] = x[i - 1] + tsr_data_uniform(rng, -2.5f, 2.5f);
        y[i] = y[i - 1] + tsr_data_uniform(rng, -2.5f, 2.5f);
    }
    const int32_t radius = (int32_t)((float)UNIT * tsr_data_uniform(rng, 0.35f, 0.6f));
    draw_stroke(c, &pixels, x, y, 3, true, radius);
}

static float coverage(const struct canvas *c, int px, int py)
{
    int sum = 0;
    for (int y = 0; y < FINE; y++)
        for (int x = 0; x < FINE; x++) sum += c->ink[py * FINE + y][px * FINE + x];
    return (float)sum * (1.0f / (FINE * FINE));
}

static int make_glyph(struct tsr_rng *rng, int label, int writer, float *x)
{
    if (writer == 0) writer = 1 + (int)tsr_rng_below(rng, WRITERS);
    struct style s;
    habits(writer, &s);
    struct canvas digit, stray;
    memset(&digit, 0, sizeof digit);
    memset(&stray, 0, sizeof stray);
    const int form = tsr_rng_below(rng, 5) == 0 ? (int)tsr_rng_below(rng, FORMS) : s.form[label];
    const struct map m = random_map(&s, rng);
    const int32_t radius = (int32_t)((float)UNIT * s.pen * tsr_data_uniform(rng, 0.75f, 1.25f));
    draw_form(&digit, forms[label][form], &m, s.jitter, radius, rng);
    for (int n = (int)tsr_rng_below(rng, 3); n > 0; n--) draw_stray(&stray, rng);

    const float contrast = tsr_data_uniform(rng, 0.65f, 1.0f), other = contrast * tsr_data_uniform(rng, 0.5f, 1.0f);
    const float level = tsr_data_uniform(rng, -0.1f, 0.1f), noise = tsr_data_uniform(rng, 0.05f, 0.18f);
    const float gx = tsr_data_uniform(rng, -0.012f, 0.012f), gy = tsr_data_uniform(rng, -0.012f, 0.012f);
    for (int py = 0; py < SIDE; py++) {
        for (int px = 0; px < SIDE; px++) {
            const float a = contrast * coverage(&digit, px, py), b = other * coverage(&stray, px, py);
            const float shade = level + gx * ((float)px - 7.5f) + gy * ((float)py - 7.5f);
            const float v = (a > b ? a : b) + shade + noise * tsr_rng_normal(rng);
            x[py * SIDE + px] = tsr_data_round((v - 0.2f) * 2.5f); /* about zero mean, unit variance */
        }
    }
    return label;
}

const struct tsr_data_task tsr_data_glyphs = {
    .name = "glyphs", .n_classes = 10, .rank = 3, .shape = {1, SIDE, SIDE}, .n_writers = WRITERS, .make = make_glyph};
