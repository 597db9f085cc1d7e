/* page.h - text that is put together piece by piece: the first failure is kept, what comes after it
 * does nothing, so that only the end has to be checked. */
#ifndef TSR_DRIFT_PAGE_H
#define TSR_DRIFT_PAGE_H

#include "base/bytes.h"

struct tsr_page {
    struct tsr_buf *to;
    enum tsr_status status;
    struct tsr_error *err;
};

void tsr_page_add(struct tsr_page *p, const char *format, ...) TSR_PRINTF(2, 3);
/* Text for people from a file: control characters become '?'. */
void tsr_page_text(struct tsr_page *p, const char *text);
/* Text as XML or HTML, in elements and in attributes between double quotes: markup is escaped, what
 * XML cannot hold (control characters, bytes that are no UTF-8) becomes '?'. */
void tsr_page_xml(struct tsr_page *p, const char *text);

/* Replaces what is no text in UTF-8 (control characters, stray bytes) in place by '?'. */
void tsr_page_clean(char *text);

#endif
