/* bench-summary - what the result lines of bench-transfer.sh amount to: a table for people on stdout, JSON with -o.
 *
 * A pair's numbers are means over its seeds; a group's are means over its pairs; the spread is the standard deviation,
 * over the seeds, of the mean over the pairs. A student's own ceiling is a network of its kind trained as the teacher
 * was. */
#include "shared/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum column { TEACHER, BEFORE, LABELS, VIEWS, PLAIN, FULL, STITCH, OWN, CPU, BYTES, COLUMNS };
static const char *const names[COLUMNS] = {"teacher", "before", "labels", "views",       "plain",
                                           "full",    "stitch", "own",    "cpu_seconds", "bytes"};
enum { SHOWN = OWN, MOST_SEEDS = 32, MOST_PAIRS = 256 };

struct result {
    char task[32], what[32], teacher[48], student[48];
    int64_t seed, refs;
    double accuracy, cpu, bytes;
};

struct results {
    struct result *item;
    size_t n, cap;
};

struct pair {
    const char *teacher, *student;
    double run[MOST_SEEDS][COLUMNS], mean[COLUMNS]; /* NaN: not measured */
    double recovered, ceiling, kept;                /* shares */
};

struct group {
    const char *task;
    int64_t refs, seed[MOST_SEEDS];
    size_t n_seeds, n_pairs;
    struct pair pair[MOST_PAIRS];
};

static struct {
    const char *programs, *kernel;
    bool pairs;
} set;

static const struct tsr_option options[] = {
    TSR_STRING(0, "programs", "TEXT", &set.programs, "which programs made the results"),
    TSR_STRING(0, "kernel", "TEXT", &set.kernel, "which libraries they used"),
    TSR_FLAG('p', "pairs", &set.pairs, "a line for every pair, too"),
};

static double number(const struct tsr_json *j, const char *key)
{
    const struct tsr_json *v = tsr_json_get(j, key);
    return v && tsr_json_kind(v) == TSR_JSON_NUMBER ? tsr_json_number(v) : (double)NAN;
}

static enum tsr_status text(const struct tsr_json *j, const char *key, char *out, size_t size, struct tsr_error *err)
{
    const char *s;
    TSR_TRY(tsr_json_need_string(j, key, &s, err));
    if (strlen(s) >= size) return tsr_fail(err, TSR_E_CORRUPT, "field '%s' is too long", key);
    memcpy(out, s, strlen(s) + 1);
    return TSR_OK;
}

static enum tsr_status read_line(struct results *all, const char *line, size_t n, struct tsr_error *err)
{
    struct tsr_json *j;
    struct result r = {0};
    TSR_TRY(tsr_json_parse(line, n, 1 << 16, "a result", &j, err));
    enum tsr_status status;
    TSR_GO(status, done, text(j, "task", r.task, sizeof r.task, err));
    TSR_GO(status, done, text(j, "what", r.what, sizeof r.what, err));
    TSR_GO(status, done, text(j, "teacher", r.teacher, sizeof r.teacher, err));
    TSR_GO(status, done, text(j, "student", r.student, sizeof r.student, err));
    TSR_GO(status, done, tsr_json_need_int(j, "seed", 0, TSR_JSON_INT_MAX, &r.seed, err));
    const double refs = number(j, "refs");
    r.refs = refs >= 0 ? (int64_t)refs : -1;
    r.accuracy = number(j, "accuracy");
    r.cpu = number(j, "cpu");
    r.bytes = number(j, "bytes");
    TSR_GO(status, done, tsr_grow(&all->item, &all->cap, all->n + 1, sizeof r, err));
    all->item[all->n++] = r;
done:
    tsr_json_free(j);
    return status;
}

static enum tsr_status read_all(struct tsr_cli *cli, struct results *all, struct tsr_error *err)
{
    struct tsr_source *in = NULL;
    struct tsr_buf b = {0};
    enum tsr_status status;
    TSR_GO(status, done, tsr_source_open(cli->argv[0], &in, err));
    TSR_GO(status, done, tsr_source_read_all(in, SIZE_MAX, &b, err));
    for (size_t at = 0; at < b.len;) {
        const uint8_t *from = b.data + at, *end = memchr(from, '\n', b.len - at);
        const size_t n = end ? (size_t)(end - from) : b.len - at;
        if (n > 0) TSR_GO(status, done, read_line(all, (const char *)from, n, err));
        at += n + 1;
    }
done:
    tsr_source_close(in);
    tsr_buf_release(&b);
    return status;
}

