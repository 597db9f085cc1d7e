/* Operators that move elements, read shapes, or make constants. */
#include "optest.h"

/* Checks output 0 against index arithmetic is left to the known answers; this one runs the usual three. */
static void all(struct optest *t)
{
    ot_check_all(t, 1e-6);
    ot_free(t);
}

static const enum tsr_dtype every_type[] = {TSR_F32, TSR_F64, TSR_F16, TSR_BF16, TSR_BOOL, TSR_I8, TSR_U8, TSR_I16, TSR_U16,
                                            TSR_I32, TSR_U32, TSR_I64, TSR_U64, TSR_I4, TSR_U4};
#define TYPES (int)(sizeof every_type / sizeof *every_type)

/* Values that every type holds: 0 and 1 in a pattern. */
static void bits_in(struct optest *t, enum tsr_dtype d, struct tsr_shape s)
{
    struct tsr_tensor *x = ot_in_new(t, d, s);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++) tsr_store_i64(d, x->data, i, (i * 7 % 11) & 1);
}

START_TEST(transpose)
{
    static const struct {
        int rank;
        int64_t dim[5];
        int perm[5];
    } c[] = {
        {2, {3, 5}, {1, 0}},       {2, {70, 33}, {1, 0}},          {3, {2, 3, 4}, {0, 2, 1}},       {3, {5, 40, 19}, {2, 0, 1}},
        {4, {2, 3, 4, 5}, {0, 2, 1, 3}}, {4, {2, 3, 4, 5}, {3, 2, 1, 0}}, {4, {2, 17, 3, 18}, {0, 2, 3, 1}}, {5, {2, 3, 1, 2, 4}, {4, 1, 3, 0, 2}},
        {4, {2, 18, 5, 3}, {0, 3, 1, 2}},
    };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++)
        for (int ty = 0; ty < TYPES; ty++) {
            struct optest t;
            ot_init(&t, "Transpose", 13);
            struct tsr_attr *a = ot_attr(&t, "perm", TSR_ATTR_INTS, (size_t)c[k].rank);
            a->ints = ot_have(tsr_calloc(8, sizeof(int64_t)));
            for (int i = 0; i < c[k].rank; i++) a->ints[i] = c[k].perm[i];
            struct tsr_shape s = ot_shape(c[k].rank, c[k].dim);
            if (ty == 0) {
                ot_in_random(&t, TSR_F32, s, -1, 1);
                ot_float_agrees(&t, 0);
                if (tsr_shape_count(&s) < 200) ot_gradcheck(&t);
            } else bits_in(&t, every_type[ty], s);
            ot_run(&t);
            for (int64_t o = 0; o < tsr_shape_count(&s); o++) {
                int64_t index[5], rest = o, at = 0;
                for (int i = s.rank - 1; i >= 0; i--) index[c[k].perm[i]] = rest % s.dim[c[k].perm[i]], rest /= s.dim[c[k].perm[i]];
                for (int i = 0; i < s.rank; i++) at = at * s.dim[i] + index[i];
                ck_assert(tsr_load_f64(t.out[0].dtype, t.out[0].data, o) == tsr_load_f64(t.in[0].dtype, t.in[0].data, at));
            }
            ot_threads_agree(&t);
            ot_free(&t);
        }
    struct optest t;
    ot_init(&t, "Transpose", 13);
    ot_ints(&t, "perm", 2, 0, 0);
    ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "twice");
    ot_free(&t);
}
END_TEST

