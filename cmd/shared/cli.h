/* cli.h - what every command shares: options, exit codes, signals, input, output, progress.
 *
 * How to write a command (cmd/tessera-x.c, found by the Makefile by its name):
 *
 *     #include "shared/cli.h"
 *
 *     static struct {
 *         const char *model;
 *         int64_t steps;
 *         double rate;
 *     } set = {.steps = 600, .rate = 1e-3};
 *
 *     static const struct tsr_option options[] = {
 *         TSR_STRING('m', "model", "FILE", &set.model, "the receiver, an ONNX model (required)"),
 *         TSR_INT(0, "steps", "N", &set.steps, 1, 1000000, "optimiser steps (default: 600)"),
 *         TSR_DOUBLE(0, "rate", "R", &set.rate, 0, 1, "learning rate (default: 0.001)"),
 *     };
 *
 *     static enum tsr_status run(struct tsr_cli *cli, struct tsr_error *err)
 *     {
 *         if (!set.model) return tsr_fail(err, TSR_E_USAGE, "option '--model' is required");
 *         struct tsr_source *in;
 *         struct tsr_sink *out;
 *         TSR_TRY(tsr_cli_input(cli, cli->argc ? cli->argv[0] : NULL, TSR_BINARY, &in, err));
 *         ... cli->argv[0 .. cli->argc-1] are the operands, cli->pool the threads ...
 *         ... long loops: TSR_TRY(tsr_cli_poll(err)), or hand &tsr_cli_stop to the library ...
 *         ... tsr_cli_output(cli, TSR_BINARY, &out, err), and at the end, whatever the status:
 *         status = tsr_cli_finish(out, status, err), so that nothing half-written stays ...
 *     }
 *
 *     static const struct tsr_program program = {
 *         .name = "tessera-x", .purpose = "do x to a stream", .usage = "-m MODEL [FILE]",
 *         .takes = TSR_TAKES_OUTPUT | TSR_TAKES_THREADS | TSR_TAKES_PROGRESS,
 *         .options = options, .n_options = TSR_LENGTH(options), .max_operands = 1, .run = run,
 *     };
 *
 *     int main(int argc, char **argv) { return tsr_cli_main(&program, argc, argv); }
 *
 * run() says what went wrong in *err and returns the status; it never prints an error or exits.
 * A command that answers a question sets cli->verdict (1 = the answer is no, 6 = inconclusive)
 * and returns TSR_OK. Text for people goes to stdout with printf; whether it arrived is checked
 * on the way out. Every option needs an entry in man/tessera-x.1: `make check-docs` compares.
 *
 * Exit codes: 0 done; 1 the answer is no; 2 usage (TSR_E_USAGE, TSR_E_NOT_FOUND); 3 the input is
 * damaged, truncated, unsupported or does not fit (FORMAT .. NUMERIC); 4 I/O or memory; 5 a limit
 * or policy (TSR_E_LIMIT); 6 inconclusive. TSR_E_CLOSED dies of SIGPIPE without a word,
 * TSR_E_INTERRUPTED of the signal that came, TSR_E_INTERNAL aborts. */
#ifndef TSR_SHARED_CLI_H
#define TSR_SHARED_CLI_H

#include "shared/option.h"

#include <signal.h>
#include <stdio.h>

#define TSR_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Which of the common options a command takes; -h, -V, -q and -v always come along. */
enum {
    TSR_TAKES_ALL = 1,       /* --help, --version, --quiet, --verbose */
    TSR_TAKES_OUTPUT = 2,    /* -o, --output FILE */
    TSR_TAKES_THREADS = 4,   /* -T, --threads N */
    TSR_TAKES_PROGRESS = 8,  /* --progress=auto|always|never */
    TSR_TAKES_SEED = 16,     /* --seed N */
    TSR_TAKES_REPORT = 32,   /* --report FILE */
    TSR_TAKES_MODEL = 64     /* --external: the product is an ONNX model */
};

struct tsr_cli;

struct tsr_program {
    const char *name;    /* "tessera-x" */
    const char *purpose; /* one line, lower case, no full stop: the man page's NAME */
    const char *usage;   /* what follows the name; more than one form: separated by newlines */
    const char *notes;   /* printed after the options by --help, or NULL */
    unsigned takes;
    const struct tsr_option *options;
    size_t n_options;
    int min_operands, max_operands; /* max_operands < 0: any number */
    enum tsr_status (*run)(struct tsr_cli *cli, struct tsr_error *err);
};

struct tsr_cli {
    const struct tsr_program *program;
    int argc;    /* operands */
    char **argv;
    int verdict; /* the exit code when run() returns TSR_OK */
    /* the common options */
    const char *output; /* NULL or "-": stdout */
    const char *report; /* NULL: none */
    int64_t threads;
    int64_t seed;
    bool external;
    bool quiet;
    int verbose;
    int progress; /* 0 auto, 1 always, 2 never */
    struct tsr_pool *pool; /* of `threads` workers; NULL means serial; released by tsr_cli_main */
    bool *given;           /* one per option of the set */
    struct tsr_option_set set;
    bool stdin_taken;
    struct tsr_sink *report_sink;
};

