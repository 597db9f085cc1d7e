/* bench_forward - a network's forward pass: ours against ONNX Runtime's, in one process, in turn.
 *
 *     bench_forward [-b BATCH] [-t THREADS] [-r ROUNDS] [-o LIBONNXRUNTIME] MODEL.onnx...
 *
 * One JSON object a model. Each round times a few passes of ours, then as many of theirs, of which
 * the quickest count. Reported are the medians of the rounds in milliseconds and the median of
 * their ratios (above 1: ours is quicker), and the minima. One thread: processor time, so that other work on the
 * machine does not count. Several: wall time, and before either is timed the other's threads have
 * gone to sleep. Without -o only ours is timed. Of the library only its C interface is used, whose
 * table of functions grows at its end alone: the places below are those of every version. */
#include "tessera.h"
#include "tensor/gemm.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_INPUTS = 8, TOKENS = 100, MAX_ROUNDS = 999 };

static struct tsr_error err;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "bench_forward: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- ONNX Runtime --------------------------------------------------------------------------- */

typedef void ort_fn(void); /* what each really is, its caller says */
struct ort_base {
    ort_fn *const *(*api)(uint32_t version);
    const char *(*version)(void);
};

enum { /* places in the table */
    ORT_MESSAGE = 2, ORT_ENV = 3, ORT_SESSION = 7, ORT_RUN = 9, ORT_OPTIONS = 10, ORT_THREADS = 24, ORT_TENSOR = 49,
    ORT_DATA = 51, ORT_CPU = 69
};
enum { ORT_API_VERSION = 11, ORT_QUIET = 4 };

struct ort {
    ort_fn *const *api;
    void *env, *options, *memory, *session;
    void *in[MAX_INPUTS], *out;
    const char *in_name[MAX_INPUTS], *out_name;
    size_t n_in;
};

static void ort_must(const struct ort *o, void *status)
{
    if (status == NULL) return;
    const char *(*message)(void *) = (const char *(*)(void *))o->api[ORT_MESSAGE];
    fprintf(stderr, "bench_forward: ONNX Runtime: %s\n", message(status));
    exit(EXIT_FAILURE);
}

static const char *ort_init(struct ort *o, const char *path, int threads)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct ort_base *(*base)(void);
    *(void **)&base = lib != NULL ? dlsym(lib, "OrtGetApiBase") : NULL;
    if (base == NULL) {
        fprintf(stderr, "bench_forward: cannot load '%s': %s\n", path, dlerror());
        exit(EXIT_FAILURE);
    }
    o->api = base()->api(ORT_API_VERSION);
    ort_must(o, ((void *(*)(int, const char *, void **))o->api[ORT_ENV])(ORT_QUIET, "bench", &o->env));
    ort_must(o, ((void *(*)(void **))o->api[ORT_OPTIONS])(&o->options));
    ort_must(o, ((void *(*)(void *, int))o->api[ORT_THREADS])(o->options, threads));
    ort_must(o, ((void *(*)(int, int, void **))o->api[ORT_CPU])(0, 0, &o->memory));
    return base()->version();
}

static void ort_load(struct ort *o, const char *path, const struct tsr_graph *g, const struct tsr_tensor *in)
{
    ort_must(o, ((void *(*)(void *, const char *, void *, void **))o->api[ORT_SESSION])(o->env, path, o->options, &o->session));
    o->n_in = g->n_input;
    o->out_name = g->value[g->output[0]].name;
    for (size_t i = 0; i < o->n_in; i++) {
        o->in_name[i] = g->value[g->input[i]].name;
        ort_must(o, ((void *(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))o->api[ORT_TENSOR])(
                        o->memory, in[i].data, tsr_tensor_bytes(&in[i]), in[i].shape.dim, (size_t)in[i].shape.rank,
                        in[i].dtype == TSR_F32 ? 1 : 7, &o->in[i]));
    }
}

static void ort_run(struct ort *o)
{
    o->out = NULL; /* a new one each time, as ours; a run leaks its small output */
    ort_must(o, ((void *(*)(void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t,
                            void **))o->api[ORT_RUN])(o->session, NULL, o->in_name, o->in, o->n_in, &o->out_name, 1, &o->out));
}

/* ---- the comparison ------------------------------------------------------------------------- */

struct pass {
    struct ort *ort; /* NULL: ours */
    struct tsr_session *s;
    const struct tsr_graph *g;
    struct tsr_tensor in[MAX_INPUTS], out;
};

static void pass(struct pass *p)
{
    if (p->ort != NULL) {
        ort_run(p->ort);
        return;
    }
    tsr_tensor_release(&p->out);
    must(tsr_session_call(p->s, p->in, p->g->n_input, p->g->output, 1, &p->out, &err));
}

