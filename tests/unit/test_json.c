/* JSON: strictness, canonical text, numbers, access. */
#include "iotest.h"

#include <locale.h>
#include <math.h>

static struct tsr_json *parse(const char *text)
{
    struct tsr_json *j = NULL;
    OK(tsr_json_parse(text, strlen(text), 1 << 20, "the text", &j, &err));
    return j;
}

static void prints_as(const struct tsr_json *j, const char *want)
{
    struct tsr_buf b = {0};
    OK(tsr_json_print(j, &b, &err));
    ck_assert_msg(b.len == strlen(want) && memcmp(b.data, want, b.len) == 0, "%.*s instead of %s", (int)b.len,
                  (const char *)b.data, want);
    tsr_buf_release(&b);
}

START_TEST(canonical_text)
{
    static const char *const pairs[][2] = {
        {"null", "null"},
        {" [ ] ", "[]"},
        {"{\"b\":1,\"a\":[true,false,null,{}],\"\":\"\"}", "{\"\":\"\",\"a\":[true,false,null,{}],\"b\":1}"},
        {"[1.0,1e3,-0,1e21,1e-7,0.000001,100000000000000000000,123e-20]",
         "[1,1000,0,1e+21,1e-7,0.000001,100000000000000000000,1.23e-18]"},
        {"[9007199254740992,-9007199254740991,0.1,1e23,5e-324,1.7976931348623157e308]",
         "[9007199254740992,-9007199254740991,0.1,1e+23,5e-324,1.7976931348623157e+308]"},
        {"\"\\u0041\\/\\\"\\\\\\b\\f\\n\\r\\t\\u001F\\u007f\\u20ac\\ud83d\\ude00\"",
         "\"A/\\\"\\\\\\b\\f\\n\\r\\t\\u001f\x7f\xe2\x82\xac\xf0\x9f\x98\x80\""},
        /* the example of RFC 8785, section 3.2.3: order by UTF-16 code units */
        {"{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\","
         "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
         "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
         "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"Latin Small Letter O With "
         "Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\",\"\xef\xac\xb3\":"
         "\"Hebrew Letter Dalet With Dagesh\"}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct tsr_json *j = parse(pairs[i][0]), *again;
        prints_as(j, pairs[i][1]);
        again = parse(pairs[i][1]);
        prints_as(again, pairs[i][1]);
        ck_assert(tsr_json_equal(j, again));
        tsr_json_free(again);
        tsr_json_free(j);
    }
}
END_TEST

START_TEST(what_is_refused)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "byte 0: the text ends where a value is expected"},
        {"{", "the text ends"},
        {"[1,]", "byte 3: expected a value"},
        {"[1 2]", "byte 3: expected ',' or ']'"},
        {"{\"a\":1,}", "expected a string"},
        {"{\"a\" 1}", "expected ':'"},
        {"{\"a\":1;}", "expected ',' or '}'"},
        {"{a:1}", "expected a string"},
        {"01", "something follows the value"},
        {"+1", "expected a value"},
        {"1.", "expected a digit"},
        {".5", "expected a value"},
        {"1e", "expected a digit"},
        {"-", "expected a digit"},
        {"NaN", "expected a value"},
        {"Infinity", "expected a value"},
        {"nul", "expected a value"},
        {"truex", "something follows"},
        {"[1]]", "byte 3: something follows"},
        {"[1", "ends inside an array"},
        {"{\"a\":1", "ends inside an object"},
        {"\"abc", "ends inside a string"},
        {"\"a\tb\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\u0000\"", "NUL"},
        {"\"\\ud800\"", "lone surrogate"},
        {"\"\\ud800\\u0041\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"\"\xc0\x80\"", "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "invalid UTF-8"},
        {"\"\xe2\x82\"", "invalid UTF-8"},
        {"\xef\xbb\xbf{}", "expected a value"},
        {"1e999", "too large"},
        {"{\"a\":[{\"b\":-1e400}]}", "too large in field b"},
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "the field 'a' twice"},
        {"[{\"x\":{\"k\":1,\"k\":1}}]", "the field 'k' twice"},
        {"1111111111111111111111111111111111111111111111111111111111111", "more than 60 characters"},
        {"// comment\n1", "expected a value"},
    };
    struct tsr_json *j;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(TSR_E_CORRUPT, bad[i].message, tsr_json_parse(bad[i].text, strlen(bad[i].text), 1000, "x", &j, &err));
        ck_assert_ptr_null(j);
    }
    FAILS(TSR_E_CORRUPT, "byte 1: something follows", tsr_json_parse("1\0", 2, 1000, "x", &j, &err));
    FAILS(TSR_E_LIMIT, "the head is JSON of 3 bytes, more than the 2", tsr_json_parse("123", 3, 2, "the head", &j, &err));
    char deep[70] = {0};
    memset(deep, '[', TSR_JSON_DEPTH);
    memset(deep + TSR_JSON_DEPTH, ']', TSR_JSON_DEPTH);
    tsr_json_free(parse(deep));
    memset(deep, '[', TSR_JSON_DEPTH + 1);
    FAILS(TSR_E_CORRUPT, "nested too deeply", tsr_json_parse(deep, strlen(deep), 1000, "x", &j, &err));
}
END_TEST