START_TEST(concat)
{
    struct optest t;
    for (int axis = -3; axis < 3; axis++) {
        ot_init(&t, "Concat", 13);
        ot_int(&t, "axis", axis);
        for (int i = 0; i < 3; i++) {
            struct tsr_shape s = {3, {2, 3, 4}};
            s.dim[axis < 0 ? axis + 3 : axis] = i; /* the first one is empty */
            ot_in_random(&t, TSR_F32, s, -1, 1);
        }
        all(&t);
    }
    for (int ty = 0; ty < TYPES; ty++) {
        ot_init(&t, "Concat", 13);
        ot_int(&t, "axis", 1);
        ot_in(&t, every_type[ty], OT_S(2, 1), OT_V(1, 0));
        ot_in(&t, every_type[ty], OT_S(2, 2), OT_V(0, 1, 1, 1));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(2, 3), OT_V(1, 0, 1, 0, 1, 1), 0);
        ot_free(&t);
    }
    ot_init(&t, "Concat", 13);
    ot_int(&t, "axis", 0);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[2,2]");
    ot_free(&t);
}
END_TEST

START_TEST(split)
{
    struct optest t;
    ot_init(&t, "Split", 11);
    t.n_out = 3;
    ot_int(&t, "axis", 1);
    ot_ints(&t, "split", 3, 1, 0, 3);
    ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
    all(&t);
    ot_init(&t, "Split", 18);
    t.n_out = 3;
    t.zero_gout[1] = true;
    ot_int(&t, "num_outputs", 3);
    ot_in(&t, TSR_F32, OT_S(7), OT_V(1, 2, 3, 4, 5, 6, 7));
    ot_run(&t);
    ot_expect(&t, 2, OT_S(1), OT_V(7), 0);
    ot_expect(&t, 1, OT_S(3), OT_V(4, 5, 6), 0);
    all(&t);
    ot_init(&t, "Split", 13);
    t.n_out = 2;
    t.skip_out[0] = true;
    ot_in(&t, TSR_I4, OT_S(3), OT_V(1, -2, 3));
    ot_in_i64(&t, OT_S(2), OT_I(1, 2));
    ot_run(&t);
    ot_expect(&t, 1, OT_S(2), OT_V(-2, 3), 0);
    ot_free(&t);
    ot_init(&t, "Split", 13);
    t.n_out = 2;
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(1, 1));
    ot_fails(&t, TSR_E_MISMATCH, "make up 2");
    ot_free(&t);
}
END_TEST

START_TEST(slice)
{
    struct optest t;
    static const struct {
        int64_t start[2], end[2], step[2];
        int rows;
        double want[8];
    } c[] = {
        {{0, 1}, {2, 3}, {1, 1}, 2, {1, 2, 5, 6}},        {{-1, -2}, {INT64_MAX, 100}, {1, 1}, 1, {10, 11}},
        {{2, 3}, {INT64_MIN, INT64_MIN}, {-2, -1}, 2, {11, 10, 9, 8, 3, 2, 1, 0}}, {{0, 0}, {3, 4}, {2, 3}, 2, {0, 3, 8, 11}},
    };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        double x[12];
        for (int i = 0; i < 12; i++) x[i] = i;
        ot_init(&t, "Slice", 13);
        ot_in(&t, TSR_F32, OT_S(3, 4), x);
        ot_in_i64(&t, OT_S(2), c[k].start);
        ot_in_i64(&t, OT_S(2), c[k].end);
        ot_in_i64(&t, OT_S(2), OT_I(0, -1));
        ot_in_i64(&t, OT_S(2), c[k].step);
        ot_run(&t);
        ot_expect(&t, 0, OT_S(c[k].rows, t.out[0].shape.dim[1]), c[k].want, 0);
        all(&t);
    }
    ot_init(&t, "Slice", 9);
    ot_ints(&t, "starts", 1, 1);
    ot_ints(&t, "ends", 1, 1000);
    ot_ints(&t, "axes", 1, 1);
    ot_in(&t, TSR_U4, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(2, 3, 5, 6), 0);
    ot_free(&t);
    ot_init(&t, "Slice", 13); /* an empty result */
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(0));
    ot_gradcheck(&t);
    ot_free(&t);
    ot_init(&t, "Slice", 13);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(0));
    ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_in_absent(&t);
    ot_in_i64(&t, OT_S(1), OT_I(0));
    ot_fails(&t, TSR_E_CORRUPT, "zero");
    ot_free(&t);
}
END_TEST

