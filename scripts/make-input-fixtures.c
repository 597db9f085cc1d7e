/* make-input-fixtures DIR - writes the small input files of testdata/{npy,npz,idx,csv}, and their
 * lines of testdata/README.md to stdout. The bytes are put together here by hand, so that the
 * readers are not tested against writers of their own. In every good-* file element k is k (bools:
 * k odd). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct bytes {
    uint8_t data[8192];
    size_t n;
};

static const char *root;
static char section[16];

static void put(struct bytes *b, const void *p, size_t n)
{
    if (n > sizeof b->data - b->n) abort();
    memcpy(b->data + b->n, p, n);
    b->n += n;
}
static void text(struct bytes *b, const char *s) { put(b, s, strlen(s)); }
static void little(struct bytes *b, uint64_t v, int size)
{
    for (int i = 0; i < size; i++) put(b, &(uint8_t){(uint8_t)(i < 8 ? v >> (8 * i) : 0)}, 1);
}
static void big(struct bytes *b, uint64_t v, int size)
{
    for (int i = size - 1; i >= 0; i--) put(b, &(uint8_t){(uint8_t)(i < 8 ? v >> (8 * i) : 0)}, 1);
}

static void save(const char *name, const struct bytes *b, const char *what)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, section, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(b->data, 1, b->n, f) != b->n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    printf("- `%s/%s`: %s\n", section, name, what);
}

static void begin(const char *name)
{
    char path[512];
    (void)snprintf(section, sizeof section, "%s", name);
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        perror(path);
        exit(1);
    }
}

/* The bits of the number k. */
static uint64_t number(char kind, int size, int k)
{
    float f = (float)k;
    double d = k;
    uint32_t f32;
    uint64_t f64;
    memcpy(&f32, &f, 4);
    memcpy(&f64, &d, 8);
    if (kind == 'b') return (uint64_t)(k & 1);
    if (kind != 'f') return (uint64_t)k;
    if (size == 8) return f64;
    if (size == 4) return f32;
    return k == 0 ? 0 : ((f32 >> 23) - 112) << 10 | (f32 >> 13 & 1023); /* exact for small k */
}

static void npy_head(struct bytes *b, int version, const char *dict, size_t claimed)
{
    b->n = 0;
    put(b, "\x93NUMPY", 6);
    little(b, (uint64_t)version, 1);
    little(b, 0, 1);
    little(b, claimed != 0 ? claimed : strlen(dict), version == 1 ? 2 : 4);
    text(b, dict);
}

static void npy(struct bytes *b, int version, const char *dict, const char *type, int count)
{
    npy_head(b, version, dict, 0);
    for (int k = 0; k < count; k++) little(b, number(type[0], type[1] - '0', k), type[1] - '0');
}

/* A header as numpy writes it, but for its spare room. */
static const char *dict_of(const char *descr, const char *shape)
{
    static char s[256];
    int n = snprintf(s, sizeof s, "{'descr': %s, 'fortran_order': False, 'shape': %s, }", descr, shape);
    int pad = 63 - (10 + n) % 64;
    (void)snprintf(s + n, sizeof s - (size_t)n, "%*s\n", pad, "");
    return s;
}

static void npy_good(void)
{
    static const char *const types[] = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"};
    struct bytes b;
    char name[64], descr[16], what[80];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        (void)snprintf(name, sizeof name, "good-%s.npy", types[i]);
        (void)snprintf(descr, sizeof descr, "'%c%s'", types[i][1] == '1' ? '|' : '<', types[i]);
        (void)snprintf(what, sizeof what, "version 1, type %s, shape (2, 3)", types[i]);
        npy(&b, 1, dict_of(descr, "(2, 3)"), types[i], 6);
        save(name, &b, what);
    }
    npy(&b, 2, dict_of("'<f4'", "(2, 3)"), "f4", 6);
    save("good-v2.npy", &b, "version 2: a header length of four bytes");
    npy(&b, 3, dict_of("'<f4'", "(2, 3)"), "f4", 6);
    save("good-v3.npy", &b, "version 3");
    npy(&b, 1, dict_of("'<f8'", "()"), "f8", 1);
    save("good-scalar.npy", &b, "no dimension at all, one element");
    npy(&b, 1, dict_of("'<f4'", "(0, 3)"), "f4", 0);
    save("good-empty.npy", &b, "no rows");
    npy(&b, 1, dict_of("'<i8'", "(4,)"), "i8", 4);
    save("good-vector.npy", &b, "one dimension");
    npy(&b, 1, "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<i4\"}", "i4", 6);
    save("good-foreign.npy", &b, "another writer's header: other order, other quotes, no padding");
    npy(&b, 1, "{'descr': '<i4', 'fortran_order': True, 'shape': (3,), }\n", "i4", 3);
    save("good-fortran-vector.npy", &b, "Fortran order, which means nothing for one dimension");
    npy(&b, 1, dict_of("'<u2'", "(2L, 3L)"), "u2", 6);
    save("good-python2.npy", &b, "dimensions written by Python 2");
    npy(&b, 1, dict_of("'>i1'", "(2, 3)"), "i1", 6);
    save("good-single-bytes.npy", &b, "big-endian bytes, which are just bytes");
}

