/* The proof-of-work loop in C: the first nonce of a range with which a header meets its target.
 *
 *     scan(header, target, first, count, loop) -> nonce or None
 *
 * SHA-256 is FIPS 180-4. A header is 80 bytes, two blocks of 64, and its hash is SHA-256 of SHA-256. Between two nonces
 * only the fourth word of the second block differs, so all that does not depend on it is computed once a call: the
 * first block, three rounds of the second and some of its schedule. The second hash stops at round 60, which yields
 * the top word of the hash as a number; that word alone rules out all but one in 2^32 nonces of a hard target. The rest
 * are hashed again in full, by the plain code, and compared as 256-bit numbers before they are reported.
 *
 * Three loops, and which of them can run is found out when the module is loaded: x86's SHA instructions; eight nonces
 * side by side in AVX2's registers; and the same in whatever the compiler has for every processor ("portable": four
 * lanes in SSE2 or NEON). Functions carry their own target attributes, so no flags of the compiler are needed.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define X86 1
#endif

#define HEADER_SIZE 80
#define HASH_SIZE 32
#define NONCES ((int64_t)1 << 32)
/* A call takes about 50 ms at 20 million hashes a second, so that it always ends soon. */
#define MOST_NONCES (1 << 20)
#define INLINE static inline __attribute__((always_inline))

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* Of FIPS 180-4, for a word and for several words side by side alike. */
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define SIGMA0(x) (ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x) >> 3)
#define SIGMA1(x) (ROTATE(x, 17) ^ ROTATE(x, 19) ^ (x) >> 10)
#define SUM0(x) (ROTATE(x, 2) ^ ROTATE(x, 13) ^ ROTATE(x, 22))
#define SUM1(x) (ROTATE(x, 6) ^ ROTATE(x, 11) ^ ROTATE(x, 25))
#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

/* Round `t`. Instead of moving eight variables along, it counts them backwards: state[-t & 7] is `a`. */
#define ROUND(type, state, t, word)                                                                    \
    do {                                                                                               \
        type *d_ = &(state)[(3 - (t)) & 7], *h_ = &(state)[(7 - (t)) & 7];                             \
        type e_ = (state)[(4 - (t)) & 7], a_ = (state)[-(t) & 7];                                      \
        *h_ += SUM1(e_) + CHOOSE(e_, (state)[(5 - (t)) & 7], (state)[(6 - (t)) & 7]) + K[t] + (word);  \
        *d_ += *h_;                                                                                    \
        *h_ += SUM0(a_) + MAJORITY(a_, (state)[(1 - (t)) & 7], (state)[(2 - (t)) & 7]);                \
    } while (0)

/* Word `t` of the schedule, from 16 on, in a ring of the last 16. */
#define SCHEDULE(w, t) \
    ((w)[(t) & 15] += SIGMA1((w)[((t) - 2) & 15]) + (w)[((t) - 7) & 15] + SIGMA0((w)[((t) - 15) & 15]))

/* Work that is the same for every nonce of a call. */
typedef struct {
    uint32_t midstate[8]; /* after the header's first 64 bytes */
    uint32_t tail[3];     /* the next 12 bytes; the nonce follows */
    uint32_t target[8];   /* as a number, its least word first */
} Job;

/* The first of `count` nonces from `first` on whose hash may be the target or less by its top word, or -1. */
typedef int64_t Find(const Job *, uint32_t first, uint32_t count);

typedef struct {
    const char *name;
    Find *find;
} Loop;

static uint32_t read_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void compress(uint32_t state[8], const uint32_t block[16])
{
    uint32_t w[16], s[8];
    memcpy(w, block, sizeof w);
    memcpy(s, state, sizeof s);
    for (int t = 0; t < 64; t++)
        ROUND(uint32_t, s, t, t < 16 ? w[t] : SCHEDULE(w, t));
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

/* Whether the whole hash, as a number, is the target or less. */
static int meets_target(const Job *job, uint32_t nonce)
{
    const uint32_t end[16] = {job->tail[0], job->tail[1], job->tail[2], __builtin_bswap32(nonce), 0x80000000,
                              [15] = HEADER_SIZE * 8};
    uint32_t again[16] = {[8] = 0x80000000, [15] = HASH_SIZE * 8}, hash[8];
    memcpy(again, job->midstate, sizeof job->midstate);
    compress(again, end);
    memcpy(hash, START, sizeof hash);
    compress(hash, again);
    for (int i = 7; i >= 0; i--) {
        uint32_t word = __builtin_bswap32(hash[i]);
        if (word != job->target[i])
            return word < job->target[i];
    }
    return 1;
}

/* ---- several nonces side by side ------------------------------------------------------------ */

#define LANES 8
typedef uint32_t Lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));

