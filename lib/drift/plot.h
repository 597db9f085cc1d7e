/* plot.h - figures of the HTML report, as inline SVG without scripts. Thread-safe. */
#ifndef TSR_DRIFT_PLOT_H
#define TSR_DRIFT_PLOT_H

#include "drift/page.h"

/* A value for each of n names along the abscissa, with its interval; NaN: none. */
struct tsr_plot_point {
    const char *name;   /* below the axis */
    const char *detail; /* of the tooltip, and in a second line below the axis */
    double value, low, high;
};
struct tsr_plot_points {
    const char *title, *ordinate;
    bool logarithmic; /* values of 0 or less stand on the axis */
    bool share;       /* labels in per cent */
    const struct tsr_plot_point *point;
    size_t n;
};
void tsr_plot_points(struct tsr_page *p, const struct tsr_plot_points *plot);

/* Horizontal bars: for each of n_rows names one for each of n_series; value[row * n_series + series],
 * NaN: none, infinite: a full bar. */
struct tsr_plot_bars {
    const char *title, *abscissa;
    const char *const *row, *const *series;
    size_t n_rows, n_series;
    const double *value;
};
void tsr_plot_bars(struct tsr_page *p, const struct tsr_plot_bars *plot);

/* A matrix of counts, n x n, rows being the reference's classes: shaded by each row's shares. */
void tsr_plot_confusion(struct tsr_page *p, const char *title, const uint64_t *count, size_t n);

/* The colour of series i, "#rrggbb": distinguishable by the colour-blind (Okabe and Ito, 2008). */
const char *tsr_plot_colour(size_t i);

#endif