static void npy_bad(void)
{
    struct bytes b = {0};
    save("bad-empty-file.npy", &b, "no bytes");
    npy(&b, 1, dict_of("'<f4'", "(2, 3)"), "f4", 6);
    b.data[1] = 'n';
    save("bad-magic.npy", &b, "the magic is wrong");
    b.data[1] = 'N';
    b.n = 90;
    save("bad-truncated-header.npy", &b, "ends inside the header");
    b.n = 5;
    save("bad-truncated-magic.npy", &b, "ends inside the magic");
    npy(&b, 1, dict_of("'<f4'", "(2, 3)"), "f4", 5);
    save("bad-truncated-data.npy", &b, "one element is missing");
    npy(&b, 1, dict_of("'<f4'", "(2, 3)"), "f4", 7);
    save("bad-trailing.npy", &b, "one element too many");
    npy_head(&b, 2, dict_of("'<f4'", "(2, 3)"), 0xfffffff0u);
    save("bad-header-length.npy", &b, "claims a header of 4 GiB");
    static const char *const wrong[][3] = {
        {"bad-header-syntax.npy", "{'descr': '<f4', 'fortran_order': False 'shape': (1,)}\n", "a comma is missing"},
        {"bad-header-list.npy", "['<f4', False, (1,)]\n", "the header is no dictionary"},
        {"bad-header-missing-shape.npy", "{'descr': '<f4', 'fortran_order': False}\n", "no shape"},
        {"bad-header-key-twice.npy", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n",
         "a key twice"},
        {"bad-header-key-unknown.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}\n",
         "a key that no array has"},
        {"bad-header-order.npy", "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}\n", "fortran_order is a number"},
        {"bad-header-tail.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x\n",
         "something behind the dictionary"},
        {"bad-shape-negative.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n", "a negative dimension"},
        {"bad-shape-number.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}\n", "(1) is no tuple in Python"},
        {"bad-shape-overflow.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}\n",
         "2^64 elements"},
        {"bad-shape-digits.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}\n",
         "a dimension beyond 64 bits"},
        {"bad-shape-huge.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000)}\n",
         "four petabytes in a file of one hundred bytes"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        npy(&b, 1, wrong[i][1], "f4", 1);
        save(wrong[i][0], &b, wrong[i][2]);
    }
    npy(&b, 1, dict_of("'|b1'", "(2,)"), "i1", 1);
    little(&b, 2, 1);
    save("bad-bool.npy", &b, "a bool that is 2");
}

static void npy_unsupported(void)
{
    static const char *const types[][3] = {
        {"unsupported-big-endian.npy", "'>f4'", "big-endian floats"},
        {"unsupported-complex.npy", "'<c8'", "complex numbers"},
        {"unsupported-object.npy", "'|O'", "Python objects"},
        {"unsupported-string.npy", "'<U8'", "strings"},
        {"unsupported-datetime.npy", "'<M8[ns]'", "points in time"},
        {"unsupported-structured.npy", "[('a', '<f4'), ('b', '<i4')]", "records"},
    };
    struct bytes b;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        npy(&b, 1, dict_of(types[i][1], "(1,)"), "f8", 1);
        save(types[i][0], &b, types[i][2]);
    }
    npy(&b, 1, dict_of("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "f4", 1);
    save("unsupported-rank-9.npy", &b, "nine dimensions");
    npy(&b, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", "f4", 6);
    save("unsupported-fortran.npy", &b, "Fortran order");
    npy(&b, 9, dict_of("'<f4'", "(2, 3)"), "f4", 6);
    save("unsupported-version-9.npy", &b, "a version that does not exist yet");
}

static uint32_t crc32(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

struct member {
    const char *name;
    struct bytes content;
    unsigned method, flags; /* 0 stored, 8 deflated (here: one uncompressed deflate block) */
    uint32_t spoil;         /* is added to the checksum */
    uint32_t claim;         /* unpacked size to claim, or 0 */
};

static void zip(struct bytes *z, const struct member *m, size_t count)
{
    struct bytes directory = {0};
    z->n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bytes *c = &m[i].content;
        uint32_t crc = crc32(c->data, c->n) + m[i].spoil, start = (uint32_t)z->n;
        size_t packed = c->n + (m[i].method == 8 ? 5 : 0), claim = m[i].claim != 0 ? m[i].claim : c->n;
        struct bytes fields = {0}; /* what both headers share */
        little(&fields, 20, 2);
        little(&fields, m[i].flags, 2);
        little(&fields, m[i].method, 2);
        little(&fields, 0, 2);
        little(&fields, 33, 2); /* 1 January 1980 */
        little(&fields, crc, 4);
        little(&fields, packed, 4);
        little(&fields, claim, 4);
        little(&fields, strlen(m[i].name), 2);
        little(&fields, 0, 2);
        text(z, "PK\3\4");
        put(z, fields.data, fields.n);
        text(z, m[i].name);
        if (m[i].method == 8) {
            little(z, 1, 1);
            little(z, c->n, 2);
            little(z, ~(uint64_t)c->n & 0xffff, 2);
        }
        put(z, c->data, c->n);
        text(&directory, "PK\1\2");
        little(&directory, 20, 2);
        put(&directory, fields.data, fields.n);
        little(&directory, 0, 10); /* comment, disk, attributes */
        little(&directory, start, 4);
        text(&directory, m[i].name);
    }
    size_t start = z->n;
    put(z, directory.data, directory.n);
    text(z, "PK\5\6");
    little(z, 0, 4);
    little(z, count, 2);
    little(z, count, 2);
    little(z, directory.n, 4);
    little(z, start, 4);
    little(z, 0, 2);
}

static void npz_all(void)
{
    struct bytes z;
    struct member m[2] = {{.name = "x.npy"}, {.name = "labels.npy"}};
    begin("npz");
    npy(&m[0].content, 1, dict_of("'<f4'", "(2, 3)"), "f4", 6);
    npy(&m[1].content, 1, dict_of("'<i8'", "(2,)"), "i8", 2);
    zip(&z, m, 1);
    save("good-stored.npz", &z, "one array, stored");
    z.n -= 30;
    save("bad-truncated.npz", &z, "ends inside the zip directory");
    zip(&z, m, 2);
    save("good-two.npz", &z, "two arrays: x and labels");
    m[0].method = 8;
    zip(&z, m, 1);
    save("good-deflated.npz", &z, "one array, deflated");
    m[0].spoil = 1;
    zip(&z, m, 1);
    save("bad-crc.npz", &z, "the member's checksum is wrong");
    m[0].spoil = 0;
    m[0].claim = 0xf0000000u;
    zip(&z, m, 1);
    save("bad-size.npz", &z, "the member claims to unpack to 4 GiB");
    m[0].claim = 0;
    m[0].method = 77;
    zip(&z, m, 1);
    save("unsupported-method.npz", &z, "a packing method that nobody has");
    m[0].method = 0;
    m[0].flags = 1;
    zip(&z, m, 1);
    save("unsupported-encrypted.npz", &z, "encrypted");
    m[0].flags = 0;
    m[0].content.n -= 4;
    zip(&z, m, 1);
    save("bad-member.npz", &z, "the archive is whole, its array is cut short");
    m[0].name = "x.txt";
    zip(&z, m, 1);
    save("bad-no-array.npz", &z, "a zip archive without arrays");
    zip(&z, m, 0);
    save("bad-no-member.npz", &z, "an empty zip archive");
}

static void idx(struct bytes *b, unsigned type, int rank, const uint32_t *dim)
{
    b->n = 0;
    big(b, type << 8 | (unsigned)rank, 4);
    for (int i = 0; i < rank; i++) big(b, dim[i], 4);
}

static void idx_all(void)
{
    static const struct {
        unsigned code;
        char name[4];
    } types[] = {{0x08, "u1"}, {0x09, "i1"}, {0x0B, "i2"}, {0x0C, "i4"}, {0x0D, "f4"}, {0x0E, "f8"}};
    struct bytes b = {0};
    const uint32_t dim[9] = {2, 2, 3, 1, 1, 1, 1, 1, 1}, huge[3] = {0xffffffffu, 0xffffffffu, 16}, large[2] = {0xffffffffu, 16};
    begin("idx");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[64], what[64];
        int size = types[i].name[1] - '0';
        idx(&b, types[i].code, 3, dim);
        for (int k = 0; k < 12; k++) big(&b, number(types[i].name[0], size, k), size);
        (void)snprintf(name, sizeof name, "good-%s.idx", types[i].name);
        (void)snprintf(what, sizeof what, "type %02X, shape (2, 2, 3)", types[i].code);
        save(name, &b, what);
    }
    b.n -= 8;
    save("bad-truncated-data.idx", &b, "one element is missing");
    b.n += 16;
    save("bad-trailing.idx", &b, "one element too many");
    b.n = 9;
    save("bad-truncated-header.idx", &b, "ends inside the dimensions");
    b.n = 3;
    save("bad-truncated-magic.idx", &b, "ends inside the magic");
    idx(&b, 0x0A, 3, dim);
    big(&b, 0, 8);
    save("bad-type.idx", &b, "an element type that does not exist");
    idx(&b, 0x0D, 3, huge);
    save("bad-shape-overflow.idx", &b, "2^68 elements");
    idx(&b, 0x0D, 2, large);
    save("bad-shape-huge.idx", &b, "256 GiB in a file of twelve bytes");
    idx(&b, 0x08, 9, dim);
    big(&b, 0, 12);
    save("unsupported-rank-9.idx", &b, "nine dimensions");
}

static void csv_all(void)
{
    static const char *const files[][3] = {
        {"good-plain.csv", "0,1,2\n3,4,5\n", "commas"},
        {"good-header.csv", "a,b,c\n0,1,2\n3,4,5\n", "a line of names first"},
        {"good-quoted-header.csv", "\"a, b\",\"c \"\"d\"\"\"\n0,1\n2,3\n", "names with separators and quotes inside"},
        {"good-semicolon.csv", "x;y\n0.0;1e0\n2;+3.\n", "semicolons, numbers in several notations"},
        {"good-tab.csv", "0\t1\t2\n3\t4\t5\n", "tabs"},
        {"good-space.csv", "0.000e+00 1.000e+00\n2.000e+00  3.000e+00 \n", "spaces, as numpy.savetxt writes"},
        {"good-quoted.csv", "\"0\",\"1\"\n\"2\" , 3\n", "numbers in quotes"},
        {"good-crlf.csv", "0,1\r\n2,3\r\n", "lines end in CR LF"},
        {"good-comments.csv", "# made by hand\n0,1\n# in between\n2,3\n\n\n", "comments, and empty lines at the end"},
        {"good-one-column.csv", "label\n0\n1\n2\n", "one number a line"},
        {"good-no-final-newline.csv", "0,1\n2,3", "the last line has no end"},
        {"good-bom.csv", "\xEF\xBB\xBF" "a,b\n0,1\n2,3\n", "begins with a byte order mark"},
        {"good-one-row.csv", "0,1,2\n", "one sample"},
        {"bad-empty-file.csv", "", "no bytes"},
        {"bad-only-header.csv", "a,b,c\n", "no sample"},
        {"bad-only-comments.csv", "# nothing\n\n", "no sample"},
        {"bad-prose.csv", "Once upon a time\nthere was a network\n", "no numbers"},
        {"bad-short-row.csv", "0,1,2\n3,4\n", "a field is missing in line 2"},
        {"bad-long-row.csv", "0,1\n2,3,4\n", "a field too many in line 2"},
        {"bad-header-fields.csv", "a,b\n0,1,2\n", "more fields than names"},
        {"bad-word.csv", "0,1\n2,three\n", "a word among the numbers"},
        {"bad-first-line.csv", "0,x\n1,2\n", "neither names nor numbers"},
        {"bad-nan.csv", "0,1\n2,NaN\n", "not a number"},
        {"bad-infinite.csv", "0,1\n-inf,3\n", "infinity"},
        {"bad-too-large.csv", "0,1\n2,1e39\n", "too large for float32"},
        {"bad-empty-field.csv", "0,1\n2,\n", "an empty field"},
        {"bad-empty-line.csv", "0,1\n\n2,3\n", "an empty line between lines"},
        {"bad-decimal-comma.csv", "0,5;1,5\n2,5;3,5\n", "decimal commas"},
        {"bad-quote.csv", "0,\"1\n2,3\n", "a quote that is not closed"},
        {"bad-hexadecimal.csv", "0,1\n2,0x3\n", "a hexadecimal number"},
    };
    struct bytes b = {0};
    begin("csv");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        b.n = 0;
        text(&b, files[i][1]);
        save(files[i][0], &b, files[i][2]);
    }
    b.n = 0;
    put(&b, "\xFF\xFE" "0\0,\0" "1\0\n\0", 10);
    save("bad-utf16.csv", &b, "UTF-16");
    b.n = 0;
    put(&b, "\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20);
    save("unsupported-gzip.csv", &b, "compressed by gzip");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make-input-fixtures testdata\n");
        return 2;
    }
    root = argv[1];
    begin("npy");
    npy_good();
    npy_bad();
    npy_unsupported();
    npz_all();
    idx_all();
    csv_all();
    return fflush(stdout) != 0;
}
