/* bench_step - forward, backward and an AdamW step of a classifier, timed on request.
 *
 *     bench_step MODEL.onnx INPUT.npy LABELS.npy
 *
 * Each line of standard input is a number of steps; the answer is a line "MILLISECONDS LOSS": the
 * quickest of those steps (processor time of the one thread) and the loss before the last one.
 * For scripts/bench-torch.py, which times PyTorch in turn. The labels are int32. */
#include "tessera.h"
#include "tensor/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct tsr_error err;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "bench_step: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void read_npy(const char *path, struct tsr_tensor *t)
{
    struct tsr_source *source;
    must(tsr_source_open(path, &source, &err));
    must(tsr_npy_load(source, t, &err));
    tsr_source_close(source);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct training {
    struct tsr_graph *g, *fused;
    struct tsr_params params;
    struct tsr_session *s;
    struct tsr_adamw adam;
    struct tsr_tensor x, y, grad;
    int32_t *ids; /* of the stepped parameters */
    size_t n_ids;
};

static void begin(struct training *t, const char *model)
{
    must(tsr_onnx_load(model, &t->g, &err));
    must(tsr_params_init(&t->params, t->g, &err));
    must(tsr_graph_fuse(t->g, t->g->output, 1, TSR_FUSE_TRAINING, &t->fused, &err));
    const struct tsr_session_options options = {.training = true, .train_stats = true};
    must(tsr_session_new(t->fused, &options, &t->s, &err));
    t->ids = calloc(t->params.n, sizeof *t->ids);
    if (t->ids == NULL) exit(EXIT_FAILURE);
    must(tsr_adamw_init(&t->adam, t->params.n, &err));
    for (size_t i = 0; i < t->params.n; i++) {
        const struct tsr_param *p = &t->params.p[i];
        if (p->buffer) continue;
        must(tsr_adamw_slot(&t->adam, t->n_ids, p->w, p->n, p->decay, &err));
        t->ids[t->n_ids++] = p->id;
    }
    t->adam.clip = 0; /* as torch.optim.AdamW */
}

static double step(struct training *t)
{
    const int32_t out = t->g->output[0];
    must(tsr_session_set_input(t->s, t->g->input[0], &t->x, &err));
    must(tsr_session_run(t->s, &out, 1, &err));
    const struct tsr_tensor *z = tsr_session_value(t->s, out), *seed = &t->grad;
    if (t->grad.dtype == TSR_NONE) must(tsr_tensor_new(&t->grad, TSR_F32, &z->shape, NULL, &err));
    double loss = tsr_loss_cross_entropy(z->data, t->y.data, z->shape.dim[0], z->shape.dim[1], t->grad.data);
    must(tsr_session_backward(t->s, &out, &seed, 1, t->ids, t->n_ids, &err));
    for (size_t i = 0; i < t->n_ids; i++) {
        const struct tsr_tensor *g = tsr_session_grad(t->s, t->ids[i]);
        t->adam.slot[i].g = g != NULL ? g->data : NULL;
    }
    (void)tsr_adamw_step(&t->adam, 1e-3F);
    return loss;
}

int main(int argc, char **argv)
{
    struct training t = {0};
    int n;
    if (argc != 4) {
        fprintf(stderr, "usage: bench_step MODEL INPUT.npy LABELS.npy\n");
        return 2;
    }
    read_npy(argv[2], &t.x);
    read_npy(argv[3], &t.y);
    begin(&t, argv[1]);
    while (scanf("%d", &n) == 1 && n > 0) {
        double best = INFINITY, loss = NAN;
        for (int i = 0; i < n; i++) {
            double start = now();
            loss = step(&t);
            double ms = (now() - start) * 1e3;
            if (ms < best) best = ms;
        }
        printf("%.4f %.7f %s\n", best, loss, tsr_gemm_kernel());
        fflush(stdout);
    }
    tsr_session_free(t.s);
    tsr_adamw_release(&t.adam);
    tsr_params_release(&t.params);
    tsr_graph_free(t.fused);
    tsr_graph_free(t.g);
    tsr_tensor_release(&t.x);
    tsr_tensor_release(&t.y);
    tsr_tensor_release(&t.grad);
    free(t.ids);
    return 0;
}