/* The quickest of `times` passes. */
static double quickest(struct pass *p, int times, clockid_t clock)
{
    double best = INFINITY;
    for (int i = 0; i < times; i++) {
        double t = seconds(clock);
        pass(p);
        t = seconds(clock) - t;
        if (t < best) best = t;
    }
    return best;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts them. */
static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void make_input(const struct tsr_value *v, int64_t batch, struct tsr_tensor *t)
{
    struct tsr_shape shape = v->shape;
    struct tsr_rng rng;
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0) shape.dim[i] = batch;
    must(tsr_tensor_zeros(t, v->dtype, shape.rank, shape.dim, &err));
    tsr_rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < tsr_tensor_count(t); i++)
        tsr_store_f64(t->dtype, t->data, i,
                      tsr_dtype_is_float(t->dtype) ? (double)tsr_rng_normal(&rng) : (double)tsr_rng_below(&rng, TOKENS));
}

struct settings {
    int batch, threads, rounds;
    const char *library;
};

/* Longer than a thread of either pool spins before it sleeps: one that still spins takes a processor from the other's. */
#define ASLEEP_MICROSECONDS 30000

static void compare(const char *path, const struct settings *set)
{
    struct tsr_graph *g, *fused;
    struct pass ours = {0};
    struct ort ort = {0};
    struct tsr_pool *pool;
    const char *version = set->library != NULL ? ort_init(&ort, set->library, set->threads) : NULL;
    must(tsr_onnx_load(path, &g, &err));
    must(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
    must(tsr_pool_new(set->threads, &pool, &err));
    const struct tsr_session_options options = {.pool = pool};
    must(tsr_session_new(fused, &options, &ours.s, &err));
    ours.g = fused;
    for (size_t i = 0; i < g->n_input && i < MAX_INPUTS; i++) make_input(&g->value[g->input[i]], set->batch, &ours.in[i]);
    if (version != NULL) ort_load(&ort, path, g, ours.in);
    struct pass theirs = {.ort = &ort};
    const clockid_t clock = set->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    double once = quickest(&ours, 3, clock), t[2][MAX_ROUNDS] = {{0}};
    if (version != NULL) (void)quickest(&theirs, 3, clock);
    int times = once > 0.02 ? 1 : (int)(0.02 / once) + 1;
    for (int r = 0; r < set->rounds; r++) {
        if (set->threads > 1) usleep(ASLEEP_MICROSECONDS);
        pass(&ours);
        t[0][r] = quickest(&ours, times, clock) * 1e3;
        if (version == NULL) continue;
        if (set->threads > 1) usleep(ASLEEP_MICROSECONDS);
        pass(&theirs);
        t[1][r] = quickest(&theirs, times, clock) * 1e3;
    }
    double ratio[MAX_ROUNDS];
    for (int r = 0; r < set->rounds; r++) ratio[r] = t[1][r] / t[0][r];
    double mine = median(t[0], set->rounds);
    printf("{\"model\": \"%s\", \"batch\": %d, \"threads\": %d, \"kernel\": \"%s\", \"ours_ms\": %.4f, \"ours_min\": %.4f",
           path, set->batch, set->threads, tsr_gemm_kernel(), mine, t[0][0]);
    if (version != NULL) {
        double other = median(t[1], set->rounds), worst = 0;
        const float *have = ours.out.data, *want;
        ort_must(&ort, ((void *(*)(void *, void **))ort.api[ORT_DATA])(ort.out, (void **)(uintptr_t)&want));
        for (int64_t i = 0; i < tsr_tensor_count(&ours.out); i++) {
            double e = fabs((double)have[i] - (double)want[i]);
            if (!(e <= worst)) worst = e;
        }
        printf(", \"ort\": \"%s\", \"ort_ms\": %.4f, \"ort_min\": %.4f, \"ratio\": %.3f, \"difference\": %.2e", version, other,
               t[1][0], median(ratio, set->rounds), worst);
    }
    printf("}\n");
    fflush(stdout);
    tsr_tensor_release(&ours.out);
    for (size_t i = 0; i < MAX_INPUTS; i++) tsr_tensor_release(&ours.in[i]);
    tsr_session_free(ours.s);
    tsr_pool_free(pool);
    tsr_graph_free(fused);
    tsr_graph_free(g);
}

int main(int argc, char **argv)
{
    struct settings set = {.batch = 64, .threads = 1, .rounds = 15};
    int c;
    while ((c = getopt(argc, argv, "b:t:r:o:k:")) != -1) {
        if (c == 'b') set.batch = atoi(optarg);
        else if (c == 't') set.threads = atoi(optarg);
        else if (c == 'r') set.rounds = atoi(optarg);
        else if (c == 'o') set.library = optarg;
        else if (c == 'k') must(tsr_gemm_use(optarg, &err));
        else return 2;
    }
    if (optind == argc || set.batch < 1 || set.threads < 1 || set.rounds < 1 || set.rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_forward [-b BATCH] [-t THREADS] [-r ROUNDS] [-k KERNEL] [-o LIBONNXRUNTIME] MODEL...\n");
        return 2;
    }
    for (int i = optind; i < argc; i++) compare(argv[i], &set);
    return 0;
}
