/* views_json.c - a recipe of views as the JSON object of a VIEW record. */
#include "io/json.h"
#include "train/views.h"

#include <string.h>

static const char *const kind_name[] = {"image", "series", "vector", "tokens"};

enum tsr_status tsr_views_to_json(const struct tsr_views *v, struct tsr_json **out, struct tsr_error *err)
{
    enum tsr_status status;
    struct tsr_json *o = NULL;
    TSR_TRY(tsr_json_object(&o, err));
    TSR_GO(status, fail, tsr_json_set_string(o, "kind", kind_name[v->kind], err));
    TSR_GO(status, fail, tsr_json_set_int(o, "count", (int64_t)v->count, err));
    TSR_GO(status, fail, tsr_json_set_int(o, "seed", (int64_t)v->seed, err));
    TSR_GO(status, fail, tsr_json_set_int(o, "shift_y", v->shift_y, err));
    TSR_GO(status, fail, tsr_json_set_int(o, "shift_x", v->shift_x, err));
    TSR_GO(status, fail, tsr_json_set_number(o, "gain", (double)v->gain, err));
    TSR_GO(status, fail, tsr_json_set_bool(o, "cut", v->cut, err));
    TSR_GO(status, fail, tsr_json_set_number(o, "noise", (double)v->noise, err));
    *out = o;
    return TSR_OK;
fail:
    tsr_json_free(o);
    return status;
}

enum tsr_status tsr_views_from_json(struct tsr_views *v, const struct tsr_json *json, struct tsr_error *err)
{
    const char *kind;
    int64_t count, seed, shift_y, shift_x;
    double gain, noise;
    bool cut;
    TSR_TRY(tsr_json_need_string(json, "kind", &kind, err));
    TSR_TRY(tsr_json_need_int(json, "count", 0, 1 << 20, &count, err));
    TSR_TRY(tsr_json_need_int(json, "seed", 0, TSR_JSON_INT_MAX, &seed, err));
    TSR_TRY(tsr_json_need_int(json, "shift_y", 0, 1 << 20, &shift_y, err));
    TSR_TRY(tsr_json_need_int(json, "shift_x", 0, 1 << 20, &shift_x, err));
    TSR_TRY(tsr_json_need_number(json, "gain", 0, 1e6, &gain, err));
    TSR_TRY(tsr_json_need_number(json, "noise", 0, 1e30, &noise, err));
    TSR_TRY(tsr_json_need_bool(json, "cut", &cut, err));
    for (int k = 0; k < 4; k++) {
        if (strcmp(kind, kind_name[k]) != 0) continue;
        *v = (struct tsr_views){.kind = (enum tsr_view_kind)k, .count = (uint32_t)count, .seed = (uint64_t)seed,
                                .shift_y = (int32_t)shift_y, .shift_x = (int32_t)shift_x, .gain = (float)gain,
                                .noise = (float)noise, .cut = cut};
        return TSR_OK;
    }
    return tsr_fail(err, TSR_E_UNSUPPORTED, "the stream's views are of an unknown kind, '%s'", kind);
}