INLINE int64_t find_in_lanes(const Job *job, uint32_t first, uint32_t count)
{
    uint32_t before[8];
    memcpy(before, job->midstate, sizeof before);
    for (int t = 0; t < 3; t++)
        ROUND(uint32_t, before, t, job->tail[t]);

    for (uint32_t done = 0; done < count; done += LANES) {
        Lanes s[8] = {{0}}, w[16] = {{0}};
        for (int i = 0; i < 8; i++)
            s[i] += before[i];
        for (int i = 0; i < 3; i++)
            w[i] += job->tail[i];
        for (uint32_t lane = 0; lane < LANES; lane++)
            w[3][lane] = __builtin_bswap32(first + done + lane);
        w[4] += 0x80000000;
        w[15] += HEADER_SIZE * 8;
#pragma GCC unroll 64
        for (int t = 3; t < 64; t++)
            ROUND(Lanes, s, t, t < 16 ? w[t] : SCHEDULE(w, t));

        for (int i = 0; i < 8; i++) {
            w[i] = s[i] + job->midstate[i];
            s[i] = (Lanes){0} + START[i];
            w[i + 8] = (Lanes){0};
        }
        w[8] += 0x80000000;
        w[15] += HASH_SIZE * 8;
#pragma GCC unroll 64
        for (int t = 0; t < 61; t++)
            ROUND(Lanes, s, t, t < 16 ? w[t] : SCHEDULE(w, t));

        /* What is `e` after round 60 is `h` after the last. */
        Lanes top = s[(4 - 61) & 7] + START[7];
        for (uint32_t lane = 0; lane < LANES && done + lane < count; lane++)
            if (__builtin_bswap32(top[lane]) <= job->target[7])
                return done + lane;
    }
    return -1;
}

static int64_t find_portable(const Job *job, uint32_t first, uint32_t count)
{
    return find_in_lanes(job, first, count);
}

#ifdef X86

__attribute__((target("avx2"))) static int64_t find_avx2(const Job *job, uint32_t first, uint32_t count)
{
    return find_in_lanes(job, first, count);
}

/* ---- x86's SHA instructions ----------------------------------------------------------------- */

/* Two nonces at a time, their instructions mixed: one alone would wait for its own results. */
#define STREAMS 2
#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))
#define EACH_STREAM _Pragma("GCC unroll 4") for (int i = 0; i < STREAMS; i++)

/* The state as the instructions want it, from the highest lane down. */
typedef struct {
    __m128i abef, cdgh;
} Halves;

SHA_NI INLINE Halves halves_of(const uint32_t s[8])
{
    return (Halves){_mm_set_epi32((int)s[0], (int)s[1], (int)s[4], (int)s[5]),
                    _mm_set_epi32((int)s[2], (int)s[3], (int)s[6], (int)s[7])};
}

/* The lower two lanes are the sums of words and constants. */
SHA_NI INLINE void two_rounds(Halves *s, __m128i sums)
{
    __m128i abef = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sums);
    s->cdgh = s->abef;
    s->abef = abef;
}

SHA_NI INLINE __m128i with_constants(__m128i words, int t)
{
    return _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)&K[t]));
}

SHA_NI INLINE void four_rounds(Halves *s, __m128i words, int t)
{
    __m128i sums = with_constants(words, t);
    two_rounds(s, sums);
    two_rounds(s, _mm_shuffle_epi32(sums, 0x0e));
}

/* The four words after the sixteen of `a`, `b`, `c` and `d`. */
SHA_NI INLINE __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)), d);
}

