/* types.h - the record types of version 1. Their fields and bodies: tessera-stream(5). */
#ifndef TSR_STREAM_TYPES_H
#define TSR_STREAM_TYPES_H

#include "stream/record.h"

#define TSR_HEAD TSR_TYPE('H', 'E', 'A', 'D') /* first of a segment: producer, model, lineage     head.h */
#define TSR_KEYS TSR_TYPE('K', 'E', 'Y', 'S') /* sample keys of one block                         keys.h */
#define TSR_INPT TSR_TYPE('I', 'N', 'P', 'T') /* the reference inputs of one block (mode D)       inputs.h */
#define TSR_VIEW TSR_TYPE('V', 'I', 'E', 'W') /* recipe of the derived inputs, an object to whoever made it */
#define TSR_ACTS TSR_TYPE('A', 'C', 'T', 'S') /* activations of one layer                         rows.h */
#define TSR_OUTS TSR_TYPE('O', 'U', 'T', 'S') /* model outputs                                    rows.h */
#define TSR_HUBT TSR_TYPE('H', 'U', 'B', 'T') /* hub tokens                                       rows.h */
#define TSR_BASE TSR_TYPE('B', 'A', 'S', 'E') /* the encoder's basis                              rows.h */
#define TSR_FPRT TSR_TYPE('F', 'P', 'R', 'T') /* fingerprint of a layer                           rows.h */
#define TSR_PART TSR_TYPE('P', 'A', 'R', 'T') /* mergeable partial aggregate; name reserved */
#define TSR_AGGR TSR_TYPE('A', 'G', 'G', 'R') /* aggregate; name reserved */
#define TSR_AUDT TSR_TYPE('a', 'u', 'd', 't') /* audit entry; name reserved, ancillary */
#define TSR_SIGN TSR_TYPE('s', 'i', 'g', 'n') /* signature; name reserved, ancillary */
#define TSR_ENDS TSR_TYPE('E', 'N', 'D', 'S') /* last of a segment: counts and Merkle root        ends.h */

/* A type this version names? */
bool tsr_type_known(uint32_t type);

/* Most reference samples that one block holds. */
#define TSR_BLOCK_ROWS 2048

#endif
