#include "shared/internal.h"

static const char *const when[] = {"auto", "always", "never", NULL};

const struct tsr_option *tsr_common_options(struct tsr_cli *cli, size_t *n)
{
    static struct tsr_option table[12];
    const struct tsr_option filled[] = {
        {.name = "output", .letter = 'o', .kind = TSR_OPT_STRING, .to.string = &cli->output, .arg = "FILE",
         .help = "write to FILE, replacing it once all is written (default: standard output)",
         .common = TSR_TAKES_OUTPUT},
        {.name = "external", .kind = TSR_OPT_FLAG, .to.flag = &cli->external,
         .help = "keep large weights outside the model, in FILE.data (default: where it exceeds 2 GiB)",
         .common = TSR_TAKES_MODEL},
        {.name = "threads", .letter = 'T', .kind = TSR_OPT_INT, .to.integer = &cli->threads, .arg = "N", .lo = 0,
         .hi = 256, .help = "worker threads, 0 for one per processor (default: TESSERA_THREADS or 1)",
         .common = TSR_TAKES_THREADS},
        {.name = "seed", .kind = TSR_OPT_INT, .to.integer = &cli->seed, .arg = "N", .lo = 0, .hi = INT64_MAX,
         .help = "seed of everything random (default: 1)", .common = TSR_TAKES_SEED},
        {.name = "report", .kind = TSR_OPT_STRING, .to.string = &cli->report, .arg = "FILE",
         .help = "also write a report, one JSON object per line", .common = TSR_TAKES_REPORT},
        {.name = "progress", .kind = TSR_OPT_CHOICE, .to.choice = &cli->progress, .arg = "WHEN", .choices = when,
         .help = "draw progress on standard error: auto, always or never (default: auto)",
         .common = TSR_TAKES_PROGRESS},
        {.name = "quiet", .letter = 'q', .kind = TSR_OPT_FLAG, .to.flag = &cli->quiet,
         .help = "no warnings, no progress", .common = TSR_TAKES_ALL},
        {.name = "verbose", .letter = 'v', .kind = TSR_OPT_COUNT, .to.count = &cli->verbose,
         .help = "say what is being done; twice: in detail", .common = TSR_TAKES_ALL},
        {.name = "help", .letter = 'h', .kind = TSR_OPT_HELP, .help = "print this help and exit",
         .common = TSR_TAKES_ALL},
        {.name = "version", .letter = 'V', .kind = TSR_OPT_VERSION,
         .help = "print the versions of program, stream format and libraries and exit", .common = TSR_TAKES_ALL},
    };
    _Static_assert(sizeof filled <= sizeof table, "the table of common options is too small");
    memcpy(table, filled, sizeof filled);
    *n = TSR_LENGTH(filled);
    return table;
}