int tsr_cli_main(const struct tsr_program *program, int argc, char **argv);

/* Whether the long option `name` stood on the command line. */
bool tsr_cli_given(const struct tsr_cli *cli, const char *name);

/* Messages on stderr, one line each: "tessera-x: sentence". Warnings vanish under --quiet, notes
 * appear only with --verbose. Errors are not printed but returned from run(). */
void tsr_cli_warn(const struct tsr_cli *cli, const char *format, ...) TSR_PRINTF(2, 3);
void tsr_cli_note(const struct tsr_cli *cli, const char *format, ...) TSR_PRINTF(2, 3);

enum tsr_cli_content { TSR_TEXT, TSR_BINARY };

/* Opens an input: a file, or standard input where path is NULL or "-" (once only). Refuses to
 * read binary data, or what the user does not know to be asked for, from a terminal. */
enum tsr_status tsr_cli_input(struct tsr_cli *cli, const char *path, enum tsr_cli_content content,
                              struct tsr_source **out, struct tsr_error *err) TSR_MUST_USE;
/* Opens the product: the file of --output, else standard output. Binary data are refused to a
 * terminal. Open it late, after the arguments were checked, and early enough to fail before hours
 * of work. It ends with tsr_cli_finish. */
enum tsr_status tsr_cli_output(struct tsr_cli *cli, enum tsr_cli_content content, struct tsr_sink **out,
                               struct tsr_error *err) TSR_MUST_USE;
/* Ends an output: closed, checked, where status is TSR_OK, abandoned otherwise; NULL allowed.
 * Returns status, or what went wrong in closing. */
enum tsr_status tsr_cli_finish(struct tsr_sink *out, enum tsr_status status, struct tsr_error *err) TSR_MUST_USE;
/* Reads a model as tsr_onnx_load does, with its warnings on stderr. */
enum tsr_status tsr_cli_model(const struct tsr_cli *cli, const char *path, struct tsr_graph **out,
                              struct tsr_error *err) TSR_MUST_USE;
/* The warnings alone: "tessera-x: 'name': sentence". */
void tsr_cli_warn_model(const struct tsr_cli *cli, const char *name, const struct tsr_graph *g);
/* Says so where a trained model has weights that could not learn. */
void tsr_cli_warn_reach(const struct tsr_cli *cli, const struct tsr_reach *reach);
/* Writes a model into the product `out`, which tsr_cli_output opened and tsr_cli_finish is to end. Large
 * weights go into the file "OUTPUT.data" beside it where --external was given, or where one file cannot
 * hold them; such a model cannot go to standard output. */
enum tsr_status tsr_cli_put_model(struct tsr_cli *cli, const struct tsr_graph *g, struct tsr_sink *out,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Writes one line of the report: an object with a string "schema" ("tessera-x.epoch/1"). Does
 * nothing without --report. The file appears when the command has succeeded, or
 * when policy forbade what was asked for (TSR_E_LIMIT), which is when its reasons are wanted most. */
enum tsr_status tsr_cli_report(struct tsr_cli *cli, const struct tsr_json *line, struct tsr_error *err) TSR_MUST_USE;

/* Set by SIGINT, SIGTERM and SIGHUP; reads and writes of lib/io give up then with
 * TSR_E_INTERRUPTED. A second signal ends the process at once (temporary files are removed). */
extern volatile sig_atomic_t tsr_cli_stop;
/* TSR_E_INTERRUPTED once a signal came, else TSR_OK: for TSR_TRY in long loops. */
enum tsr_status tsr_cli_poll(struct tsr_error *err) TSR_MUST_USE;
/* The same as a question, for the library's `stop`. */
bool tsr_cli_stopped(void);

/* What --OPTION TEXT says of the rates to try: NULL and "auto" leave *choice alone, a number is the only one. */
enum tsr_status tsr_cli_rate(const char *option, const char *text, struct tsr_rate_choice *choice, struct tsr_error *err) TSR_MUST_USE;

/* The line "training 120/600 steps, 3 s left" on stderr. Nothing is drawn unless stderr is a
 * terminal, stdout is not a pipe and one second has passed, or --progress=always was given.
 * total <= 0: unknown. Not thread-safe: called from the thread that started it. */
struct tsr_progress {
    const char *verb, *unit;
    int64_t total;
    double began, drawn;
    bool on, terminal, always;
};
void tsr_progress_begin(struct tsr_progress *p, const struct tsr_cli *cli, const char *verb, const char *unit,
                        int64_t total);
void tsr_progress_update(struct tsr_progress *p, int64_t done);
void tsr_progress_end(struct tsr_progress *p); /* wipes the line */
/* tsr_progress_update as the library's training loops call it: arg is the struct tsr_progress. */
void tsr_progress_step(void *arg, int64_t step, int64_t steps, double loss);

#endif
