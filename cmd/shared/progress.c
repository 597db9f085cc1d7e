#include "shared/cli.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool stdout_is_pipe(void)
{
    struct stat st;
    return fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode);
}

void tsr_progress_begin(struct tsr_progress *p, const struct tsr_cli *cli, const char *verb, const char *unit,
                        int64_t total)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    *p = (struct tsr_progress){.verb = verb, .unit = unit, .total = total, .terminal = terminal};
    p->always = cli->progress == 1;
    p->on = p->always || (cli->progress == 0 && !cli->quiet && terminal && !stdout_is_pipe());
    if (p->on) p->began = now();
}

void tsr_progress_update(struct tsr_progress *p, int64_t done)
{
    if (!p->on) return;
    double t = now(), since = t - p->began;
    if (t - p->drawn < (p->terminal ? 0.1 : 1.0) || (!p->always && since < 1)) return;
    p->drawn = t;
    char left[48] = "";
    if (p->total > 0 && done > 0 && done < p->total)
        snprintf(left, sizeof left, ", %.0f s left", since * (double)(p->total - done) / (double)done);
    if (p->terminal) fputs("\r\033[K", stderr);
    if (p->total > 0)
        fprintf(stderr, "%s %" PRId64 "/%" PRId64 " %s%s", p->verb, done, p->total, p->unit, left);
    else
        fprintf(stderr, "%s %" PRId64 " %s", p->verb, done, p->unit);
    if (!p->terminal) fputc('\n', stderr);
    fflush(stderr);
}

void tsr_progress_end(struct tsr_progress *p)
{
    if (p->on && p->drawn > 0 && p->terminal) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->on = false;
}

void tsr_progress_step(void *arg, int64_t step, int64_t steps, double loss)
{
    (void)steps;
    (void)loss;
    tsr_progress_update(arg, step);
}
