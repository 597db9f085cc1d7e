#include "stream/types.h"

bool tsr_type_known(uint32_t type)
{
    static const uint32_t known[] = {TSR_HEAD, TSR_KEYS, TSR_INPT, TSR_VIEW, TSR_ACTS, TSR_OUTS, TSR_HUBT,
                                     TSR_BASE, TSR_FPRT, TSR_PART, TSR_AGGR, TSR_AUDT, TSR_SIGN, TSR_ENDS};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == type) return true;
    return false;
}
