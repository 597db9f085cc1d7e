/* peak-memory - runs a command and writes what it took, as one JSON object on a line:
 *     peak-memory NAME=VALUE... -- COMMAND [ARGUMENT]...
 *     {"NAME":VALUE,"peak_bytes":867000000,"user_seconds":1.50,"seconds":1.60}
 * peak_bytes is the largest resident set (getrusage), which counts mapped pages of files as well. The
 * exit code is the command's, 126 where it could not be run or died of a signal. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0) at++;
    if (at + 1 >= argc) {
        fprintf(stderr, "usage: peak-memory [NAME=VALUE]... -- COMMAND [ARGUMENT]...\n");
        return 2;
    }
    double began = now();
    pid_t child = fork();
    if (child == 0) {
        (void)execvp(argv[at + 1], argv + at + 1);
        perror(argv[at + 1]);
        _exit(126);
    }
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("peak-memory");
        return 126;
    }
    printf("{");
    for (int i = 1; i < at; i++) {
        const char *eq = strchr(argv[i], '=');
        if (eq != NULL) printf("\"%.*s\":%s,", (int)(eq - argv[i]), argv[i], eq + 1);
    }
    printf("\"peak_bytes\":%lld,\"user_seconds\":%.2f,\"seconds\":%.2f}\n", (long long)used.ru_maxrss * 1024,
           (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec * 1e-6, now() - began);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
