#include "shared/internal.h"

#include <inttypes.h>

enum { LEFT = 28, WIDTH = 79 };

/* Prints `text` broken at blanks, every line but the first indented by `indent`. */
static void print_wrapped(const char *text, size_t column, size_t indent)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column + 1 + word > WIDTH && column > indent) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct tsr_option *o)
{
    char left[96];
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
    fputs(left, stdout);
    if (n < 0 || n >= LEFT - 1)
        printf("\n%*s", LEFT, "");
    else
        printf("%*s", LEFT - n, "");
    print_wrapped(o->help, LEFT, LEFT);
}

static void print_options(const struct tsr_cli *cli, bool common)
{
    const struct tsr_option *o;
    for (size_t i = 0; (o = tsr_option_at(&cli->set, i)) != NULL; i++)
        if (tsr_option_visible(&cli->set, o) && (o->common != 0) == common) print_option(o);
}

/* Paragraph by paragraph; a line that begins with a blank stays as it is. */
static void print_notes(const char *text)
{
    putchar('\n');
    while (*text) {
        char line[512];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        if (line[0] == ' ') puts(line);
        else print_wrapped(line, 0, 0);
        text += n + (text[n] == '\n');
    }
}

void tsr_print_help(const struct tsr_cli *cli)
{
    const struct tsr_program *p = cli->program;
    const char *form = p->usage ? p->usage : "", *before = "Usage:";
    do {
        char line[512];
        size_t len = strcspn(form, "\n");
        int column = printf("%-6s %s [OPTION]...", before, p->name);
        snprintf(line, sizeof line, "%.*s", (int)len, form);
        print_wrapped(line, column > 0 ? (size_t)column : 0, 9);
        form += len + (form[len] == '\n');
        before = "  or:";
    } while (*form);
    printf("%s: %s.\n", p->name, p->purpose);
    if (p->n_options) {
        printf("\nOptions:\n");
        print_options(cli, false);
    }
    printf("\nCommon options:\n");
    print_options(cli, true);
    if (p->notes) print_notes(p->notes);
    printf("\nThe whole story: man %s\n", p->name);
}

static const char *kind_name(enum tsr_opt_kind kind)
{
    static const char *const name[] = {"flag", "count", "string", "int", "double", "size", "list", "choice", "flag", "flag"};
    return name[kind];
}

/* One line per option: long name, short name or "-", kind, value's name or "-", range or choices
 * or "-", help; separated by tabs. The first line is the program's own. */
void tsr_print_table(const struct tsr_cli *cli)
{
    const struct tsr_option *o;
    printf("program\t%s\t%d\t%d\t%s\n", cli->program->name, cli->program->min_operands, cli->program->max_operands,
           cli->program->purpose);
    for (size_t i = 0; (o = tsr_option_at(&cli->set, i)) != NULL; i++) {
        if (!tsr_option_visible(&cli->set, o)) continue;
        printf("%s\t%c\t%s\t%s\t", o->name, o->letter ? o->letter : '-', kind_name(o->kind), o->arg ? o->arg : "-");
        if (o->kind == TSR_OPT_INT || o->kind == TSR_OPT_SIZE)
            printf("%" PRId64 " %" PRId64, o->lo, o->hi);
        else if (o->kind == TSR_OPT_DOUBLE)
            printf("%g %g", o->dlo, o->dhi);
        else if (o->kind == TSR_OPT_CHOICE)
            for (int c = 0; o->choices[c]; c++) printf("%s%s", c ? " " : "", o->choices[c]);
        else
            putchar('-');
        printf("\t%s\n", o->help);
    }
}

void tsr_print_version(const struct tsr_cli *cli)
{
    printf("%s (Tessera) %s\n", cli->program->name, TSR_VERSION);
    printf("stream format %d.%d\n", TSR_STREAM_MAJOR, TSR_STREAM_MINOR);
    printf("%s, kernel %s\n", tsr_blas_version(), tsr_blas_kernel());
    printf("zstd %s\n", tsr_codec_version());
    int major, minor;
    tsr_sha256_version(&major, &minor);
    printf("libsodium %s, nettle %d.%d\n", tsr_key_version(), major, minor);
}
