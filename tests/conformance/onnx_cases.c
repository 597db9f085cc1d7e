/* onnx_cases.c - runs the operator tests of the ONNX project: onnx_cases [-v] [-x N] DIR [PART]
 *
 * DIR/GROUP/CASE/ holds model.onnx and test_data_set_*\/input_*.pb, output_*.pb (TensorProto);
 * DIR/light/ holds whole networks and the output for a ramp of inputs. PART keeps the cases whose
 * name contains it; -v names every case before it runs; -x N multiplies the tolerances by 10^-N.
 * All in one process. Prints what failed or is unsupported, with the reason, and last
 * "N passed, N failed, N unsupported". Exit status 1 where a case failed or none was found. */
#include "tessera.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 64
#define MAX_FILE ((size_t)1 << 30)

static struct {
    int passed, failed, unsupported;
    bool verbose;
    double rtol, atol;
} all = {.rtol = 1e-3, .atol = 1e-7};

static enum tsr_status read_tensor(const char *path, struct tsr_tensor *out, struct tsr_error *err)
{
    struct tsr_source *src;
    struct tsr_buf bytes = {0};
    TSR_TRY(tsr_source_open(path, &src, err));
    enum tsr_status status = tsr_source_read_all(src, MAX_FILE, &bytes, err);
    if (status == TSR_OK) status = tsr_onnx_load_tensor(bytes.data, bytes.len, path, out, err);
    tsr_source_close(src);
    tsr_buf_release(&bytes);
    return status;
}

static bool close_enough(double want, double have)
{
    if (isnan(want)) return isnan(have);
    if (isinf(want)) return want == have;
    return fabs(want - have) <= all.atol + all.rtol * fabs(want);
}

static enum tsr_status compare(const struct tsr_tensor *want, const struct tsr_tensor *have, bool shape_only,
                               const char *name, struct tsr_error *err)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    if (want->dtype != have->dtype || !tsr_shape_equal(&want->shape, &have->shape))
        return tsr_fail(err, TSR_E_MISMATCH, "output '%s' is %s%s, not %s%s", name, tsr_dtype_name(have->dtype),
                        tsr_shape_text(&have->shape, a, sizeof a), tsr_dtype_name(want->dtype),
                        tsr_shape_text(&want->shape, b, sizeof b));
    if (shape_only) return TSR_OK;
    int64_t n = tsr_tensor_count(want), wrong = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        bool ok = tsr_dtype_is_float(want->dtype) || tsr_dtype_is_mini(want->dtype)
                      ? close_enough(tsr_load_f64(want->dtype, want->data, i), tsr_load_f64(have->dtype, have->data, i))
                      : tsr_load_i64(want->dtype, want->data, i) == tsr_load_i64(have->dtype, have->data, i);
        if (ok) continue;
        if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH, "output '%s': %lld of %lld elements differ, the first at %lld: %.9g, not %.9g",
                    name, (long long)wrong, (long long)n, (long long)first,
                    tsr_load_f64(have->dtype, have->data, first), tsr_load_f64(want->dtype, want->data, first));
}

/* Runs a network on inputs and compares as many outputs as are given. */
static enum tsr_status run_graph(const struct tsr_graph *g, const struct tsr_tensor *in, size_t n_in,
                           const struct tsr_tensor *want, size_t n_want, bool shape_only, struct tsr_error *err)
{
    struct tsr_session *s;
    TSR_TRY(tsr_session_new(g, NULL, &s, err));
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < n_in && i < g->n_input && status == TSR_OK; i++)
        status = tsr_session_set_input(s, g->input[i], &in[i], err);
    if (status == TSR_OK && n_want > g->n_output)
        status = tsr_fail(err, TSR_E_MISMATCH, "%zu outputs are expected, the model has %zu", n_want, g->n_output);
    if (status == TSR_OK) status = tsr_session_run(s, g->output, n_want, err);
    for (size_t i = 0; i < n_want && status == TSR_OK; i++)
        status = compare(&want[i], tsr_session_value(s, g->output[i]), shape_only, g->value[g->output[i]].name, err);
    tsr_session_free(s);
    return status;
}

/* The same network as it is and fused. */
static enum tsr_status run(const struct tsr_graph *g, const struct tsr_tensor *in, size_t n_in,
                           const struct tsr_tensor *want, size_t n_want, bool shape_only, struct tsr_error *err)
{
    struct tsr_graph *fused;
    TSR_TRY(run_graph(g, in, n_in, want, n_want, shape_only, err));
    TSR_TRY(tsr_graph_fuse(g, NULL, 0, 0, &fused, err));
    enum tsr_status status = run_graph(fused, in, n_in, want, n_want, shape_only, err);
    tsr_graph_free(fused);
    if (status != TSR_OK) tsr_error_prefix(err, "fused");
    return status;
}

static size_t read_set(const char *folder, const char *stem, struct tsr_tensor *t, enum tsr_status *status,
                       struct tsr_error *err)
{
    size_t n = 0;
    while (n < MAX_VALUES && *status == TSR_OK) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, stem, n);
        FILE *f = fopen(path, "rb");
        if (f == NULL) break;
        (void)fclose(f);
        *status = read_tensor(path, &t[n], err);
        if (*status == TSR_OK) n++;
    }
    return n;
}

