/* The parser of the commands' options. */
#include "shared/option.h"
#include "suite.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    bool flag, other;
    int count, choice;
    const char *string;
    int64_t integer, size;
    double real;
    struct tsr_strings list;
} set;
static const char *const words[] = {"red", "green", "blue", NULL};
static const struct tsr_option own[] = {
    TSR_FLAG('f', "flag", &set.flag, "a flag"),
    TSR_FLAG('g', "gather", &set.other, "another"),
    TSR_STRING('s', "string", "TEXT", &set.string, "a string"),
    TSR_INT('i', "integer", "N", &set.integer, 1, 64, "an integer"),
    TSR_SIZE(0, "size", "SIZE", &set.size, 0, INT64_MAX, "a size"),
    TSR_DOUBLE('d', "real", "X", &set.real, -1, INFINITY, "a real"),
    TSR_LIST('l', "list", "NAME", &set.list, "a list"),
    TSR_CHOICE(0, "colour", "WORD", &set.choice, words, "red, green or blue"),
};
static const struct tsr_option common[] = {
    {.name = "verbose", .letter = 'v', .kind = TSR_OPT_COUNT, .to.count = &set.count, .help = "more", .common = 1},
    {.name = "hidden", .letter = 'H', .kind = TSR_OPT_FLAG, .to.flag = &set.other, .help = "never", .common = 2},
    {.name = "help", .letter = 'h', .kind = TSR_OPT_HELP, .help = "help", .common = 1},
};
static const struct tsr_option_set options = {
    .table = {own, common}, .n = {sizeof own / sizeof *own, sizeof common / sizeof *common}, .takes = 1};

static char copy[32][64];
static char *args[33];
static int n_args, operands, helped;
static bool given[16];
static struct tsr_error err;

static void on_help(void *arg, const struct tsr_option *o, const char *value)
{
    (void)arg;
    ck_assert_str_eq(o->name, "help");
    helped += value ? 10 : 1;
}

/* Parses words separated by blanks; "''" stands for an empty one. */
static enum tsr_status parse(const char *line)
{
    tsr_free(set.list.item);
    memset(&set, 0, sizeof set);
    memset(given, 0, sizeof given);
    helped = 0;
    n_args = 1;
    args[0] = copy[0];
    while (*line) {
        size_t len = strcspn(line, " ");
        bool empty = len == 2 && memcmp(line, "''", 2) == 0;
        snprintf(copy[n_args], sizeof copy[0], "%.*s", empty ? 0 : (int)len, line);
        args[n_args] = copy[n_args];
        n_args++;
        line += len;
        line += strspn(line, " ");
    }
    args[n_args] = NULL;
    return tsr_option_parse(&options, n_args, args, &operands, given, on_help, NULL, &err);
}

START_TEST(every_kind)
{
    ck_assert_int_eq(parse("--flag --string=a=b --integer 7 --size 3KiB --real=-.5 -l x --list y --colour blue -vv"), 0);
    ck_assert(set.flag && !set.other);
    ck_assert_str_eq(set.string, "a=b");
    ck_assert_int_eq(set.integer, 7);
    ck_assert_int_eq(set.size, 3072);
    ck_assert(set.real == -0.5);
    ck_assert_uint_eq(set.list.n, 2);
    ck_assert_str_eq(set.list.item[0], "x");
    ck_assert_str_eq(set.list.item[1], "y");
    ck_assert_int_eq(set.choice, 2);
    ck_assert_int_eq(set.count, 2);
    ck_assert(given[0] && !given[1] && given[3]);
    ck_assert_int_eq(operands, 0);
}
END_TEST

START_TEST(bundles_and_operands)
{
    ck_assert_int_eq(parse("a -fgi12 - b -d -1 -- -f --nonsense"), 0);
    ck_assert(set.flag && set.other);
    ck_assert_int_eq(set.integer, 12);
    ck_assert(set.real == -1);
    static const char *const want[] = {"a", "-", "b", "-f", "--nonsense"};
    ck_assert_int_eq(operands, 5);
    for (int i = 0; i < 5; i++) ck_assert_str_eq(args[i + 1], want[i]);
    /* the last one counts; a value may look like an option */
    ck_assert_int_eq(parse("-i1 -i 2 -s --flag"), 0);
    ck_assert_int_eq(set.integer, 2);
    ck_assert_str_eq(set.string, "--flag");
    ck_assert(!set.flag);
}
END_TEST

