#include "ops/node.h"
#include "base/mem.h"

#include <string.h>

const struct tsr_attr *tsr_node_attr(const struct tsr_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attr; i++)
        if (strcmp(node->attr[i].name, name) == 0) return &node->attr[i];
    return NULL;
}

static const struct tsr_attr *typed(const struct tsr_node *node, const char *name, enum tsr_attr_type type)
{
    const struct tsr_attr *a = tsr_node_attr(node, name);
    return a && a->type == type ? a : NULL;
}

int64_t tsr_node_int(const struct tsr_node *node, const char *name, int64_t otherwise)
{
    const struct tsr_attr *a = typed(node, name, TSR_ATTR_INT);
    return a ? a->i : otherwise;
}

float tsr_node_float(const struct tsr_node *node, const char *name, float otherwise)
{
    const struct tsr_attr *a = tsr_node_attr(node, name);
    if (a && a->type == TSR_ATTR_INT) return (float)a->i; /* some exporters write 1 for 1.0 */
    return a && a->type == TSR_ATTR_FLOAT ? a->f : otherwise;
}

const char *tsr_node_string(const struct tsr_node *node, const char *name, const char *otherwise)
{
    const struct tsr_attr *a = typed(node, name, TSR_ATTR_STRING);
    return a && a->s ? a->s : otherwise;
}

const int64_t *tsr_node_ints(const struct tsr_node *node, const char *name, size_t *n)
{
    static const int64_t none;
    const struct tsr_attr *a = typed(node, name, TSR_ATTR_INTS);
    *n = a ? a->n : 0;
    return !a ? NULL : a->ints ? a->ints : &none; /* present but empty is not absent */
}

const float *tsr_node_floats(const struct tsr_node *node, const char *name, size_t *n)
{
    static const float none;
    const struct tsr_attr *a = typed(node, name, TSR_ATTR_FLOATS);
    *n = a ? a->n : 0;
    return !a ? NULL : a->floats ? a->floats : &none;
}

bool tsr_node_takes_batch(const struct tsr_node *node)
{
    if (!tsr_node_is(node, "BatchNormalization")) return false;
    if (node->opset >= 14) return tsr_node_int(node, "training_mode", 0) != 0;
    for (int k = 1; k < node->n_out; k++)
        if (node->out[k] >= 0) return true;
    return false;
}

void tsr_attr_release(struct tsr_attr *attr)
{
    tsr_free(attr->name);
    tsr_free(attr->s);
    tsr_free(attr->ints);
    tsr_free(attr->floats);
    for (size_t i = 0; attr->strings && i < attr->n; i++) tsr_free(attr->strings[i]);
    tsr_free(attr->strings);
    tsr_tensor_release(&attr->t);
    if (attr->g && attr->g_free) attr->g_free(attr->g);
    memset(attr, 0, sizeof *attr);
}

void tsr_node_release(struct tsr_node *node)
{
    tsr_free(node->name);
    tsr_free(node->op_type);
    tsr_free(node->domain);
    tsr_free(node->in);
    tsr_free(node->out);
    for (size_t i = 0; i < node->n_attr; i++) tsr_attr_release(&node->attr[i]);
    tsr_free(node->attr);
    memset(node, 0, sizeof *node);
}

bool tsr_node_elementwise(const struct tsr_node *node)
{
    static const char *const ops[] = {"Abs", "Add", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
                                      "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Selu",
                                      "Sigmoid", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "ThresholdedRelu"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (tsr_node_is(node, ops[i])) return node->n_out == 1;
    return false;
}
