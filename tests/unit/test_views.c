/* test_views.c - views: the same bits everywhere, and what every kind promises. */
#include "tessera.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5, VIEWS = 6, MOST = 512 };

static struct tsr_key key_of(int i)
{
    struct tsr_key k;
    for (int b = 0; b < TSR_KEY_LEN; b++) k.b[b] = (uint8_t)(i * 16 + b);
    return k;
}

static struct tsr_tensor block(enum tsr_dtype dtype, int rank, const int64_t *dim)
{
    struct tsr_tensor x;
    ck_assert_int_eq(tsr_tensor_zeros(&x, dtype, rank, dim, NULL), TSR_OK);
    for (int64_t i = 0; i < tsr_tensor_count(&x); i++) {
        int64_t v = i * 37 % 101;
        if (dtype == TSR_F32) ((float *)x.data)[i] = (float)(v - 50) / 64;
        else if (dtype == TSR_I32) ((int32_t *)x.data)[i] = (int32_t)v;
        else ((int64_t *)x.data)[i] = v;
    }
    return x;
}

static void make(const struct tsr_views *v, const struct tsr_tensor *x, int sample, uint32_t view, void *out)
{
    struct tsr_shape one = {.rank = x->shape.rank - 1};
    memcpy(one.dim, x->shape.dim + 1, (size_t)one.rank * sizeof *one.dim);
    size_t each = tsr_tensor_bytes(x) / N;
    struct tsr_key key = key_of(sample);
    struct tsr_view_plan plan;
    tsr_view_plan(v, &key, view, N, &plan);
    const char *from = x->data;
    tsr_view_make(v, &plan, x->dtype, &one, from + each * (size_t)sample,
                  plan.mixed ? from + each * plan.partner : NULL, out);
}

static const struct {
    enum tsr_dtype dtype;
    int rank;
    int64_t dim[4];
    enum tsr_view_kind kind;
    const char *sha256;
} pinned[] = {
    {TSR_F32, 4, {N, 2, 16, 9}, TSR_VIEW_IMAGE, "901d1d92c22ae733623cc2c84d06cc480a1894d19e113d2f462db0f3172afb2d"},
    {TSR_F32, 3, {N, 3, 40}, TSR_VIEW_SERIES, "1a6a35b3ac4734fd519b7639cdfffc29b2845f9f9bf69c0129a605e470fd04b4"},
    {TSR_F32, 2, {N, 10}, TSR_VIEW_VECTOR, "f29589bbfe2d5c27520ddafe50a2190ca09a5717aaedfe698c8f4aa37e6fd2b3"},
    {TSR_I64, 2, {N, 12}, TSR_VIEW_TOKENS, "b94511b87db4fbe4c6c1ef04730d57273dc22c23af6a5880e418aaa49f0de6a6"},
    {TSR_I32, 2, {N, 12}, TSR_VIEW_TOKENS, "d9ce42b479f9a7fe03baf44bdaf22835f07e87be949eb0a5fa89bb79dc27334d"},
};

/* Both sides of a transfer make these on different machines: a change of a bit is a change of the
 * stream format. */
START_TEST(the_bits_are_pinned)
{
    struct tsr_tensor x = block(pinned[_i].dtype, pinned[_i].rank, pinned[_i].dim);
    struct tsr_views v;
    struct tsr_sha256 h;
    uint8_t digest[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    int64_t out[MOST];
    size_t each = tsr_tensor_bytes(&x) / N;
    ck_assert_int_eq(tsr_views_default(&v, &x, VIEWS, 7, NULL), TSR_OK);
    ck_assert_int_eq(v.kind, pinned[_i].kind);
    ck_assert_int_eq(tsr_views_check(&v, x.dtype, NULL), TSR_OK);
    tsr_sha256_init(&h);
    for (int i = 0; i < N; i++)
        for (uint32_t view = 1; view <= VIEWS; view++) {
            make(&v, &x, i, view, out);
            tsr_sha256_update(&h, out, each);
        }
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, hex);
    ck_assert_str_eq(hex, pinned[_i].sha256);
    tsr_tensor_release(&x);
}
END_TEST

START_TEST(without_change_a_view_is_its_sample)
{
    struct tsr_tensor x = block(TSR_F32, 4, (int64_t[]){N, 2, 16, 9});
    struct tsr_views v = {.kind = TSR_VIEW_IMAGE, .count = VIEWS, .seed = 1};
    float out[MOST];
    for (int i = 0; i < N; i++) {
        make(&v, &x, i, 1, out);
        ck_assert_mem_eq(out, (float *)x.data + i * 2 * 16 * 9, 2 * 16 * 9 * sizeof(float));
    }
    /* a shift moves along its axis and repeats the edge */
    v.shift_x = 3;
    make(&v, &x, 0, 1, out);
    struct tsr_view_plan plan;
    struct tsr_key key = key_of(0);
    tsr_view_plan(&v, &key, 1, N, &plan);
    ck_assert(!plan.mixed && plan.dy[0] == 0 && abs(plan.dx[0]) <= 3);
    for (int c = 0; c < 9; c++) {
        int from = c - plan.dx[0] < 0 ? 0 : c - plan.dx[0] > 8 ? 8 : c - plan.dx[0];
        ck_assert(out[c] == ((float *)x.data)[from]);
    }
    tsr_tensor_release(&x);
}
END_TEST