START_TEST(every_prefix_of_a_valid_text_is_refused)
{
    static const char text[] = "{\"a\":[1.5e3,true,null,\"\\u20ac\xe2\x82\xac\"],\"b\":{\"c\":-0.25}}";
    struct tsr_json *j;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *exact = tsr_memdup(text, n); /* so that a sanitizer sees a read past the end */
        FAILS(TSR_E_CORRUPT, "not valid JSON", tsr_json_parse(exact, n, 1000, "x", &j, &err));
        tsr_free(exact);
    }
}
END_TEST

START_TEST(building_and_access)
{
    struct tsr_json *j, *child, *copy;
    const struct tsr_json *c;
    OK(tsr_json_object(&j, &err));
    OK(tsr_json_set_int(j, "rank", 64, &err));
    OK(tsr_json_set_string(j, "name", "first", &err));
    OK(tsr_json_set_string(j, "name", "a \"b\"", &err));
    OK(tsr_json_set_bool(j, "yes", true, &err));
    OK(tsr_json_set_number(j, "x", 0.1, &err));
    OK(tsr_json_set_null(j, "none", &err));
    OK(tsr_json_set_array(j, "list", &child, &err));
    OK(tsr_json_set_number(child, NULL, 2.5, &err));
    OK(tsr_json_set_string(child, NULL, "two", &err));
    OK(tsr_json_set_ints(j, "shape", (const int64_t[]){4, 0, -7}, 3, &err));
    OK(tsr_json_set_object(j, "all", &child, &err));
    OK(tsr_json_set_int(child, "k", -TSR_JSON_INT_MAX, &err));
    OK(tsr_json_set_copy(j, "zcopy", child, &err));
    static const char want[] = "{\"all\":{\"k\":-9007199254740992},\"list\":[2.5,\"two\"],\"name\":\"a \\\"b\\\"\","
                               "\"none\":null,\"rank\":64,\"shape\":[4,0,-7],\"x\":0.1,\"yes\":true,"
                               "\"zcopy\":{\"k\":-9007199254740992}}";
    prints_as(j, want);
    copy = parse(want);
    ck_assert(tsr_json_equal(j, copy));
    tsr_json_remove(copy, "x");
    tsr_json_remove(copy, "absent");
    ck_assert(!tsr_json_equal(j, copy));
    tsr_json_free(copy);
    FAILS(TSR_E_NUMERIC, "not exact", tsr_json_set_int(j, "big", TSR_JSON_INT_MAX + 1, &err));
    FAILS(TSR_E_NUMERIC, "field 'nan' is not a finite number", tsr_json_set_number(j, "nan", NAN, &err));
    FAILS(TSR_E_USAGE, "not valid UTF-8", tsr_json_set_string(j, "s", "\xff", &err));
    FAILS(TSR_E_USAGE, "not valid UTF-8", tsr_json_set_null(j, "\xff", &err));
    FAILS(TSR_E_USAGE, "not an array", tsr_json_set_null(j, NULL, &err));
    prints_as(j, want);

    int64_t i = 0, shape[4];
    double x = 0;
    bool yes = false;
    size_t n = 0;
    const char *s = NULL;
    OK(tsr_json_need_int(j, "rank", 0, 64, &i, &err));
    ck_assert_int_eq(i, 64);
    FAILS(TSR_E_CORRUPT, "field 'rank' is not an integer from 0 to 63", tsr_json_need_int(j, "rank", 0, 63, &i, &err));
    FAILS(TSR_E_CORRUPT, "field 'x' is not an integer", tsr_json_need_int(j, "x", 0, 63, &i, &err));
    FAILS(TSR_E_CORRUPT, "field 'rang' is missing", tsr_json_need_int(j, "rang", 0, 63, &i, &err));
    OK(tsr_json_need_number(j, "x", 0, 1, &x, &err));
    ck_assert_double_eq(x, 0.1);
    FAILS(TSR_E_CORRUPT, "field 'x' is not a number from 0.5 to infinity",
          tsr_json_need_number(j, "x", 0.5, INFINITY, &x, &err));
    OK(tsr_json_need_bool(j, "yes", &yes, &err));
    ck_assert(yes);
    FAILS(TSR_E_CORRUPT, "field 'none' is not true or false", tsr_json_need_bool(j, "none", &yes, &err));
    OK(tsr_json_need_string(j, "name", &s, &err));
    ck_assert_str_eq(s, "a \"b\"");
    FAILS(TSR_E_CORRUPT, "is not a string", tsr_json_need_string(j, "rank", &s, &err));
    OK(tsr_json_need_ints(j, "shape", -7, 4, 4, shape, &n, &err));
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(shape[2], -7);
    FAILS(TSR_E_CORRUPT, "at most 2 integers", tsr_json_need_ints(j, "shape", -7, 4, 2, shape, &n, &err));
    FAILS(TSR_E_CORRUPT, "field 'shape', element 2: ", tsr_json_need_ints(j, "shape", 0, 4, 4, shape, &n, &err));
    OK(tsr_json_need_array(j, "list", &c, &err));
    ck_assert_uint_eq(tsr_json_length(c), 2);
    c = tsr_json_next(tsr_json_first(c));
    OK(tsr_json_need_string(c, NULL, &s, &err));
    ck_assert_str_eq(s, "two");
    ck_assert_ptr_null(tsr_json_next(c));
    FAILS(TSR_E_CORRUPT, "is not an object", tsr_json_need_object(j, "list", &c, &err));
    OK(tsr_json_need_object(j, "all", &c, &err));
    ck_assert_str_eq(tsr_json_key(c), "all");
    tsr_json_free(j);
    tsr_json_free(NULL);
}
END_TEST

