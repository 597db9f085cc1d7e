/* report_ci.c - the gates as continuous integration reads them: TAP 13 and JUnit's XML. */
#include "drift/report.h"

/* In YAML between single quotes. */
static void yaml(struct tsr_page *p, const char *text)
{
    char one[2] = "";
    tsr_page_add(p, "'");
    for (; *text != '\0'; text++) {
        one[0] = *text;
        if (*text == '\'') tsr_page_add(p, "''");
        else tsr_page_text(p, one);
    }
    tsr_page_add(p, "'");
}

/* A test's description: '#' would begin a directive. */
static void description(struct tsr_page *p, const char *text)
{
    char one[2] = "";
    for (; *text != '\0'; text++) {
        one[0] = *text;
        if (*text == '#' || *text == '\\') tsr_page_add(p, "\\%c", *text);
        else tsr_page_text(p, one);
    }
}

void tsr_report_tap(const struct tsr_report *r, struct tsr_page *p)
{
    tsr_page_add(p, "TAP version 13\n1..%zu\n", r->judgements);
    for (size_t i = 0; i < r->judgements; i++) {
        const struct tsr_judgement *j = &r->judgement[i];
        tsr_page_add(p, "%sok %zu - ", j->verdict == TSR_PASS ? "" : "not ", i + 1);
        description(p, r->drift->candidate[j->candidate].stream.name);
        tsr_page_add(p, ": ");
        description(p, j->gate->text);
        tsr_page_add(p, "\n  ---\n  verdict: %s\n  ground: ", tsr_verdict_name(j->verdict));
        struct tsr_buf ground = {0};
        struct tsr_page g = {.to = &ground, .err = p->err};
        tsr_report_ground(&g, j);
        tsr_page_add(&g, "%c", '\0');
        if (g.status == TSR_OK) yaml(p, (const char *)ground.data);
        else if (p->status == TSR_OK) p->status = g.status;
        tsr_buf_release(&ground);
        if (j->needed > 0) tsr_page_add(p, "\n  samples_needed: %.0f", j->needed);
        tsr_page_add(p, "\n  ...\n");
    }
}

static void suite(const struct tsr_report *r, size_t candidate, struct tsr_page *p)
{
    size_t tests = 0, count[3] = {0};
    for (size_t i = 0; i < r->judgements; i++) {
        if (r->judgement[i].candidate != candidate) continue;
        tests++;
        count[r->judgement[i].verdict]++;
    }
    tsr_page_add(p, "<testsuite name=\"");
    tsr_page_xml(p, r->drift->candidate[candidate].stream.name);
    tsr_page_add(p, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\">\n", tests, count[TSR_FAIL],
                 count[TSR_INCONCLUSIVE]);
    for (size_t i = 0; i < r->judgements; i++) {
        const struct tsr_judgement *j = &r->judgement[i];
        if (j->candidate != candidate) continue;
        tsr_page_add(p, "<testcase classname=\"");
        tsr_page_xml(p, r->drift->candidate[candidate].stream.name);
        tsr_page_add(p, "\" name=\"");
        tsr_page_xml(p, j->gate->text);
        tsr_page_add(p, "\">");
        const char *element = j->verdict == TSR_PASS ? "system-out" : j->verdict == TSR_FAIL ? "failure" : "error";
        tsr_page_add(p, "<%s", element);
        if (j->verdict != TSR_PASS) tsr_page_add(p, " type=\"%s\"", tsr_verdict_name(j->verdict));
        tsr_page_add(p, ">");
        tsr_report_ground(p, j);
        tsr_page_add(p, "</%s></testcase>\n", element);
    }
    tsr_page_add(p, "</testsuite>\n");
}

void tsr_report_junit(const struct tsr_report *r, struct tsr_page *p)
{
    tsr_page_add(p, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tessera-drift\">\n");
    for (size_t c = 0; c < r->drift->n; c++) suite(r, c, p);
    tsr_page_add(p, "</testsuites>\n");
}
