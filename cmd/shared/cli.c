#include "shared/internal.h"

#include <stdarg.h>
#include <stdlib.h>

static int exit_code(enum tsr_status status)
{
    switch (status) {
    case TSR_OK: return 0;
    case TSR_E_USAGE:
    case TSR_E_NOT_FOUND: return 2;
    case TSR_E_FORMAT:
    case TSR_E_UNSUPPORTED:
    case TSR_E_CORRUPT:
    case TSR_E_TRUNCATED:
    case TSR_E_MISMATCH:
    case TSR_E_NUMERIC: return 3;
    case TSR_E_NOMEM:
    case TSR_E_IO:
    case TSR_E_CLOSED: return 4;
    case TSR_E_LIMIT: return 5;
    case TSR_E_INTERRUPTED: return 4; /* only where no signal came */
    case TSR_E_INTERNAL: break;
    }
    return 4;
}

static void say(const struct tsr_cli *cli, const char *format, va_list args)
{
    char line[640];
    vsnprintf(line, sizeof line, format, args);
    for (char *c = line; *c; c++) /* names from files must not drive the terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "%s: %s\n", cli->program->name, line);
}

void tsr_cli_warn(const struct tsr_cli *cli, const char *format, ...)
{
    if (cli->quiet) return;
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

void tsr_cli_note(const struct tsr_cli *cli, const char *format, ...)
{
    if (cli->verbose == 0) return;
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

static void complain(const struct tsr_cli *cli, const char *format, ...) TSR_PRINTF(2, 3);
static void complain(const struct tsr_cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

/* The one way out: says what went wrong and turns a status into an exit code or a signal. */
static int leave(const struct tsr_cli *cli, enum tsr_status status, const struct tsr_error *err)
{
    if (status == TSR_E_CLOSED && !tsr_signals_pipe_ignored()) tsr_signals_die(SIGPIPE);
    if (status == TSR_E_INTERRUPTED && tsr_signals_caught()) tsr_signals_die(tsr_signals_caught());
    if (status == TSR_OK) return cli->verdict;
    complain(cli, "%s", err->message[0] ? err->message : tsr_status_name(status));
    if (status == TSR_E_USAGE) complain(cli, "try '%s --help'", cli->program->name);
    if (status == TSR_E_INTERNAL) abort();
    return exit_code(status);
}

bool tsr_cli_given(const struct tsr_cli *cli, const char *name)
{
    const struct tsr_option *o;
    for (size_t i = 0; (o = tsr_option_at(&cli->set, i)) != NULL; i++)
        if (strcmp(o->name, name) == 0) return cli->given[i];
    return false;
}

static void inform(void *arg, const struct tsr_option *o, const char *value)
{
    const struct tsr_cli *cli = arg;
    if (o->kind == TSR_OPT_VERSION)
        tsr_print_version(cli);
    else if (value)
        tsr_print_table(cli);
    else
        tsr_print_help(cli);
    struct tsr_error err = {0};
    exit(leave(cli, tsr_finish_stdout(&err), &err));
}

static enum tsr_status check_operands(const struct tsr_cli *cli, struct tsr_error *err)
{
    const struct tsr_program *p = cli->program;
    if (cli->argc < p->min_operands)
        return tsr_fail(err, TSR_E_USAGE, "an operand is missing: usage is %s %.*s", p->name,
                        (int)strcspn(p->usage, "\n"), p->usage);
    if (p->max_operands >= 0 && cli->argc > p->max_operands)
        return tsr_fail(err, TSR_E_USAGE, "unexpected operand '%.200s'", cli->argv[p->max_operands]);
    return TSR_OK;
}

/* Before hours of work, not after them. */
static enum tsr_status check_external(const struct tsr_cli *cli, struct tsr_error *err)
{
    if (!cli->external || !tsr_standard(cli->output)) return TSR_OK;
    return tsr_fail(err, TSR_E_USAGE, "--external writes a second file beside the model; name the model with --output");
}

static enum tsr_status check_report(const struct tsr_cli *cli, struct tsr_error *err)
{
    if (cli->report == NULL || !tsr_standard(cli->report) || !(cli->program->takes & TSR_TAKES_OUTPUT) || !tsr_standard(cli->output)) return TSR_OK;
    return tsr_fail(err, TSR_E_USAGE, "the report and the product cannot both go to standard output");
}

static enum tsr_status prepare(struct tsr_cli *cli, int argc, char **argv, struct tsr_error *err)
{
    const struct tsr_program *p = cli->program;
    cli->set = (struct tsr_option_set){.table = {p->options}, .n = {p->n_options}, .takes = p->takes | TSR_TAKES_ALL};
    cli->set.table[1] = tsr_common_options(cli, &cli->set.n[1]);
    cli->given = tsr_calloc(cli->set.n[0] + cli->set.n[1], sizeof *cli->given);
    if (!cli->given) return tsr_nomem(err, cli->set.n[0] + cli->set.n[1]);
    TSR_TRY(tsr_option_parse(&cli->set, argc, argv, &cli->argc, cli->given, inform, cli, err));
    cli->argv = argv + 1;
    TSR_TRY(check_operands(cli, err));
    TSR_TRY(check_external(cli, err));
    TSR_TRY(check_report(cli, err));
    if (!(p->takes & TSR_TAKES_THREADS)) return TSR_OK;
    const char *threads = getenv("TESSERA_THREADS");
    if (threads && *threads && !tsr_cli_given(cli, "threads"))
        TSR_TRY(tsr_parse_int("TESSERA_THREADS", threads, 0, 256, &cli->threads, err));
    return tsr_pool_new((int)cli->threads, &cli->pool, err);
}

static void release(struct tsr_cli *cli)
{
    const struct tsr_program *p = cli->program;
    for (size_t i = 0; i < p->n_options; i++)
        if (p->options[i].kind == TSR_OPT_LIST) tsr_free(p->options[i].to.list->item);
    tsr_pool_free(cli->pool);
    tsr_free(cli->given);
}

int tsr_cli_main(const struct tsr_program *program, int argc, char **argv)
{
    struct tsr_cli cli = {.program = program, .threads = 1, .seed = 1};
    struct tsr_error err = {0}, late = {0};
    tsr_open_standard_files();
    tsr_signals_init();
    enum tsr_status status = prepare(&cli, argc, argv, &err);
    if (status == TSR_OK) status = program->run(&cli, &err);
    status = tsr_finish_report(&cli, status, &err);
    enum tsr_status flushed = tsr_finish_stdout(&late);
    int code = status == TSR_OK ? leave(&cli, flushed, &late) : leave(&cli, status, &err);
    release(&cli);
    return code;
}