SHA_NI static int64_t find_sha_ni(const Job *job, uint32_t first, uint32_t count)
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i marker = _mm_set_epi32(0, 0, 0, (int)0x80000000);
    const __m128i header_bits = _mm_set_epi32(HEADER_SIZE * 8, 0, 0, 0);
    const __m128i hash_bits = _mm_set_epi32(HASH_SIZE * 8, 0, 0, 0);
    const __m128i tail = _mm_set_epi32(0, (int)job->tail[2], (int)job->tail[1], (int)job->tail[0]);
    const Halves midstate = halves_of(job->midstate), start = halves_of(START);
    Halves before = midstate;
    two_rounds(&before, with_constants(tail, 0));
    /* Words 16 and 17 do not depend on the nonce, so neither does what they add to 18 and 19, */
    const __m128i words16 = next_words(tail, marker, zero, header_bits);
    const __m128i nearly16 = _mm_sub_epi32(words16, _mm_sha256msg1_epu32(tail, marker));
    /* and of the words up to 31 some sums are constants. */
    const __m128i nearly20 = _mm_add_epi32(marker, _mm_alignr_epi8(words16, header_bits, 4));
    const __m128i nearly28 = _mm_sha256msg1_epu32(header_bits, words16);

    for (uint32_t done = 0; done < count; done += STREAMS) {
        Halves s[STREAMS];
        __m128i w[4][STREAMS]; /* a ring of the last 16 words of each */
        EACH_STREAM {
            s[i] = before;
            w[0][i] = _mm_insert_epi32(tail, (int)__builtin_bswap32(first + done + (uint32_t)i), 3);
            two_rounds(&s[i], _mm_shuffle_epi32(with_constants(w[0][i], 0), 0x0e));
        }
        EACH_STREAM four_rounds(&s[i], marker, 4);
        EACH_STREAM four_rounds(&s[i], zero, 8);
        EACH_STREAM four_rounds(&s[i], header_bits, 12);
        EACH_STREAM {
            w[0][i] = _mm_add_epi32(nearly16, _mm_sha256msg1_epu32(w[0][i], marker));
            four_rounds(&s[i], w[0][i], 16);
        }
        EACH_STREAM {
            w[1][i] = _mm_sha256msg2_epu32(nearly20, w[0][i]);
            four_rounds(&s[i], w[1][i], 20);
        }
        EACH_STREAM {
            w[2][i] = _mm_sha256msg2_epu32(_mm_alignr_epi8(w[1][i], w[0][i], 4), w[1][i]);
            four_rounds(&s[i], w[2][i], 24);
        }
        EACH_STREAM {
            w[3][i] = _mm_add_epi32(nearly28, _mm_alignr_epi8(w[2][i], w[1][i], 4));
            w[3][i] = _mm_sha256msg2_epu32(w[3][i], w[2][i]);
            four_rounds(&s[i], w[3][i], 28);
        }
#pragma GCC unroll 8
        for (int q = 8; q < 16; q++)
            EACH_STREAM {
                w[q & 3][i] = next_words(w[q & 3][i], w[(q + 1) & 3][i], w[(q + 2) & 3][i], w[(q + 3) & 3][i]);
                four_rounds(&s[i], w[q & 3][i], 4 * q);
            }

        EACH_STREAM {
            __m128i abef = _mm_add_epi32(s[i].abef, midstate.abef), cdgh = _mm_add_epi32(s[i].cdgh, midstate.cdgh);
            w[0][i] = _mm_shuffle_epi32(_mm_unpackhi_epi64(abef, cdgh), 0xb1);
            w[1][i] = _mm_shuffle_epi32(_mm_unpacklo_epi64(abef, cdgh), 0xb1);
            w[2][i] = marker;
            w[3][i] = hash_bits;
            s[i] = start;
        }
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++)
            EACH_STREAM four_rounds(&s[i], w[q][i], 4 * q);
#pragma GCC unroll 12
        for (int q = 4; q < 16; q++)
            EACH_STREAM {
                w[q & 3][i] = next_words(w[q & 3][i], w[(q + 1) & 3][i], w[(q + 2) & 3][i], w[(q + 3) & 3][i]);
                if (q < 15)
                    four_rounds(&s[i], w[q & 3][i], 4 * q);
                else /* what is `e` after round 60 is `f` after the next, and `h` after the last */
                    two_rounds(&s[i], with_constants(w[q & 3][i], 4 * q));
            }

        EACH_STREAM {
            uint32_t top = (uint32_t)_mm_cvtsi128_si32(s[i].abef) + START[7];
            if (__builtin_bswap32(top) <= job->target[7] && done + (uint32_t)i < count)
                return done + i;
        }
    }
    return -1;
}
#endif

/* ---- for Python ----------------------------------------------------------------------------- */

/* Best first; the last runs everywhere. */
static const Loop LOOPS[] = {
#ifdef X86
    {"sha-ni", find_sha_ni},
    {"avx2", find_avx2},
#endif
    {"portable", find_portable},
};
#define LOOPS_COUNT (sizeof LOOPS / sizeof *LOOPS)

typedef struct {
    int runs[LOOPS_COUNT]; /* whether this processor has what the loop needs */
} Module;

static void ask_processor(Module *module)
{
    for (size_t i = 0; i < LOOPS_COUNT; i++)
        module->runs[i] = 1;
#ifdef X86
    unsigned a, b, c, d, has = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        has = b;
    __builtin_cpu_init();
    module->runs[0] = has >> 29 & 1 && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
    module->runs[1] = __builtin_cpu_supports("avx2") != 0;
#endif
}