START_TEST(pad)
{
    static const char *const mode[] = {"constant", "reflect", "edge", "wrap"};
    static const double want[4][14] = {{9, 9, 1, 2, 3, 9, 9, 9, 9, 4, 5, 6, 9, 9}, {3, 2, 1, 2, 3, 2, 1, 6, 5, 4, 5, 6, 5, 4},
                                       {1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 6, 6}, {2, 3, 1, 2, 3, 1, 2, 5, 6, 4, 5, 6, 4, 5}};
    struct optest t;
    for (int k = 0; k < 4; k++) {
        ot_init(&t, "Pad", 19);
        ot_string(&t, "mode", mode[k]);
        ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
        ot_in_i64(&t, OT_S(2), OT_I(2, 2));
        ot_in(&t, TSR_F32, OT_SCALAR, OT_V(9));
        ot_in_i64(&t, OT_S(1), OT_I(-1));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(2, 7), want[k], 0);
        all(&t);
        ot_init(&t, "Pad", 13);
        ot_string(&t, "mode", mode[k]);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
        ot_in_i64(&t, OT_S(6), OT_I(1, -1, 0, 2, 3, 1));
        all(&t);
    }
    ot_init(&t, "Pad", 9);
    ot_ints(&t, "pads", 2, 1, 0);
    ot_float(&t, "value", 0.5);
    ot_in(&t, TSR_F64, OT_S(1), OT_V(1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(0.5, 1), 0);
    ot_free(&t);
    ot_init(&t, "Pad", 13);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(-3, 5));
    ot_fails(&t, TSR_E_MISMATCH, "-3");
    ot_free(&t);
    ot_init(&t, "Pad", 13);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_fails(&t, TSR_E_CORRUPT, "two each");
    ot_free(&t);
}
END_TEST

START_TEST(expand_tile)
{
    struct optest t;
    ot_init(&t, "Expand", 13);
    ot_in_random(&t, TSR_F32, OT_S(3, 1, 2), -1, 1);
    ot_in_i64(&t, OT_S(4), OT_I(2, 1, 5, 1));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(2, 3, 5, 2));
    all(&t);
    ot_init(&t, "Expand", 13);
    ot_in(&t, TSR_U4, OT_S(2, 1), OT_V(5, 9));
    ot_in_i64(&t, OT_S(2), OT_I(1, 3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(5, 5, 5, 9, 9, 9), 0);
    ot_free(&t);
    ot_init(&t, "Expand", 13);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_fails(&t, TSR_E_MISMATCH, "[2]");
    ot_free(&t);
    ot_init(&t, "Tile", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(3, 2));
    all(&t);
    ot_init(&t, "Tile", 13);
    ot_in(&t, TSR_I16, OT_S(2), OT_V(5, 9));
    ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4), OT_V(5, 9, 5, 9), 0);
    ot_free(&t);
    ot_init(&t, "Tile", 13);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(2, 2));
    ot_fails(&t, TSR_E_CORRUPT, "repeats");
    ot_free(&t);
}
END_TEST

START_TEST(depth_space)
{
    struct optest t;
    for (int crd = 0; crd < 2; crd++) {
        ot_init(&t, "DepthToSpace", 13);
        ot_int(&t, "blocksize", 2);
        ot_string(&t, "mode", crd ? "CRD" : "DCR");
        ot_in(&t, TSR_F32, OT_S(1, 8, 1, 1), OT_V(0, 1, 2, 3, 4, 5, 6, 7));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(1, 2, 2, 2), crd ? OT_V(0, 1, 2, 3, 4, 5, 6, 7) : OT_V(0, 2, 4, 6, 1, 3, 5, 7), 0);
        all(&t);
        ot_init(&t, "DepthToSpace", 13);
        ot_int(&t, "blocksize", 2);
        ot_string(&t, "mode", crd ? "CRD" : "DCR");
        ot_in_random(&t, TSR_F32, OT_S(2, 8, 2, 3), -1, 1);
        all(&t);
    }
    ot_init(&t, "SpaceToDepth", 13);
    ot_int(&t, "blocksize", 2);
    ot_in_random(&t, TSR_F32, OT_S(2, 2, 4, 2), -1, 1);
    all(&t);
    ot_init(&t, "SpaceToDepth", 13);
    ot_int(&t, "blocksize", 3);
    ot_in_random(&t, TSR_F32, OT_S(2, 2, 4, 2), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "multiple of 3");
    ot_free(&t);
}
END_TEST

