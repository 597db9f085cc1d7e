/* The generator of our own tasks: the same bytes everywhere, balanced classes, sane values; and the
 * files of testdata/ are what it makes. */
#include "../../scripts/data/data.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 256 };

static const struct tsr_data_task *const tasks[] = {&tsr_data_tokens, &tsr_data_glyphs, &tsr_data_sensors};

/* SHA-256 over 500 samples and labels as little-endian numbers. */
static void digest(const struct tsr_data_task *task, enum tsr_data_split split, uint64_t seed, int writer, char *hex)
{
    struct tsr_sha256 h;
    uint8_t sum[TSR_SHA256_LEN], bytes[4];
    float x[MOST];
    tsr_sha256_init(&h);
    for (uint64_t i = 0; i < 500; i++) {
        const int label = tsr_data_make(task, split, seed, writer, i, x);
        for (size_t k = 0; k < tsr_data_size(task); k++) {
            uint32_t bits;
            memcpy(&bits, &x[k], sizeof bits);
            tsr_put_le32(bytes, bits);
            tsr_sha256_update(&h, bytes, sizeof bytes);
        }
        tsr_put_le32(bytes, (uint32_t)label);
        tsr_sha256_update(&h, bytes, sizeof bytes);
    }
    tsr_sha256_final(&h, sum);
    tsr_hex(sum, sizeof sum, hex);
}

START_TEST(same_bytes_everywhere)
{
    static const struct {
        const struct tsr_data_task *task;
        enum tsr_data_split split;
        uint64_t seed;
        int writer;
        const char *sha256;
    } pins[] = {
        {&tsr_data_tokens, TSR_DATA_TRAIN, 1, 0, "6470655ee92aa9d3c7428351b80b0abafef6defff868306a69ff65691a054300"},
        {&tsr_data_glyphs, TSR_DATA_TRAIN, 1, 0, "00dd99e2648656438b5d69777341f8c38611ad3b45fd2142cc50e55585afb031"},
        {&tsr_data_glyphs, TSR_DATA_REF, 7, 5, "9428e6637cf29abe7b92e4aec071e29268f30388993efdb733bf519e623fe5ce"},
        {&tsr_data_sensors, TSR_DATA_TRAIN, 1, 0, "ff52f1e5fb0d4bea39a11840aaef9ea14295e8dcfd7380346d4d35c34c72e09c"},
        {&tsr_data_sensors, TSR_DATA_TEST, 7, 0, "d2edee0739a22156e7f3d390f99af5daa09e7df6e29e120a56900881b880dc25"},
    };
    char hex[2 * TSR_SHA256_LEN + 1];
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++) {
        digest(pins[i].task, pins[i].split, pins[i].seed, pins[i].writer, hex);
        ck_assert_msg(strcmp(hex, pins[i].sha256) == 0, "%s, case %zu: %s", pins[i].task->name, i, hex);
    }
}
END_TEST

START_TEST(classes_are_balanced)
{
    float x[MOST];
    for (size_t t = 0; t < 3; t++) {
        int count[16] = {0};
        for (uint64_t i = 0; i < 1000; i++) {
            const int label = tsr_data_make(tasks[t], TSR_DATA_TEST, 3, 0, i, x);
            ck_assert(label >= 0 && label < tasks[t]->n_classes);
            count[label]++;
        }
        for (int c = 0; c < tasks[t]->n_classes; c++) {
            const int expected = 1000 / tasks[t]->n_classes, slack = tasks[t]->integral ? 60 : 0;
            ck_assert_msg(count[c] >= expected - slack && count[c] <= expected + slack, "%s: class %d has %d of 1000",
                          tasks[t]->name, c, count[c]);
        }
    }
}
END_TEST

START_TEST(values_are_exact_and_centred)
{
    float x[MOST];
    for (size_t t = 1; t < 3; t++) {
        double sum = 0, square = 0;
        const size_t n = tsr_data_size(tasks[t]);
        for (uint64_t i = 0; i < 1000; i++) {
            tsr_data_make(tasks[t], TSR_DATA_REF, 5, 0, i, x);
            for (size_t k = 0; k < n; k++) {
                ck_assert(isfinite(x[k]) && fabsf(x[k]) <= 16.0f);
                ck_assert(x[k] * 64.0f == (float)(int)(x[k] * 64.0f));
                ck_assert(tsr_f16_to_f32(tsr_f32_to_f16(x[k])) == x[k]);
                sum += (double)x[k];
                square += (double)x[k] * (double)x[k];
            }
        }
        const double mean = sum / (1000.0 * (double)n), variance = square / (1000.0 * (double)n) - mean * mean;
        ck_assert_msg(fabs(mean) < 0.3 && variance > 0.3 && variance < 1.5, "%s: mean %g, variance %g", tasks[t]->name,
                      mean, variance);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        const int label = tsr_data_make(&tsr_data_tokens, TSR_DATA_REF, 5, 0, i, x);
        float sum = 0;
        for (int k = 0; k < 16; k++) {
            ck_assert(x[k] >= 0.0f && x[k] <= 255.0f && x[k] == floorf(x[k]));
            sum += x[k];
        }
        ck_assert_int_eq(label, sum / 16.0f >= 128.0f);
    }
}
END_TEST

