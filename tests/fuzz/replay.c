/* replay.c - runs a fuzz target over kept inputs: files, or directories of files. This is how the
 * corpus takes part in `make check`; no fuzzer needed. Every input is also tried cut short at a
 * few places and with a few bytes changed, always the same ones. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 9, CHANGES = 32 };

static unsigned long replayed;

/* The bytes live in a block of exactly their size, so that the sanitizers see every overrun. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(1, size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    replayed++;
}

static void vary(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < CUTS; i++) try_input(data, size * i / CUTS);
    uint32_t x = 2463534242u;
    for (int i = 0; i < CHANGES && size; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        /* half of the changes where the headers are */
        size_t at = x % (i % 2 && size > 64 ? 64 : size);
        uint8_t old = data[at];
        data[at] = (uint8_t)(i % 3 ? old ^ 1u << (x >> 29) : 0xff);
        try_input(data, size);
        data[at] = old;
    }
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        if (f) fclose(f);
        return 1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data) abort();
    int bad = fread(data, 1, size, f) != size;
    fclose(f);
    if (bad)
        fprintf(stderr, "%s: cannot be read\n", path);
    else {
        try_input(data, size);
        vary(data, size);
    }
    free(data);
    return bad;
}

static int replay(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return replay_file(path);
    int bad = 0, files = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char name[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        bad |= replay_file(name);
        files++;
    }
    closedir(d);
    if (files == 0) fprintf(stderr, "%s: no inputs\n", path);
    return bad || files == 0;
}

int main(int argc, char **argv)
{
    int bad = 0;
    try_input(NULL, 0);
    for (int i = 1; i < argc; i++) bad |= replay(argv[i]);
    printf("%lu inputs\n", replayed);
    return bad;
}