static const Loop *loop_named(const Module *module, const char *name)
{
    for (size_t i = 0; i < LOOPS_COUNT; i++)
        if (module->runs[i] && strcmp(LOOPS[i].name, name) == 0)
            return &LOOPS[i];
    PyErr_Format(PyExc_ValueError, "this processor has no loop %.20s", name);
    return NULL;
}

/* Raises ValueError and returns 0 where a number of nonces, or their end, is out of range. */
static int check_range(long long first, long long count)
{
    if (first < 0 || first >= NONCES)
        PyErr_SetString(PyExc_ValueError, "the first nonce must be from 0 to 2^32 - 1");
    else if (count < 0 || count > MOST_NONCES)
        PyErr_Format(PyExc_ValueError, "the nonces of one call must be from 0 to %d", MOST_NONCES);
    return !PyErr_Occurred();
}

static void make_job(Job *job, const uint8_t *header, const uint8_t *target)
{
    uint32_t block[16];
    for (int i = 0; i < 16; i++)
        block[i] = read_be32(header + 4 * i);
    memcpy(job->midstate, START, sizeof START);
    compress(job->midstate, block);
    for (int i = 0; i < 3; i++)
        job->tail[i] = read_be32(header + 64 + 4 * i);
    for (int i = 0; i < 8; i++)
        job->target[i] = __builtin_bswap32(read_be32(target + 4 * i));
}

static int64_t find(const Loop *loop, const Job *job, uint32_t first, uint32_t count)
{
    uint32_t done = 0;
    while (done < count) {
        int64_t found = loop->find(job, first + done, count - done);
        if (found < 0)
            return -1;
        done += (uint32_t)found;
        if (meets_target(job, first + done))
            return (int64_t)first + done;
        done++;
    }
    return -1;
}

PyDoc_STRVAR(scan_doc,
             "scan(header, target, first, count, loop, /)\n--\n\n"
             "The first nonce from `first` on, after at most `count` tries, with which the header's hash is `target` or\n"
             "less; None if there is none. Nonces end at 2^32 - 1, whatever `count` says.\n\n"
             "`header` is 80 bytes, and the nonce in it does not matter; `target` is a number of 32 bytes, little-endian;\n"
             "`loop` is one of LOOPS. Other threads run meanwhile. Raises ValueError, TypeError, OverflowError.");

static PyObject *scan(PyObject *self, PyObject *arguments)
{
    Py_buffer header, target;
    long long first, count;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "y*y*LLs:scan", &header, &target, &first, &count, &name))
        return NULL;
    const Loop *loop = NULL;
    Job job;
    if (header.len != HEADER_SIZE)
        PyErr_SetString(PyExc_ValueError, "a header has 80 bytes");
    else if (target.len != HASH_SIZE)
        PyErr_SetString(PyExc_ValueError, "a target has 32 bytes");
    else if (check_range(first, count) && (loop = loop_named(PyModule_GetState(self), name)))
        make_job(&job, header.buf, target.buf);
    PyBuffer_Release(&header);
    PyBuffer_Release(&target);
    if (!loop)
        return NULL;

    if (count > NONCES - first)
        count = NONCES - first;
    int64_t nonce;
    Py_BEGIN_ALLOW_THREADS
    nonce = find(loop, &job, (uint32_t)first, (uint32_t)count);
    Py_END_ALLOW_THREADS
    if (nonce < 0)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(nonce);
}

static int execute(PyObject *self)
{
    Module *module = PyModule_GetState(self);
    ask_processor(module);
    PyObject *names = PyList_New(0);
    if (!names)
        return -1;
    for (size_t i = 0; i < LOOPS_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(LOOPS[i].name);
        int failed = !name || (module->runs[i] && PyList_Append(names, name) < 0);
        Py_XDECREF(name);
        if (failed) {
            Py_DECREF(names);
            return -1;
        }
    }
    PyObject *loops = PyList_AsTuple(names);
    Py_DECREF(names);
    int failed = PyModule_AddObjectRef(self, "LOOPS", loops); /* of NULL: an error too */
    Py_XDECREF(loops);
    return failed < 0 ? -1 : PyModule_AddIntConstant(self, "MOST_NONCES", MOST_NONCES);
}

static PyMethodDef METHODS[] = {{"scan", scan, METH_VARARGS, scan_doc}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, execute}, {0, NULL}};
static struct PyModuleDef DEFINITION = {
    PyModuleDef_HEAD_INIT,
    .m_name = "node.mining._hashloop",
    .m_doc = "The proof-of-work loop in C. LOOPS: those that run on this processor, best first.",
    .m_size = sizeof(Module),
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__hashloop(void)
{
    return PyModuleDef_Init(&DEFINITION);
}
