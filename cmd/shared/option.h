/* option.h - option tables. One table drives the parser, --help, the completion and the test of
 * the man pages, so none of them can disagree. Include shared/cli.h instead of this file. */
#ifndef TSR_SHARED_OPTION_H
#define TSR_SHARED_OPTION_H

#include "tessera.h"

enum tsr_opt_kind {
    TSR_OPT_FLAG,   /* bool: true when given */
    TSR_OPT_COUNT,  /* int: how often it was given */
    TSR_OPT_STRING, /* const char *: points into argv */
    TSR_OPT_INT,    /* int64_t in [lo, hi] */
    TSR_OPT_DOUBLE, /* finite double in [dlo, dhi] */
    TSR_OPT_SIZE,   /* int64_t bytes in [lo, hi]; KiB, MiB and GiB are understood */
    TSR_OPT_LIST,   /* struct tsr_strings: every value, in order */
    TSR_OPT_CHOICE, /* int: index into choices */
    TSR_OPT_HELP,   /* prints help and ends; value "table" gives the machine-readable form */
    TSR_OPT_VERSION /* prints versions and ends */
};

/* The values of a repeatable option. The strings belong to argv, the array to the parser. */
struct tsr_strings {
    const char **item;
    size_t n, cap;
};

struct tsr_option {
    const char *name; /* long name, no dashes */
    char letter;      /* short name, or 0 */
    enum tsr_opt_kind kind;
    union {
        bool *flag;
        int *count;
        const char **string;
        int64_t *integer; /* TSR_OPT_INT and TSR_OPT_SIZE */
        double *real;
        struct tsr_strings *list;
        int *choice;
    } to;
    const char *arg; /* the value's name in the help, e.g. "FILE" */
    int64_t lo, hi;
    double dlo, dhi;
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one sentence, no full stop; name the default */
    unsigned common;            /* for the common table: the TSR_TAKES_ bit it belongs to */
};

/* One line per option. `dest` is checked by the compiler to be of the right type. */
#define TSR_FLAG(l, n, dest, text) {.name = (n), .letter = (l), .kind = TSR_OPT_FLAG, .to.flag = (dest), .help = (text)}
#define TSR_STRING(l, n, argname, dest, text)                                                                          \
    {.name = (n), .letter = (l), .kind = TSR_OPT_STRING, .to.string = (dest), .arg = (argname), .help = (text)}
#define TSR_INT(l, n, argname, dest, min, max, text)                                                                   \
    {.name = (n), .letter = (l), .kind = TSR_OPT_INT, .to.integer = (dest), .arg = (argname), .lo = (min),             \
     .hi = (max), .help = (text)}
#define TSR_DOUBLE(l, n, argname, dest, min, max, text)                                                                \
    {.name = (n), .letter = (l), .kind = TSR_OPT_DOUBLE, .to.real = (dest), .arg = (argname), .dlo = (min),            \
     .dhi = (max), .help = (text)}
#define TSR_SIZE(l, n, argname, dest, min, max, text)                                                                  \
    {.name = (n), .letter = (l), .kind = TSR_OPT_SIZE, .to.integer = (dest), .arg = (argname), .lo = (min),            \
     .hi = (max), .help = (text)}
#define TSR_LIST(l, n, argname, dest, text)                                                                            \
    {.name = (n), .letter = (l), .kind = TSR_OPT_LIST, .to.list = (dest), .arg = (argname), .help = (text)}
#define TSR_CHOICE(l, n, argname, dest, words, text)                                                                   \
    {.name = (n), .letter = (l), .kind = TSR_OPT_CHOICE, .to.choice = (dest), .arg = (argname), .choices = (words),    \
     .help = (text)}

/* Values. Each parses the whole string, independently of the locale, or fails with TSR_E_USAGE
 * and "`what` wants an integer from 1 to 64, not 'abc'". */
enum tsr_status tsr_parse_int(const char *what, const char *s, int64_t lo, int64_t hi, int64_t *out,
                              struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_parse_double(const char *what, const char *s, double lo, double hi, double *out,
                                 struct tsr_error *err) TSR_MUST_USE;
/* Digits, then nothing or KiB, MiB or GiB. */
enum tsr_status tsr_parse_size(const char *what, const char *s, int64_t lo, int64_t hi, int64_t *out,
                               struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_parse_choice(const char *what, const char *s, const char *const *choices, int *out,
                                 struct tsr_error *err) TSR_MUST_USE;

/* Several tables searched as one; an option whose `common` bit is not in `takes` is invisible. */
struct tsr_option_set {
    const struct tsr_option *table[2];
    size_t n[2];
    unsigned takes;
};
/* Option number i of the set (those of table 0 first), or NULL past the end. Invisible ones are
 * skipped by the caller with tsr_option_visible. */
const struct tsr_option *tsr_option_at(const struct tsr_option_set *set, size_t i);
bool tsr_option_visible(const struct tsr_option_set *set, const struct tsr_option *o);

/* Called for TSR_OPT_HELP and TSR_OPT_VERSION as soon as they are met; does not return. */
typedef void tsr_option_action(void *arg, const struct tsr_option *o, const char *value);

/* GNU-style parsing: --name=value, --name value, -n value, -nvalue, bundled flags, "--" ends the
 * options, "-" is an operand, options and operands mix. Operands are moved to argv[1..*operands].
 * given[i] (one per option of the set) is set for every option met. TSR_E_USAGE on nonsense. */
enum tsr_status tsr_option_parse(const struct tsr_option_set *set, int argc, char **argv, int *operands, bool *given,
                                 tsr_option_action *action, void *arg, struct tsr_error *err) TSR_MUST_USE;

#endif
