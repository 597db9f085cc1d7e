/* test_views.c - views: the same bits everywhere, and what every kind promises. */
#include "tessera.h"
#include "suite.h"

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
    {TSR_F32, 4, {N, 2, 16, 9}, TSR_VIEW_IMAGE, "db4b85b834f9a52f34bafd5a5a5e5657e1fd4d18f57a1e573aea5a2815242bb5"},
    {TSR_F32, 3, {N, 3, 40}, TSR_VIEW_SERIES, "4326b4853425d58315d6f82caf8a78ec241237d0b4e8a7a2a6f0321be30c4912"},
    {TSR_F32, 2, {N, 10}, TSR_VIEW_VECTOR, "608cf2370918c973403892125ab1991c65b217b36f2401850bd40619d9ce95a8"},
    {TSR_I64, 2, {N, 12}, TSR_VIEW_TOKENS, "74291078ff1574f31555f5bb3d533d7e54f4382454e3f9f4bfd489e191149f35"},
    {TSR_I32, 2, {N, 12}, TSR_VIEW_TOKENS, "370d8dd754d30c9adba09f419bd8067b0333f9bab89dd75faeab3013d822e538"},
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

/* With nothing else to do, every element of a cut view is its sample's, or in a window its partner's; the window has
 * the partner's share of the area. */
START_TEST(windows_hold_the_other_sample)
{
    static const struct {
        enum tsr_view_kind kind;
        int rank;
        int64_t dim[4], planes, h, w;
    } form[] = {{TSR_VIEW_IMAGE, 4, {N, 2, 16, 9}, 2, 16, 9}, {TSR_VIEW_SERIES, 3, {N, 3, 40}, 3, 1, 40}};
    for (size_t k = 0; k < 2; k++) {
        struct tsr_tensor x = block(TSR_F32, form[k].rank, form[k].dim);
        struct tsr_views v = {.kind = form[k].kind, .count = 400, .seed = 3, .cut = true};
        const int64_t h = form[k].h, w = form[k].w, each = form[k].planes * h * w;
        for (int i = 0; i < N * each; i++) ((float *)x.data)[i] = (float)i; /* all different */
        float out[MOST];
        for (uint32_t view = 2; view <= 400; view += 2) {
            struct tsr_key key = key_of(1);
            struct tsr_view_plan plan;
            tsr_view_plan(&v, &key, view, N, &plan);
            ck_assert(plan.mixed && plan.cut == (view % 4 == 0));
            if (!plan.cut || plan.partner == 1) continue;
            make(&v, &x, 1, view, out);
            const float *a = (const float *)x.data + each, *b = (const float *)x.data + plan.partner * each;
            int64_t from_b = 0, y0 = h, y1 = 0, x0 = w, x1 = 0;
            for (int64_t e = 0; e < each; e++) {
                if (out[e] == a[e]) continue;
                ck_assert(out[e] == b[e]);
                const int64_t y = e / w % h, c = e % w;
                y0 = y < y0 ? y : y0, y1 = y >= y1 ? y + 1 : y1, x0 = c < x0 ? c : x0, x1 = c >= x1 ? c + 1 : x1;
                from_b++;
            }
            if (from_b > 0) ck_assert_int_eq(from_b, form[k].planes * (y1 - y0) * (x1 - x0)); /* a rectangle */
            const double share = (double)from_b / (double)each, slack = 0.5 / (double)w + (h > 1 ? 0.5 / (double)h : 0);
            ck_assert(fabs(share - (1 - (double)plan.lambda)) <= slack + 0.02);
        }
        tsr_tensor_release(&x);
    }
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
    struct tsr_views v = {.count = 40, .seed = 123456789, .shift_y = 1, .shift_x = 2, .gain = 0.1f, .noise = 1.0f / 3, .cut = true}, w;
    struct tsr_json *j;
    for (int k = 0; k < 4; k++) {
        v.kind = kind[k];
        ck_assert_int_eq(tsr_views_to_json(&v, &j, NULL), TSR_OK);
        ck_assert_int_eq(tsr_views_from_json(&w, j, NULL), TSR_OK);
        ck_assert(w.kind == v.kind && w.count == v.count && w.seed == v.seed && w.shift_y == v.shift_y &&
                  w.shift_x == v.shift_x && w.gain == v.gain && w.noise == v.noise && w.cut == v.cut);
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
    tcase_add_test(t, windows_hold_the_other_sample);
    tcase_add_test(t, tokens_come_from_the_two_samples);
    tcase_add_test(t, recipes_travel_as_json);
    tcase_add_test(t, inputs_without_a_recipe_are_refused);
    suite_add_tcase(s, t);
    return run_suite(s);
}