START_TEST(trilu)
{
    struct optest t;
    for (int k = -3; k <= 3; k++)
        for (int upper = 0; upper < 2; upper++) {
            double want[6];
            for (int i = 0; i < 6; i++) want[i] = (upper ? i % 3 - i / 3 >= k : i % 3 - i / 3 <= k) ? i + 1 : 0;
            ot_init(&t, "Trilu", 14);
            ot_int(&t, "upper", upper);
            ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
            ot_in_i64(&t, OT_SCALAR, OT_I(k));
            ot_run(&t);
            ot_expect(&t, 0, OT_S(2, 3), want, 0);
            all(&t);
        }
}
END_TEST

START_TEST(views)
{
    struct optest t;
    static const struct {
        int64_t want[4];
        int n, zero;
        int64_t out[4];
        int rank;
    } r[] = {{{3, -1}, 2, 0, {3, 8}, 2}, {{0, -1}, 2, 0, {2, 12}, 2}, {{-1}, 1, 0, {24}, 1}, {{4, 0, 2, 1}, 4, 0, {4, 3, 2, 1}, 4}};
    for (size_t k = 0; k < sizeof r / sizeof *r; k++) {
        ot_init(&t, "Reshape", 14);
        ot_in_random(&t, TSR_F32, OT_S(2, 3, 4), -1, 1);
        ot_in_i64(&t, OT_S(r[k].n), r[k].want);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_F32, ot_shape(r[k].rank, r[k].out));
        ot_free(&t);
    }
    ot_init(&t, "Reshape", 14);
    ot_int(&t, "allowzero", 1);
    ot_in(&t, TSR_F32, OT_S(0, 3), NULL);
    ot_in_i64(&t, OT_S(2), OT_I(5, 0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(5, 0));
    ot_free(&t);
    static const int64_t bad[][2] = {{5, -1}, {-1, -1}, {-2, 3}, {7, 7}};
    for (int k = 0; k < 4; k++) {
        ot_init(&t, "Reshape", 14);
        ot_in_random(&t, TSR_F32, OT_S(2, 3, 4), -1, 1);
        ot_in_i64(&t, OT_S(2), bad[k]);
        ot_fails(&t, k == 1 || k == 2 ? TSR_E_CORRUPT : TSR_E_MISMATCH, NULL);
        ot_free(&t);
    }
    ot_init(&t, "Flatten", 13);
    ot_int(&t, "axis", -1);
    ot_in_random(&t, TSR_F32, OT_S(2, 3, 4), -1, 1);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(6, 4));
    ot_free(&t);
    ot_init(&t, "Squeeze", 13);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 1), -1, 1);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(3));
    ot_free(&t);
    ot_init(&t, "Squeeze", 11);
    ot_ints(&t, "axes", 1, -1);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 1), -1, 1);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(1, 3));
    ot_free(&t);
    ot_init(&t, "Squeeze", 13);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 1), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_fails(&t, TSR_E_MISMATCH, "squeezed");
    ot_free(&t);
    ot_init(&t, "Unsqueeze", 13);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(-1, 0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(1, 3, 4, 1));
    ot_free(&t);
    ot_init(&t, "Shape", 15);
    ot_int(&t, "start", -2);
    ot_int(&t, "end", 10);
    ot_in_random(&t, TSR_F32, OT_S(3, 4, 5), -1, 1);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(2), OT_I(4, 5));
    ot_free(&t);
    ot_init(&t, "Size", 13);
    ot_in_random(&t, TSR_F32, OT_S(3, 4, 5), -1, 1);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_SCALAR, OT_I(60));
    ot_free(&t);
}
END_TEST