START_TEST(numbers_read_back)
{
    static const struct {
        double v;
        const char *text;
    } known[] = {
        {0x1p-44, "5.684341886080802e-14"},     {0x1p-1074, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {9.5e-7, "9.5e-7"},                     {0x1p-1022 - 0x1p-1074, "2.225073858507201e-308"},
        {1e22, "1e+22"},                        {123456789012345680000.0, "123456789012345680000"},
        {-0.0, "0"},                            {(double)0.1f, "0.10000000149011612"},
        {1.0 / 3, "0.3333333333333333"},        {-1234.5, "-1234.5"},
        {9007199254740993.0, "9007199254740992"}, {0x1p89, "6.189700196426902e+26"},
    };
    char text[TSR_NUMBER_TEXT];
    double back = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = tsr_number_print(known[i].v, text);
        ck_assert_uint_eq(n, strlen(known[i].text));
        ck_assert_str_eq(text, known[i].text);
    }
    struct tsr_rng rng;
    tsr_rng_init(&rng, 5, 0);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = tsr_rng_u64(&rng);
        if (i % 8 == 0) bits &= ~UINT64_C(0) << 52; /* powers of two */
        if (i % 8 == 1) bits &= (UINT64_C(1) << 52) - 1; /* subnormals */
        double v;
        memcpy(&v, &bits, 8);
        if (i % 8 == 2) v = (double)(float)tsr_rng_double(&rng);
        if (!isfinite(v)) continue;
        size_t n = tsr_number_print(v, text);
        ck_assert(n < TSR_NUMBER_TEXT && text[n] == '\0');
        ck_assert(tsr_number_parse(text, n, &back));
        ck_assert_msg(back == v, "%s is not %.17g", text, v);
        ck_assert_msg(strtod(text, NULL) == v, "%s is not %.17g", text, v);
    }
    /* the quick path agrees with the C library's */
    for (int i = 0; i < 100000; i++) {
        char t[64];
        int n = snprintf(t, sizeof t, "%s%llu.%0*llue%d", i & 1 ? "-" : "",
                         (unsigned long long)tsr_rng_below(&rng, 1000000), (int)tsr_rng_below(&rng, 12) + 1,
                         (unsigned long long)tsr_rng_below(&rng, 10), (int)tsr_rng_below(&rng, 60) - 30);
        ck_assert(tsr_number_parse(t, (size_t)n, &back));
        ck_assert_msg(back == strtod(t, NULL), "%s", t);
    }
}
END_TEST