/* NULL for names and -1 for refs: any. */
static const struct result *find(const struct results *all, const struct group *g, int64_t seed, const char *what,
                                 int64_t refs, const char *teacher, const char *student)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct result *r = &all->item[i];
        if (strcmp(r->task, g->task) == 0 && r->seed == seed && strcmp(r->what, what) == 0 &&
            (refs < 0 || r->refs == refs) && (!teacher || strcmp(r->teacher, teacher) == 0) &&
            (!student || strcmp(r->student, student) == 0))
            return r;
    }
    return NULL;
}

static double accuracy(const struct result *r) { return r ? 100.0 * r->accuracy : (double)NAN; }

static void fill_run(const struct results *all, const struct group *g, const struct pair *p, int64_t seed, double *run)
{
    const struct result *full = find(all, g, seed, "full", g->refs, p->teacher, p->student);
    const struct result *tokens = find(all, g, seed, "tokens-full", g->refs, p->teacher, NULL);
    run[TEACHER] = accuracy(find(all, g, seed, "teacher", -1, p->teacher, NULL));
    run[OWN] = accuracy(find(all, g, seed, "teacher", -1, p->student, NULL));
    run[BEFORE] = accuracy(find(all, g, seed, "before", -1, NULL, p->student));
    run[LABELS] = accuracy(find(all, g, seed, "labels", g->refs, NULL, p->student));
    run[VIEWS] = accuracy(find(all, g, seed, "views", g->refs, NULL, p->student));
    run[PLAIN] = accuracy(find(all, g, seed, "plain", g->refs, p->teacher, p->student));
    run[STITCH] = accuracy(find(all, g, seed, "stitch", g->refs, p->teacher, p->student));
    run[FULL] = accuracy(full);
    run[CPU] = full && tokens ? full->cpu + tokens->cpu : (double)NAN;
    run[BYTES] = tokens ? tokens->bytes : (double)NAN;
}

/* The mean of what is there; NaN where nothing is. */
struct mean {
    double sum, least;
    size_t n, at; /* at: which gave the least */
};
static void add(struct mean *m, double v, size_t at)
{
    if (isnan(v)) return;
    if (m->n == 0 || v < m->least) {
        m->least = v;
        m->at = at;
    }
    m->sum += v;
    m->n++;
}
static double mean_of(const struct mean *m) { return m->n > 0 ? m->sum / (double)m->n : (double)NAN; }

static void add_seed(struct group *g, int64_t seed)
{
    for (size_t i = 0; i < g->n_seeds; i++)
        if (g->seed[i] == seed) return;
    if (g->n_seeds < MOST_SEEDS) g->seed[g->n_seeds++] = seed;
}

static void add_pair(struct group *g, const struct result *r)
{
    for (size_t i = 0; i < g->n_pairs; i++)
        if (strcmp(g->pair[i].teacher, r->teacher) == 0 && strcmp(g->pair[i].student, r->student) == 0) return;
    if (g->n_pairs < MOST_PAIRS) g->pair[g->n_pairs++] = (struct pair){.teacher = r->teacher, .student = r->student};
}

static void fill_group(const struct results *all, struct group *g)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct result *r = &all->item[i];
        if (strcmp(r->task, g->task) != 0 || r->refs != g->refs) continue;
        if (strcmp(r->what, "full") != 0 && strcmp(r->what, "plain") != 0 && strcmp(r->what, "stitch") != 0) continue;
        add_seed(g, r->seed);
        add_pair(g, r);
    }
    for (size_t i = 0; i < g->n_pairs; i++) {
        struct pair *p = &g->pair[i];
        struct mean m[COLUMNS] = {{0}};
        for (size_t s = 0; s < g->n_seeds; s++) {
            fill_run(all, g, p, g->seed[s], p->run[s]);
            for (int c = 0; c < COLUMNS; c++) add(&m[c], p->run[s][c], s);
        }
        for (int c = 0; c < COLUMNS; c++) p->mean[c] = mean_of(&m[c]);
        p->recovered = p->mean[FULL] / p->mean[TEACHER];
        p->ceiling = p->mean[FULL] / fmin(p->mean[TEACHER], p->mean[OWN]); /* fmin ignores a NaN */
        p->kept = p->mean[STITCH] / fmin(p->mean[TEACHER], p->mean[OWN]);
    }
}

static double column_mean(const struct group *g, int c)
{
    struct mean m = {0};
    for (size_t i = 0; i < g->n_pairs; i++) add(&m, g->pair[i].mean[c], i);
    return mean_of(&m);
}

