/* vec_real.h - vectors of REAL in the compiler's own terms, for whatever the machine has. Included
 * with R(name) naming the type. Private to ops/. */

/* 16, 8, 4 and 2 elements, anywhere in memory. */
typedef REAL R(v16) __attribute__((vector_size(16 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v8) __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v4) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v2) __attribute__((vector_size(2 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define V16 R(v16)
#define AT16(p) (*(V16 *)(p))
#define FROM16(p) (*(const V16 *)(p))
#define LANES16(v)                                                                           \
    ((((v)[0] + (v)[8]) + ((v)[4] + (v)[12]) + (((v)[2] + (v)[10]) + ((v)[6] + (v)[14]))) +  \
     (((v)[1] + (v)[9]) + ((v)[5] + (v)[13]) + (((v)[3] + (v)[11]) + ((v)[7] + (v)[15]))))
