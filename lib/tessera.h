/* tessera.h - everything the library offers. Programs include this file and nothing else. */
#ifndef TESSERA_H
#define TESSERA_H

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/status.h"
#include "graph/graph.h"
#include "graph/session.h"
#include "io/fd.h"
#include "io/sink.h"
#include "io/source.h"
#include "ops/node.h"
#include "ops/op.h"
#include "tensor/blas.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"
#include "tensor/vmath.h"

#endif