START_TEST(texts_that_are_no_numbers)
{
    static const char *const bad[] = {"", "+", "-", ".", "e5", "1e", "1e+", "0x10", "1 ", " 1", "nan", "inf", "1.2.3", "1,5"};
    static const char *const good[] = {"1.", ".5", "+1", "-0", "007", "1E5", "1e-400", "1e400"};
    double v;
    int64_t i;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) ck_assert_msg(!tsr_number_parse(bad[k], strlen(bad[k]), &v), "%s", bad[k]);
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) ck_assert_msg(tsr_number_parse(good[k], strlen(good[k]), &v), "%s", good[k]);
    ck_assert(isinf(v));
    ck_assert(tsr_number_parse_int("-9223372036854775808", 20, &i) && i == INT64_MIN);
    ck_assert(tsr_number_parse_int("9223372036854775807", 19, &i) && i == INT64_MAX);
    ck_assert(tsr_number_parse_int("+12", 3, &i) && i == 12);
    ck_assert(!tsr_number_parse_int("9223372036854775808", 19, &i));
    ck_assert(!tsr_number_parse_int("1.0", 3, &i) && !tsr_number_parse_int("", 0, &i) && !tsr_number_parse_int("-", 1, &i));
}
END_TEST

START_TEST(the_locale_does_not_matter)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < sizeof commas / sizeof *commas; i++)
        if (setlocale(LC_ALL, commas[i]) != NULL) break;
    struct tsr_json *j = parse("[0.5,1.25e-9]");
    prints_as(j, "[0.5,1.25e-9]");
    tsr_json_free(j);
    setlocale(LC_ALL, "C");
}
END_TEST

static enum tsr_status build(struct tsr_error *err)
{
    struct tsr_json *a = NULL, *b = NULL, *child;
    struct tsr_buf buf = {0};
    enum tsr_status status;
    static const char text[] = "{\"z\":[1,2,{\"k\":\"v\"}],\"a\":\"text\"}";
    TSR_GO(status, out, tsr_json_parse(text, sizeof text - 1, 1000, "x", &a, err));
    TSR_GO(status, out, tsr_json_object(&b, err));
    TSR_GO(status, out, tsr_json_set_copy(b, "copy", a, err));
    TSR_GO(status, out, tsr_json_set_ints(b, "ints", (const int64_t[]){1, 2, 3}, 3, err));
    TSR_GO(status, out, tsr_json_set_string(b, "s", "text", err));
    TSR_GO(status, out, tsr_json_set_array(b, "list", &child, err));
    TSR_GO(status, out, tsr_json_set_bool(child, NULL, true, err));
    TSR_GO(status, out, tsr_json_print(b, &buf, err));
out:
    tsr_json_free(a);
    tsr_json_free(b);
    tsr_buf_release(&buf);
    return status;
}

START_TEST(failing_allocations) { TORTURE(build(&err)); }
END_TEST

int main(void)
{
    const TTest *tests[] = {
        canonical_text,    what_is_refused,           every_prefix_of_a_valid_text_is_refused, building_and_access,
        numbers_read_back, texts_that_are_no_numbers, the_locale_does_not_matter,              failing_allocations,
    };
    return run_tests("json", tests, sizeof tests / sizeof *tests);
}