static enum tsr_status run_set(const struct tsr_graph *g, const char *folder, bool shape_only, struct tsr_error *err)
{
    struct tsr_tensor in[MAX_VALUES], want[MAX_VALUES];
    enum tsr_status status = TSR_OK;
    size_t n_in = read_set(folder, "input", in, &status, err), n_want = read_set(folder, "output", want, &status, err);
    if (status == TSR_OK) status = run(g, in, n_in, want, n_want, shape_only, err);
    for (size_t i = 0; i < n_in; i++) tsr_tensor_release(&in[i]);
    for (size_t i = 0; i < n_want; i++) tsr_tensor_release(&want[i]);
    return status;
}

/* Outputs that are drawn at random are compared by shape. */
static bool is_random(const char *name)
{
    return (strstr(name, "training_dropout") != NULL && strstr(name, "zero_ratio") == NULL) ||
           strstr(name, "bernoulli") != NULL || strstr(name, "random") == name;
}

static void report(const char *group, const char *name, enum tsr_status status, const struct tsr_error *err)
{
    const char *what = status == TSR_E_UNSUPPORTED ? "unsupported" : "failed";
    if (status == TSR_OK) all.passed++;
    else if (status == TSR_E_UNSUPPORTED) all.unsupported++;
    else all.failed++;
    if (status != TSR_OK) printf("%s %s/%s: %s\n", what, group, name, err->message);
    (void)fflush(stdout);
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

static void run_case(const char *dir, const char *group, const char *name)
{
    char folder[2048], path[4096];
    struct tsr_error err = {0};
    struct tsr_graph *g = NULL;
    struct dirent **set = NULL;
    (void)snprintf(folder, sizeof folder, "%s/%s/%s", dir, group, name);
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (all.verbose) {
        printf("%s/%s\n", group, name);
        (void)fflush(stdout);
    }
    enum tsr_status status = tsr_onnx_load(path, &g, &err);
    int n = status == TSR_OK ? scandir(folder, &set, visible, alphasort) : 0, ran = 0;
    for (int i = 0; i < n; i++) {
        if (status == TSR_OK && strncmp(set[i]->d_name, "test_data_set_", 14) == 0) {
            (void)snprintf(path, sizeof path, "%s/%s", folder, set[i]->d_name);
            status = run_set(g, path, is_random(name), &err);
            ran++;
        }
        free(set[i]);
    }
    free(set);
    if (status == TSR_OK && ran == 0) status = tsr_fail(&err, TSR_E_NOT_FOUND, "it has no test_data_set folder");
    report(group, name, status, &err);
    tsr_graph_free(g);
}

/* light/X.onnx with light/X_output_0.pb: the input is i / n for the i-th of n elements. */
static enum tsr_status run_light(const char *dir, const char *file, struct tsr_error *err)
{
    char path[4096];
    struct tsr_graph *g;
    struct tsr_tensor in = {0}, want = {0};
    (void)snprintf(path, sizeof path, "%s/light/%s", dir, file);
    TSR_TRY(tsr_onnx_load(path, &g, err));
    const struct tsr_value *v = &g->value[g->input[0]];
    enum tsr_status status = tsr_tensor_zeros(&in, TSR_F32, v->shape.rank, v->shape.dim, err);
    int64_t n = tsr_tensor_count(&in);
    for (int64_t i = 0; status == TSR_OK && i < n; i++) ((float *)in.data)[i] = (float)((double)i / (double)n);
    (void)snprintf(path, sizeof path, "%s/light/%.*s_output_0.pb", dir, (int)(strlen(file) - 5), file);
    if (status == TSR_OK) status = read_tensor(path, &want, err);
    if (status == TSR_OK) status = run(g, &in, 1, &want, 1, false, err);
    tsr_tensor_release(&in);
    tsr_tensor_release(&want);
    tsr_graph_free(g);
    return status;
}

static void run_group(const char *dir, const char *group, const char *part)
{
    char path[2048];
    struct dirent **entry = NULL;
    bool light = strcmp(group, "light") == 0;
    (void)snprintf(path, sizeof path, "%s/%s", dir, group);
    int n = scandir(path, &entry, visible, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name, *dot = strrchr(name, '.');
        bool wanted = part == NULL || strstr(name, part) != NULL;
        if (wanted && !light) run_case(dir, group, name);
        if (wanted && light && dot != NULL && strcmp(dot, ".onnx") == 0) {
            struct tsr_error err = {0};
            report(group, name, run_light(dir, name, &err), &err);
        }
        free(entry[i]);
    }
    free(entry);
}

int main(int argc, char **argv)
{
    static const char *const group[] = {"node", "simple", "pytorch-converted", "pytorch-operator", "light"};
    int a = 1;
    for (; a < argc && argv[a][0] == '-'; a++) {
        if (strcmp(argv[a], "-v") == 0) {
            all.verbose = true;
        } else if (strcmp(argv[a], "-x") == 0 && a + 1 < argc) {
            double scale = pow(10, -atof(argv[++a]));
            all.rtol *= scale;
            all.atol *= scale;
        }
    }
    if (a >= argc) {
        (void)fprintf(stderr, "usage: onnx_cases [-v] [-x N] DIR [PART]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof group / sizeof *group; i++) run_group(argv[a], group[i], a + 1 < argc ? argv[a + 1] : NULL);
    printf("%d passed, %d failed, %d unsupported\n", all.passed, all.failed, all.unsupported);
    return all.failed > 0 || all.passed == 0;
}