static double column_spread(const struct group *g, int c)
{
    struct mean over = {0}, square = {0};
    double seed_mean[MOST_SEEDS];
    for (size_t s = 0; s < g->n_seeds; s++) {
        struct mean m = {0};
        for (size_t i = 0; i < g->n_pairs; i++) add(&m, g->pair[i].run[s][c], i);
        seed_mean[s] = mean_of(&m);
        add(&over, seed_mean[s], s);
    }
    for (size_t s = 0; s < g->n_seeds; s++) {
        const double d = seed_mean[s] - mean_of(&over);
        add(&square, d * d, s);
    }
    return square.n > 1 ? sqrt(square.sum / (double)(square.n - 1)) : (double)NAN;
}

static size_t count_above(const struct group *g, int c)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_pairs; i++) n += g->pair[i].mean[FULL] > g->pair[i].mean[c];
    return n;
}

enum share { RECOVERED, CEILING, KEPT };
static struct mean share_of(const struct group *g, enum share which)
{
    struct mean m = {0};
    for (size_t i = 0; i < g->n_pairs; i++) {
        const struct pair *p = &g->pair[i];
        add(&m, which == RECOVERED ? p->recovered : which == CEILING ? p->ceiling : p->kept, i);
    }
    return m;
}

static void print_row(const char *label, const double *v)
{
    printf("  %-38s", label);
    for (int c = 0; c < SHOWN; c++) {
        if (isnan(v[c])) printf("%9s", "-");
        else printf("%9.1f", v[c]);
    }
    printf("\n");
}

static void print_share(const struct group *g, enum share which, const char *text_before)
{
    const struct mean m = share_of(g, which);
    if (m.n == 0) return;
    printf("  %-38s mean %.1f %%, worst %.1f %% (%s -> %s)\n", text_before, 100.0 * mean_of(&m), 100.0 * m.least,
           g->pair[m.at].teacher, g->pair[m.at].student);
}

static void print_group(const struct group *g)
{
    double mean[SHOWN], spread[SHOWN];
    for (int c = 0; c < SHOWN; c++) {
        mean[c] = column_mean(g, c);
        spread[c] = column_spread(g, c);
    }
    printf("\n%s, %lld references, %zu pairs, %zu seed%s\n  %-38s", g->task, (long long)g->refs, g->n_pairs, g->n_seeds,
           g->n_seeds == 1 ? "" : "s", "accuracy, %");
    for (int c = 0; c < SHOWN; c++) printf("%9s", names[c]);
    printf("\n");
    print_row("mean", mean);
    if (g->n_seeds > 1) print_row("spread over seeds", spread);
    for (size_t i = 0; set.pairs && i < g->n_pairs; i++) {
        char label[104];
        snprintf(label, sizeof label, "%s -> %s", g->pair[i].teacher, g->pair[i].student);
        print_row(label, g->pair[i].mean);
    }
    printf("  %-38s", "pairs better than");
    for (int c = BEFORE; c < FULL; c++)
        if (!isnan(mean[c])) printf("%s%s %zu of %zu", c > BEFORE ? ", " : " ", names[c], count_above(g, c), g->n_pairs);
    printf("\n");
    print_share(g, RECOVERED, "full / teacher");
    print_share(g, CEILING, "full / lower of teacher and own ceiling");
    print_share(g, KEPT, "stitched / weaker of the two");
    if (!isnan(column_mean(g, CPU)))
        printf("  %-38s %.1f CPU seconds, %.1f KiB of tokens\n", "a transfer costs", column_mean(g, CPU),
               column_mean(g, BYTES) / 1024.0);
}

static enum tsr_status set_number(struct tsr_json *j, const char *key, double v, struct tsr_error *err)
{
    return isfinite(v) ? tsr_json_set_number(j, key, v, err) : tsr_json_set_null(j, key, err);
}

static enum tsr_status pair_json(const struct pair *p, struct tsr_json *list, struct tsr_error *err)
{
    struct tsr_json *j;
    TSR_TRY(tsr_json_set_object(list, NULL, &j, err));
    TSR_TRY(tsr_json_set_string(j, "from", p->teacher, err));
    TSR_TRY(tsr_json_set_string(j, "to", p->student, err));
    for (int c = 0; c < COLUMNS; c++) TSR_TRY(set_number(j, names[c], p->mean[c], err));
    TSR_TRY(set_number(j, "recovered", p->recovered, err));
    TSR_TRY(set_number(j, "of_ceiling", p->ceiling, err));
    return set_number(j, "stitch_kept", p->kept, err);
}

