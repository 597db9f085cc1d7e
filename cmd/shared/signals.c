#include "shared/internal.h"

volatile sig_atomic_t tsr_cli_stop;
static volatile sig_atomic_t caught;
static bool pipe_ignored;

static void on_signal(int sig)
{
    if (tsr_cli_stop) { /* asked twice: go now, but leave nothing half-written */
        tsr_sink_unlink_live();
        signal(sig, SIG_DFL);
        raise(sig);
        return;
    }
    caught = sig;
    tsr_cli_stop = 1;
}

void tsr_signals_init(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal}, old; /* no SA_RESTART: a blocked read gives up */
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < TSR_LENGTH(all); i++)
        if (sigaction(all[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(all[i], &sa, NULL);
    pipe_ignored = sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
    sa.sa_handler = SIG_IGN; /* writes say EPIPE, so that temporary files are removed first */
    sigaction(SIGPIPE, &sa, NULL);
    sigaction(SIGXFSZ, &sa, NULL); /* writes beyond the file size limit say EFBIG */
    tsr_io_set_stop(&tsr_cli_stop);
}

void tsr_signals_die(int sig)
{
    sigset_t set;
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
}

int tsr_signals_caught(void) { return caught; }
bool tsr_signals_pipe_ignored(void) { return pipe_ignored; }

enum tsr_status tsr_cli_poll(struct tsr_error *err)
{
    return tsr_cli_stop ? tsr_fail(err, TSR_E_INTERRUPTED, "interrupted by signal %d", (int)caught) : TSR_OK;
}

bool tsr_cli_stopped(void) { return tsr_cli_stop != 0; }
