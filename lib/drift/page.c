#include "drift/page.h"

#include <stdarg.h>
#include <stdio.h>

void tsr_page_add(struct tsr_page *p, const char *format, ...)
{
    va_list args;
    if (p->status != TSR_OK) return;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        p->status = tsr_fail(p->err, TSR_E_INTERNAL, "text cannot be formatted");
        return;
    }
    p->status = tsr_buf_reserve(p->to, (size_t)n + 1, p->err);
    if (p->status != TSR_OK) return;
    va_start(args, format);
    vsnprintf((char *)p->to->data + p->to->len, (size_t)n + 1, format, args);
    va_end(args);
    p->to->len += (size_t)n;
}

static void put(struct tsr_page *p, const void *data, size_t n)
{
    if (p->status == TSR_OK) p->status = tsr_buf_append(p->to, data, n, p->err);
}

void tsr_page_text(struct tsr_page *p, const char *text)
{
    for (; *text != '\0'; text++) put(p, (unsigned char)*text < 0x20 || *text == 0x7f ? "?" : text, 1);
}

/* Bytes of the UTF-8 character at s, as RFC 3629 has it and XML 1.0 allows it; 0: none. */
static size_t character(const unsigned char *s)
{
    if (s[0] < 0x80) return s[0] >= 0x20 || s[0] == '\t' || s[0] == '\n' || s[0] == '\r' ? s[0] != 0x7f : 0;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    uint32_t c = s[0] & (0x7fu >> n);
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    bool shortest = n == 2 || (n == 3 && c >= 0x800) || (n == 4 && c >= 0x10000);
    bool allowed = c >= 0xa0 && !(c >= 0xd800 && c < 0xe000) && c < 0x110000 && (c & 0xfffe) != 0xfffe;
    return shortest && allowed ? n : 0;
}

void tsr_page_xml(struct tsr_page *p, const char *text)
{
    while (*text != '\0') {
        size_t n = character((const unsigned char *)text);
        switch (n == 1 ? *text : 0) {
        case '<': put(p, "&lt;", 4); break;
        case '>': put(p, "&gt;", 4); break;
        case '&': put(p, "&amp;", 5); break;
        case '"': put(p, "&quot;", 6); break;
        default: put(p, n == 0 ? "?" : text, n == 0 ? 1 : n);
        }
        text += n == 0 ? 1 : n;
    }
}

void tsr_page_clean(char *text)
{
    while (*text != '\0') {
        size_t n = character((const unsigned char *)text);
        if (n == 0 || *text == '\t' || *text == '\n' || *text == '\r') *text = '?';
        text += n == 0 ? 1 : n;
    }
}