static enum tsr_status group_json(const struct group *g, struct tsr_json *list, struct tsr_error *err)
{
    struct tsr_json *j, *mean, *spread, *pairs;
    const struct mean share[3] = {share_of(g, RECOVERED), share_of(g, CEILING), share_of(g, KEPT)};
    static const char *const share_name[3][2] = {{"recovered_mean", "recovered_worst"},
                                                 {"of_ceiling_mean", "of_ceiling_worst"},
                                                 {"stitch_kept_mean", "stitch_kept_worst"}};
    TSR_TRY(tsr_json_set_object(list, NULL, &j, err));
    TSR_TRY(tsr_json_set_string(j, "task", g->task, err));
    TSR_TRY(tsr_json_set_int(j, "references", g->refs, err));
    TSR_TRY(tsr_json_set_ints(j, "seeds", g->seed, g->n_seeds, err));
    TSR_TRY(tsr_json_set_int(j, "pairs_positive", (int64_t)count_above(g, BEFORE), err));
    TSR_TRY(tsr_json_set_int(j, "pairs_above_labels", (int64_t)count_above(g, LABELS), err));
    TSR_TRY(tsr_json_set_object(j, "mean", &mean, err));
    TSR_TRY(tsr_json_set_object(j, "spread", &spread, err));
    for (int c = 0; c < COLUMNS; c++) {
        TSR_TRY(set_number(mean, names[c], column_mean(g, c), err));
        TSR_TRY(set_number(spread, names[c], column_spread(g, c), err));
    }
    for (int k = 0; k < 3; k++) {
        TSR_TRY(set_number(j, share_name[k][0], mean_of(&share[k]), err));
        TSR_TRY(set_number(j, share_name[k][1], share[k].n > 0 ? share[k].least : (double)NAN, err));
    }
    TSR_TRY(tsr_json_set_array(j, "pairs", &pairs, err));
    for (size_t i = 0; i < g->n_pairs; i++) TSR_TRY(pair_json(&g->pair[i], pairs, err));
    return TSR_OK;
}

/* The first result of each task and number of references makes a group. */
static bool begins_group(const struct results *all, size_t i)
{
    const struct result *r = &all->item[i];
    bool begins = strcmp(r->what, "full") == 0;
    for (size_t k = 0; begins && k < i; k++)
        begins = strcmp(all->item[k].what, "full") != 0 || strcmp(all->item[k].task, r->task) != 0 ||
                 all->item[k].refs != r->refs;
    return begins;
}

static enum tsr_status summarise(const struct results *all, struct tsr_json *root, struct tsr_error *err)
{
    struct tsr_json *list;
    TSR_TRY(tsr_json_set_string(root, "schema", "tessera-bench.transfer/1", err));
    if (set.programs) TSR_TRY(tsr_json_set_string(root, "programs", set.programs, err));
    if (set.kernel) TSR_TRY(tsr_json_set_string(root, "kernel", set.kernel, err));
    TSR_TRY(tsr_json_set_array(root, "groups", &list, err));
    struct group *g = tsr_malloc(1, sizeof *g);
    if (!g) return tsr_nomem(err, sizeof *g);
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < all->n && status == TSR_OK; i++) {
        if (!begins_group(all, i)) continue;
        memset(g, 0, sizeof *g);
        g->task = all->item[i].task;
        g->refs = all->item[i].refs;
        fill_group(all, g);
        print_group(g);
        status = group_json(g, list, err);
    }
    tsr_free(g);
    return status;
}

static enum tsr_status write_json(const char *path, const struct tsr_json *root, struct tsr_error *err)
{
    struct tsr_sink *out;
    struct tsr_buf b = {0};
    TSR_TRY(tsr_sink_open(path, &out, err));
    enum tsr_status status = tsr_json_print(root, &b, err);
    if (status == TSR_OK) status = tsr_sink_write(out, b.data, b.len, err);
    if (status == TSR_OK) status = tsr_sink_close(out, err);
    else tsr_sink_abandon(out);
    tsr_buf_release(&b);
    return status;
}

static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
{
    struct results all = {0};
    struct tsr_json *root = NULL;
    enum tsr_status status = read_all(cli, &all, err);
    if (status == TSR_OK) status = tsr_json_object(&root, err);
    if (status == TSR_OK) status = summarise(&all, root, err);
    if (status == TSR_OK && cli->output) status = write_json(cli->output, root, err);
    tsr_json_free(root);
    tsr_free(all.item);
    return status;
}

static const struct tsr_program program = {
    .name = "bench-summary",
    .purpose = "sum up the results of bench-transfer.sh",
    .usage = "[-o SUMMARY.json] RESULTS.jsonl",
    .takes = TSR_TAKES_ALL | TSR_TAKES_OUTPUT,
    .options = options,
    .n_options = TSR_LENGTH(options),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
