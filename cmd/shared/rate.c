#include "shared/cli.h"

enum tsr_status tsr_cli_rate(const char *option, const char *text, struct tsr_rate_choice *choice, struct tsr_error *err)
{
    if (text == NULL || strcmp(text, "auto") == 0) return TSR_OK;
    double lr;
    char what[48];
    snprintf(what, sizeof what, "option '--%s'", option);
    TSR_TRY(tsr_parse_double(what, text, 1e-9, 100, &lr, err));
    choice->list[0] = (float)lr;
    choice->n = 1;
    return TSR_OK;
}