/* Splits, seeds and writers give other samples; the index alone decides which. */
START_TEST(samples_are_independent)
{
    float a[MOST], b[MOST], again[MOST];
    for (size_t t = 0; t < 3; t++) {
        const size_t bytes = tsr_data_size(tasks[t]) * sizeof(float);
        tsr_data_make(tasks[t], TSR_DATA_TRAIN, 1, 0, 17, a);
        tsr_data_make(tasks[t], TSR_DATA_TRAIN, 1, 0, 18, b);
        tsr_data_make(tasks[t], TSR_DATA_TRAIN, 1, 0, 17, again);
        ck_assert_mem_eq(a, again, bytes);
        ck_assert_mem_ne(a, b, bytes);
        tsr_data_make(tasks[t], TSR_DATA_REF, 1, 0, 17, b);
        ck_assert_mem_ne(a, b, bytes);
        tsr_data_make(tasks[t], TSR_DATA_TRAIN, 2, 0, 17, b);
        ck_assert_mem_ne(a, b, bytes);
        if (tasks[t]->n_writers == 0) continue;
        tsr_data_make(tasks[t], TSR_DATA_TRAIN, 1, tasks[t]->n_writers, 17, b);
        ck_assert_mem_ne(a, b, bytes);
    }
}
END_TEST

START_TEST(sine_is_good)
{
    for (int i = -314; i <= 314; i++) {
        const float x = (float)i * 0.01f;
        ck_assert_float_eq_tol(tsr_data_sin(x), sinf(x), 1e-5f);
        ck_assert_float_eq_tol(tsr_data_cos(x), cosf(x), 1e-5f);
    }
}
END_TEST

static void load(const char *task, const char *split, const char *what, enum tsr_dtype want, struct tsr_tensor *t)
{
    char path[96];
    struct tsr_error err;
    snprintf(path, sizeof path, "testdata/%s/%s-%s.npy", task, split, what);
    ck_assert_msg(tsr_samples_load_file(path, NULL, want, t, &err) == TSR_OK, "%s", err.message);
}

START_TEST(testdata_is_what_the_generator_makes)
{
    static const char *const splits[] = {"train", "test", "ref"};
    static const int64_t counts[] = {1200, 400, 400};
    for (size_t t = 1; t < 3; t++) {
        for (int s = 0; s < 3; s++) {
            struct tsr_tensor x = {0}, y = {0};
            float made[MOST];
            load(tasks[t]->name, splits[s], "x", TSR_F32, &x);
            load(tasks[t]->name, splits[s], "y", TSR_I64, &y);
            const size_t n = tsr_data_size(tasks[t]);
            ck_assert(x.dtype == TSR_F16 && y.dtype == TSR_I64);
            ck_assert_int_eq(x.shape.dim[0], counts[s]);
            ck_assert_int_eq(y.shape.dim[0], counts[s]);
            ck_assert_int_eq(tsr_shape_count(&x.shape), counts[s] * (int64_t)n);
            for (int64_t i = 0; i < counts[s]; i++) {
                const int label = tsr_data_make(tasks[t], (enum tsr_data_split)s, 1, 0, (uint64_t)i, made);
                ck_assert_int_eq(((const int64_t *)y.data)[i], label);
                for (size_t k = 0; k < n; k++)
                    ck_assert_uint_eq(((const uint16_t *)x.data)[(size_t)i * n + k], tsr_f32_to_f16(made[k]));
            }
            tsr_tensor_release(&x);
            tsr_tensor_release(&y);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *tc = tcase_create("data");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, same_bytes_everywhere);
    tcase_add_test(tc, classes_are_balanced);
    tcase_add_test(tc, values_are_exact_and_centred);
    tcase_add_test(tc, samples_are_independent);
    tcase_add_test(tc, sine_is_good);
    tcase_add_test(tc, testdata_is_what_the_generator_makes);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