START_TEST(help_has_an_optional_value)
{
    ck_assert_int_eq(parse("-h"), 0);
    ck_assert_int_eq(helped, 1);
    ck_assert_int_eq(parse("--help=table"), 0);
    ck_assert_int_eq(helped, 10);
    ck_assert_int_eq(parse("--help table"), 0);
    ck_assert_int_eq(helped, 1);
    ck_assert_int_eq(operands, 1);
    ck_assert_int_eq(parse("--help=chair"), TSR_E_USAGE);
}
END_TEST

static const struct {
    const char *line, *message;
} bad[] = {
    {"--integer=abc", "option '--integer' wants an integer from 1 to 64, not 'abc'"},
    {"--integer 0", "option '--integer' wants an integer from 1 to 64, not '0'"},
    {"-i65", "option '--integer' wants an integer from 1 to 64, not '65'"},
    {"-i 1.0", "option '--integer' wants an integer from 1 to 64, not '1.0'"},
    {"-i ''", "option '--integer' wants an integer from 1 to 64, not ''"},
    {"-i 99999999999999999999", "option '--integer' wants an integer from 1 to 64, not '99999999999999999999'"},
    {"--integer", "option '--integer' wants N"},
    {"-fi", "option '-i' wants N"},
    {"--real=nan", "option '--real' wants a number of at least -1, not 'nan'"},
    {"--real=inf", "option '--real' wants a number of at least -1, not 'inf'"},
    {"--real=1e999", "option '--real' wants a number of at least -1, not '1e999'"},
    {"--real=0x1p3", "option '--real' wants a number of at least -1, not '0x1p3'"},
    {"--real=1,5", "option '--real' wants a number of at least -1, not '1,5'"},
    {"--real=-1.01", "option '--real' wants a number of at least -1, not '-1.01'"},
    {"--size=1KB", "option '--size' wants a size of at least 0 bytes (a number, or one with KiB, MiB or GiB), not '1KB'"},
    {"--size=9007199254740993GiB", "option '--size' wants a size of at least 0 bytes (a number, or one with KiB, MiB or "
                                   "GiB), not '9007199254740993GiB'"},
    {"--colour=mauve", "option '--colour' wants red, green or blue, not 'mauve'"},
    {"--colour=", "option '--colour' wants red, green or blue, not ''"},
    {"--string=", "option '--string' wants TEXT, not an empty string"},
    {"--flag=1", "option '--flag' takes no value"},
    {"--verbose=2", "option '--verbose' takes no value"},
    {"--flog", "unknown option '--flog'; did you mean '--flag'?"},
    {"--int=1", "unknown option '--int'; did you mean '--integer'?"},
    {"--hidden", "unknown option '--hidden'"},
    {"-H", "unknown option '-H'"},
    {"-fz", "unknown option '-z'"},
    {"--=x", "unknown option '--'"},
};

START_TEST(nonsense)
{
    ck_assert_int_eq(parse(bad[_i].line), TSR_E_USAGE);
    ck_assert_str_eq(err.message, bad[_i].message);
}
END_TEST

START_TEST(limits)
{
    int64_t v = 0;
    double d = 0;
    ck_assert_int_eq(tsr_parse_int("x", "-9223372036854775808", INT64_MIN, INT64_MAX, &v, &err), 0);
    ck_assert(v == INT64_MIN);
    ck_assert_int_eq(tsr_parse_int("x", "+9223372036854775807", INT64_MIN, INT64_MAX, &v, &err), 0);
    ck_assert(v == INT64_MAX);
    ck_assert_int_ne(tsr_parse_int("x", "9223372036854775808", INT64_MIN, INT64_MAX, &v, &err), 0);
    ck_assert_int_eq(tsr_parse_size("x", "8191GiB", 0, INT64_MAX, &v, &err), 0);
    ck_assert(v == (int64_t)8191 << 30);
    ck_assert_int_eq(tsr_parse_double("x", "1.7976931348623157e308", -INFINITY, INFINITY, &d, &err), 0);
    ck_assert(d == DBL_MAX);
    ck_assert_int_ne(tsr_parse_double("x", "1-1", -INFINITY, INFINITY, &d, &err), 0);
    ck_assert_int_ne(tsr_parse_double("x", "e5", -INFINITY, INFINITY, &d, &err), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("option");
    TCase *c = tcase_create("option");
    tcase_add_test(c, every_kind);
    tcase_add_test(c, bundles_and_operands);
    tcase_add_test(c, help_has_an_optional_value);
    tcase_add_loop_test(c, nonsense, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(c, limits);
    suite_add_tcase(s, c);
    return run_suite(s);
}