START_TEST(plans_keep_to_the_recipe)
{
    struct tsr_views v = {.kind = TSR_VIEW_IMAGE, .count = 200, .seed = 5, .shift_y = 2, .shift_x = 4, .gain = 0.1f};
    struct tsr_view_plan p, q;
    bool seen[9] = {false};
    for (int i = 0; i < N; i++)
        for (uint32_t view = 1; view <= 200; view++) {
            struct tsr_key key = key_of(i);
            tsr_view_plan(&v, &key, view, N, &p);
            tsr_view_plan(&v, &key, view, N, &q);
            ck_assert(p.partner == q.partner && p.lambda == q.lambda && p.dx[0] == q.dx[0]);
            ck_assert(p.partner < N && p.lambda >= 0 && p.lambda <= 1);
            ck_assert(p.mixed == (view % 2 == 0));
            ck_assert(abs(p.dy[0]) <= 2 && abs(p.dx[0]) <= 4 && abs(p.dy[1]) <= 2 && abs(p.dx[1]) <= 4);
            seen[p.dx[0] + 4] = true;
            tsr_view_plan(&v, &key, view, 1, &p); /* a sample alone in its block has nobody to mix with */
            ck_assert(!p.mixed && p.lambda == 1);
        }
    for (int i = 0; i < 9; i++) ck_assert_msg(seen[i], "no view is shifted by %d", i - 4);
}
END_TEST

START_TEST(tokens_come_from_the_two_samples)
{
    struct tsr_tensor x = block(TSR_I64, 2, (int64_t[]){N, 12});
    struct tsr_views v = {.kind = TSR_VIEW_TOKENS, .count = 50, .seed = 3};
    int64_t out[12], from_a = 0, all = 0;
    for (int i = 0; i < N; i++)
        for (uint32_t view = 1; view <= 50; view++) {
            struct tsr_key key = key_of(i);
            struct tsr_view_plan plan;
            tsr_view_plan(&v, &key, view, N, &plan);
            ck_assert(plan.mixed && plan.permute == (view % 2 == 1));
            make(&v, &x, i, view, out);
            const int64_t *a = (const int64_t *)x.data + i * 12, *b = (const int64_t *)x.data + plan.partner * 12;
            for (int k = 0; k < 12; k++, all++) {
                bool own = out[k] == a[k], other = !plan.permute && out[k] == b[k];
                for (int m = 0; plan.permute && m < 12; m++) other = other || out[k] == b[m];
                ck_assert(own || other);
                from_a += own;
            }
        }
    ck_assert(from_a > all / 3 && from_a < all * 9 / 10);
    tsr_tensor_release(&x);
}
END_TEST

START_TEST(recipes_travel_as_json)
{
    static const enum tsr_view_kind kind[] = {TSR_VIEW_IMAGE, TSR_VIEW_SERIES, TSR_VIEW_VECTOR, TSR_VIEW_TOKENS};
    struct tsr_views v = {.count = 40, .seed = 123456789, .shift_y = 1, .shift_x = 2, .gain = 0.1f, .noise = 1.0f / 3}, w;
    struct tsr_json *j;
    for (int k = 0; k < 4; k++) {
        v.kind = kind[k];
        ck_assert_int_eq(tsr_views_to_json(&v, &j, NULL), TSR_OK);
        ck_assert_int_eq(tsr_views_from_json(&w, j, NULL), TSR_OK);
        ck_assert(w.kind == v.kind && w.count == v.count && w.seed == v.seed && w.shift_y == v.shift_y &&
                  w.shift_x == v.shift_x && w.gain == v.gain && w.noise == v.noise);
        tsr_json_free(j);
    }
    ck_assert_int_eq(tsr_views_to_json(&v, &j, NULL), TSR_OK);
    ck_assert_int_eq(tsr_json_set_string(j, "kind", "smells", NULL), TSR_OK);
    ck_assert_int_eq(tsr_views_from_json(&w, j, NULL), TSR_E_UNSUPPORTED);
    ck_assert_int_eq(tsr_json_set_string(j, "kind", "image", NULL), TSR_OK);
    ck_assert_int_eq(tsr_json_set_int(j, "shift_x", -1, NULL), TSR_OK);
    ck_assert_int_ne(tsr_views_from_json(&w, j, NULL), TSR_OK);
    tsr_json_remove(j, "shift_x");
    ck_assert_int_ne(tsr_views_from_json(&w, j, NULL), TSR_OK);
    tsr_json_free(j);
}
END_TEST

START_TEST(inputs_without_a_recipe_are_refused)
{
    struct tsr_views v;
    struct tsr_tensor x = {.dtype = TSR_U8, .shape = {.rank = 2, .dim = {N, 4}}};
    ck_assert_int_eq(tsr_views_default(&v, &x, 1, 1, NULL), TSR_E_UNSUPPORTED);
    x = (struct tsr_tensor){.dtype = TSR_F32, .shape = {.rank = 5, .dim = {N, 1, 1, 1, 1}}};
    ck_assert_int_eq(tsr_views_default(&v, &x, 1, 1, NULL), TSR_E_UNSUPPORTED);
    v = (struct tsr_views){.kind = TSR_VIEW_IMAGE};
    ck_assert_int_eq(tsr_views_check(&v, TSR_U8, NULL), TSR_E_MISMATCH);
    ck_assert_int_eq(tsr_views_check(&v, TSR_I64, NULL), TSR_E_MISMATCH);
    v.kind = TSR_VIEW_TOKENS;
    ck_assert_int_eq(tsr_views_check(&v, TSR_F32, NULL), TSR_E_MISMATCH);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("views");
    TCase *t = tcase_create("views");
    tcase_add_loop_test(t, the_bits_are_pinned, 0, (int)(sizeof pinned / sizeof *pinned));
    tcase_add_test(t, without_change_a_view_is_its_sample);
    tcase_add_test(t, plans_keep_to_the_recipe);
    tcase_add_test(t, tokens_come_from_the_two_samples);
    tcase_add_test(t, recipes_travel_as_json);
    tcase_add_test(t, inputs_without_a_recipe_are_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
