/* internal.h - between the files of cmd/shared; commands do not include it. */
#ifndef TSR_SHARED_INTERNAL_H
#define TSR_SHARED_INTERNAL_H

#include "shared/cli.h"

/* common.c: the table of the common options, stored in *cli. */
const struct tsr_option *tsr_common_options(struct tsr_cli *cli, size_t *n);

/* help.c */
void tsr_print_help(const struct tsr_cli *cli);
void tsr_print_table(const struct tsr_cli *cli);
void tsr_print_version(const struct tsr_cli *cli);

/* signals.c */
void tsr_signals_init(void);
/* Ends the process by signal `sig` with its default action; returns only where that is ignored. */
void tsr_signals_die(int sig);
/* The signal that raised tsr_cli_stop, or 0. */
int tsr_signals_caught(void);
/* Whether SIGPIPE was ignored when the program was started: then EPIPE is an error like any. */
bool tsr_signals_pipe_ignored(void);

/* io.c: does the path mean standard input or output? NULL does, too. */
bool tsr_standard(const char *path);
/* Closes the report of a command that went well or that policy forbade, or drops it. */
enum tsr_status tsr_finish_report(struct tsr_cli *cli, enum tsr_status status, struct tsr_error *err) TSR_MUST_USE;

/* finish.c: flushes and closes stdout; TSR_E_IO or TSR_E_CLOSED where not everything arrived. */
enum tsr_status tsr_finish_stdout(struct tsr_error *err) TSR_MUST_USE;
/* Gives descriptors 0 to 2 that were closed a place that refuses to be read or written, so that
 * no file of ours gets their numbers. */
void tsr_open_standard_files(void);

#endif
