#include "drift/plot.h"

#include <math.h>
#include <stdio.h>

const char *tsr_plot_colour(size_t i)
{
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5a5a5a"};
    return colours[i % (sizeof colours / sizeof *colours)];
}

static void open_svg(struct tsr_page *p, const char *title, double width, double height)
{
    tsr_page_add(p, "<figure><figcaption>");
    tsr_page_xml(p, title);
    tsr_page_add(p, "</figcaption>\n<svg viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"", width,
                 height, width, height);
    tsr_page_xml(p, title);
    tsr_page_add(p, "\">\n");
}

static void close_svg(struct tsr_page *p) { tsr_page_add(p, "</svg></figure>\n"); }

static void text(struct tsr_page *p, double x, double y, const char *anchor, const char *what)
{
    tsr_page_add(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    tsr_page_xml(p, what);
    tsr_page_add(p, "</text>\n");
}

static void line(struct tsr_page *p, double x1, double y1, double x2, double y2, const char *class)
{
    tsr_page_add(p, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class);
}

/* A step of 1, 2 or 5 times a power of ten that cuts the range in at most `most` parts. */
static double step_of(double range, int most)
{
    double raw = range / most, power = pow(10, floor(log10(raw))), f = raw / power;
    return power * (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10);
}

struct scale {
    bool logarithmic;
    double lo, hi, from, to; /* lo .. hi (their logarithms) on from .. to */
};

static double place(const struct scale *s, double v)
{
    double x = s->logarithmic ? (v > 0 ? log10(v) : s->lo) : v;
    if (x < s->lo) x = s->lo;
    if (x > s->hi) x = s->hi;
    return s->from + (x - s->lo) / (s->hi - s->lo) * (s->to - s->from);
}

static void stretch(double v, bool logarithmic, double *lo, double *hi)
{
    if (!isfinite(v) || (logarithmic && !(v > 0))) return;
    double x = logarithmic ? log10(v) : v;
    if (!(x >= *lo)) *lo = x;
    if (!(x <= *hi)) *hi = x;
}

static struct scale scale_of(const struct tsr_plot_points *plot, double from, double to)
{
    struct scale s = {.logarithmic = plot->logarithmic, .lo = NAN, .hi = NAN, .from = from, .to = to};
    for (size_t i = 0; i < plot->n; i++) {
        stretch(plot->point[i].value, s.logarithmic, &s.lo, &s.hi);
        stretch(plot->point[i].low, s.logarithmic, &s.lo, &s.hi);
        stretch(plot->point[i].high, s.logarithmic, &s.lo, &s.hi);
    }
    if (isnan(s.lo)) s.lo = 0, s.hi = 1;
    if (s.logarithmic) {
        s.lo = floor(s.lo - 0.1);
        s.hi = ceil(s.hi + 0.1);
        return s;
    }
    double step = step_of(s.hi > s.lo ? s.hi - s.lo : 0.01, 5);
    s.lo = floor(s.lo / step) * step;
    s.hi = ceil(s.hi / step) * step;
    if (plot->share && s.hi > 1) s.hi = 1;
    if (!(s.hi > s.lo)) s.lo -= step;
    return s;
}

static void ordinate(struct tsr_page *p, const struct tsr_plot_points *plot, const struct scale *s, double left,
                     double right)
{
    char label[32];
    double step = s->logarithmic ? ceil((s->hi - s->lo) / 8) : step_of(s->hi - s->lo, 6);
    for (double v = s->lo; v <= s->hi + step * 1e-6; v += step) {
        double y = s->from + (v - s->lo) / (s->hi - s->lo) * (s->to - s->from);
        if (s->logarithmic) snprintf(label, sizeof label, "%g", pow(10, v));
        else if (plot->share) snprintf(label, sizeof label, "%.4g %%", 100 * v);
        else snprintf(label, sizeof label, "%g", v);
        line(p, left, y, right, y, "grid");
        text(p, left - 6, y + 4, "end", label);
    }
    tsr_page_add(p, "<text class=\"axis\" transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">",
                 (s->from + s->to) / 2);
    tsr_page_xml(p, plot->ordinate);
    tsr_page_add(p, "</text>\n");
}

void tsr_plot_points(struct tsr_page *p, const struct tsr_plot_points *plot)
{
    double left = 92, pitch = plot->n > 4 ? 72 : 86, right = left + pitch * (double)plot->n, top = 12, bottom = 232;
    struct scale s = scale_of(plot, bottom, top);
    double last_x = NAN, last_y = NAN;
    open_svg(p, plot->title, right + 16, bottom + 44);
    ordinate(p, plot, &s, left, right);
    for (size_t i = 0; i < plot->n; i++) {
        const struct tsr_plot_point *o = &plot->point[i];
        double x = left + pitch * ((double)i + 0.5), y = place(&s, o->value);
        text(p, x, bottom + 18, "middle", o->name);
        tsr_page_add(p, "<g class=\"small\">");
        text(p, x, bottom + 34, "middle", o->detail);
        tsr_page_add(p, "</g>");
        if (isnan(o->value)) {
            last_x = NAN;
            continue;
        }
        if (!isnan(last_x)) line(p, last_x, last_y, x, y, "curve");
        if (isfinite(o->low) && isfinite(o->high)) {
            line(p, x, place(&s, o->low), x, place(&s, o->high), "whisker");
            line(p, x - 5, place(&s, o->low), x + 5, place(&s, o->low), "whisker");
            line(p, x - 5, place(&s, o->high), x + 5, place(&s, o->high), "whisker");
        }
        tsr_page_add(p, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>", x, y, tsr_plot_colour(0));
        tsr_page_xml(p, o->detail);
        tsr_page_add(p, ": %.6g [%.6g, %.6g]</title></circle>\n", o->value, o->low, o->high);
        last_x = x;
        last_y = y;
    }
    close_svg(p);
}

void tsr_plot_bars(struct tsr_page *p, const struct tsr_plot_bars *plot)
{
    double left = 180, right = 620, thick = plot->n_series > 3 ? 7 : 11, pitch = thick * (double)plot->n_series + 8;
    double top = 8, bottom = top + pitch * (double)plot->n_rows, max = 0, min = 0;
    for (size_t i = 0; i < plot->n_rows * plot->n_series; i++) {
        if (!isfinite(plot->value[i])) continue;
        if (plot->value[i] > max) max = plot->value[i];
        if (plot->value[i] < min) min = plot->value[i];
    }
    if (!(max > min)) max = min + 1;
    double step = step_of(max - min, 6);
    struct scale s = {.lo = floor(min / step) * step, .hi = ceil(max / step) * step, .from = left, .to = right};
    open_svg(p, plot->title, right + 70, bottom + 48);
    for (double v = s.lo; v <= s.hi + step * 1e-6; v += step) {
        char label[32];
        snprintf(label, sizeof label, "%g", fabs(v) < step * 1e-6 ? 0 : v);
        line(p, place(&s, v), top, place(&s, v), bottom, "grid");
        text(p, place(&s, v), bottom + 16, "middle", label);
    }
    text(p, (left + right) / 2, bottom + 36, "middle", plot->abscissa);
    for (size_t r = 0; r < plot->n_rows; r++) {
        double y = top + pitch * (double)r;
        text(p, left - 8, y + pitch / 2 + 1, "end", plot->row[r]);
        for (size_t k = 0; k < plot->n_series; k++) {
            double v = plot->value[r * plot->n_series + k], zero = place(&s, 0), end = isinf(v) ? right : place(&s, v);
            if (isnan(v)) continue;
            tsr_page_add(p, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>",
                         end < zero ? end : zero, y + 3 + thick * (double)k, fabs(end - zero), thick - 1, tsr_plot_colour(k));
            tsr_page_xml(p, plot->series[k]);
            tsr_page_add(p, isinf(v) ? ": no noise at all</title></rect>\n" : ": %.2f</title></rect>\n", v);
            if (isinf(v)) text(p, right + 6, y + 3 + thick * (double)(k + 1), "start", "\342\210\236");
        }
    }
    close_svg(p);
}

void tsr_plot_confusion(struct tsr_page *p, const char *title, const uint64_t *count, size_t n)
{
    double cell = n <= 16 ? 26 : n <= 40 ? 14 : 8, left = 60, top = 40;
    char label[32];
    open_svg(p, title, left + cell * (double)n + 20, top + cell * (double)n + 20);
    text(p, left + cell * (double)n / 2, 14, "middle", "class in the candidate");
    tsr_page_add(p, "<text class=\"axis\" transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">class in the reference</text>\n",
                 top + cell * (double)n / 2);
    for (size_t i = 0; i < n; i++) {
        uint64_t total = 0;
        for (size_t j = 0; j < n; j++) total += count[i * n + j];
        if (n <= 40 || i % 10 == 0) {
            snprintf(label, sizeof label, "%zu", i);
            text(p, left - 6, top + cell * ((double)i + 0.5) + 4, "end", label);
            text(p, left + cell * ((double)i + 0.5), top - 6, "middle", label);
        }
        for (size_t j = 0; j < n; j++) {
            uint64_t c = count[i * n + j];
            double share = total > 0 ? (double)c / (double)total : 0;
            tsr_page_add(p, "<rect class=\"cell\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" fill-opacity=\"%.3f\">"
                            "<title>reference %zu, candidate %zu: %llu (%.2f %%)</title></rect>\n",
                         left + cell * (double)j, top + cell * (double)i, cell, cell, i == j ? tsr_plot_colour(0) : tsr_plot_colour(1),
                         c > 0 ? 0.08 + 0.92 * sqrt(share) : 0, i, j, (unsigned long long)c, 100 * share);
            if (n > 16 || c == 0) continue;
            snprintf(label, sizeof label, "%llu", (unsigned long long)c);
            tsr_page_add(p, "<g class=\"%s\">", share > 0.4 ? "small light" : "small");
            text(p, left + cell * ((double)j + 0.5), top + cell * ((double)i + 0.5) + 3.5, "middle", label);
            tsr_page_add(p, "</g>");
        }
    }
    close_svg(p);
}