START_TEST(gather)
{
    struct optest t;
    for (int axis = 0; axis < 3; axis++) {
        ot_init(&t, "Gather", 13);
        ot_int(&t, "axis", axis - 3);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 5), -1, 1);
        ot_in_i64(&t, OT_S(2, 2), OT_I(0, 2, -1, 0));
        all(&t);
    }
    ot_init(&t, "Gather", 13);
    ot_in(&t, TSR_U4, OT_S(3, 1), OT_V(1, 2, 3));
    ot_in(&t, TSR_I32, OT_SCALAR, OT_V(-1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1), OT_V(3), 0);
    ot_free(&t);
    ot_init(&t, "Gather", 13);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_fails(&t, TSR_E_CORRUPT, "index 3");
    ot_free(&t);
    ot_init(&t, "GatherElements", 13);
    ot_int(&t, "axis", 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_in_i64(&t, OT_S(2, 3), OT_I(0, 3, -1, 1, 1, 1));
    all(&t);
    ot_init(&t, "GatherND", 13);
    ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
    ot_in_i64(&t, OT_S(3, 2), OT_I(0, 3, -1, 1, 0, 3));
    all(&t);
    ot_init(&t, "GatherND", 13);
    ot_int(&t, "batch_dims", 1);
    ot_in(&t, TSR_I32, OT_S(2, 2, 2), OT_V(0, 1, 2, 3, 4, 5, 6, 7));
    ot_in_i64(&t, OT_S(2, 1), OT_I(1, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(2, 3, 4, 5), 0);
    ot_free(&t);
}
END_TEST

START_TEST(constants)
{
    struct optest t;
    ot_init(&t, "Constant", 13);
    ot_floats(&t, "value_floats", 2, 1.5, 2.5);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(2));
    ot_expect(&t, 0, OT_S(2), OT_V(1.5, 2.5), 0);
    ot_free(&t);
    ot_init(&t, "Constant", 13);
    ot_int(&t, "value_int", -7);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_SCALAR, OT_I(-7));
    ot_free(&t);
    ot_init(&t, "Constant", 13);
    ot_string(&t, "value_string", "x");
    ot_fails(&t, TSR_E_UNSUPPORTED, "strings");
    ot_free(&t);
    ot_init(&t, "ConstantOfShape", 13);
    ot_in_i64(&t, OT_S(2), OT_I(2, 1));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(2, 1));
    ot_expect(&t, 0, OT_S(2, 1), OT_V(0, 0), 0);
    ot_free(&t);
    ot_init(&t, "Range", 13);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(-1));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(-0.75));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(1, 0.25, -0.5), 0);
    ot_free(&t);
    ot_init(&t, "Range", 13);
    ot_in(&t, TSR_I16, OT_SCALAR, OT_V(1));
    ot_in(&t, TSR_I16, OT_SCALAR, OT_V(6));
    ot_in(&t, TSR_I16, OT_SCALAR, OT_V(2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(1, 3, 5), 0);
    ot_free(&t);
    ot_init(&t, "EyeLike", 9);
    ot_int(&t, "k", 1);
    ot_int(&t, "dtype", TSR_F64);
    ot_in(&t, TSR_I32, OT_S(2, 3), OT_V(0, 0, 0, 0, 0, 0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F64, OT_S(2, 3));
    ot_expect(&t, 0, OT_S(2, 3), OT_V(0, 1, 0, 0, 0, 1), 0);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_movement");
    TCase *c = tcase_create("movement");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, transpose);
    tcase_add_test(c, concat);
    tcase_add_test(c, split);
    tcase_add_test(c, slice);
    tcase_add_test(c, pad);
    tcase_add_test(c, expand_tile);
    tcase_add_test(c, depth_space);
    tcase_add_test(c, trilu);
    tcase_add_test(c, views);
    tcase_add_test(c, gather);
    tcase_add_test(c, constants);
    suite_add_tcase(s, c);
    return ot_main(s);
}
