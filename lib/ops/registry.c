/* registry.c - finds an operator by its domain and name. */
#include "ops/families.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPS = 512 };

static const struct tsr_op *index_of[MAX_OPS];
static size_t n_index;
static atomic_int ready;
static atomic_flag building = ATOMIC_FLAG_INIT;

static int by_name(const void *a, const void *b)
{
    const struct tsr_op *x = *(const struct tsr_op *const *)a, *y = *(const struct tsr_op *const *)b;
    int c = strcmp(x->op_type, y->op_type);
    return c ? c : strcmp(x->domain, y->domain);
}

static void add(const struct tsr_op *ops, size_t n)
{
    for (size_t i = 0; i < n && n_index < MAX_OPS; i++) index_of[n_index++] = &ops[i];
}

/* Builds the sorted index on first use; later callers wait for the first. */
static void build(void)
{
    if (atomic_load_explicit(&ready, memory_order_acquire)) return;
    while (atomic_flag_test_and_set_explicit(&building, memory_order_acquire)) continue;
    if (!atomic_load_explicit(&ready, memory_order_relaxed)) {
#define ADD(name) add(tsr_ops_##name, tsr_n_ops_##name);
        TSR_OP_FAMILIES(ADD)
#undef ADD
        qsort(index_of, n_index, sizeof index_of[0], by_name);
        atomic_store_explicit(&ready, 1, memory_order_release);
    }
    atomic_flag_clear_explicit(&building, memory_order_release);
}

const struct tsr_op *tsr_op_find(const char *domain, const char *op_type)
{
    if (strcmp(domain, "ai.onnx") == 0) domain = ""; /* the long name of the default domain */
    const struct tsr_op key = {.op_type = op_type, .domain = domain}, *p = &key;
    build();
    const struct tsr_op **hit = bsearch(&p, index_of, n_index, sizeof index_of[0], by_name);
    return hit ? *hit : NULL;
}

const struct tsr_op *const *tsr_op_all(size_t *n)
{
    build();
    *n = n_index;
    return index_of;
}
