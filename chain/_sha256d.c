/* SHA-256 twice, for processors with SHA instructions: sha256d(message) -> 32 bytes.
 *
 * A transaction is hashed eight times on its way into the chain, each time for 30 to 200 bytes, and hashlib spends most
 * of each call on setting itself up. SHA-256 is FIPS 180-4. Where the processor, or the compiler, has no such
 * instructions, importing this fails and hashlib does the work.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

#define BLOCK_SIZE 64
#define HASH_SIZE 32
#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t K[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The state between blocks as the instructions want it: words a, b, e, f and c, d, g, h, from the highest lane down. */
typedef struct {
    __m128i abef, cdgh;
} State;

SHA_NI static State start(void)
{
    return (State){_mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c),
                   _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19)};
}

SHA_NI static State compress(State state, const uint8_t *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i w[4]; /* a ring of the last 16 words of the schedule */
    State s = state;
    for (int i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + i), big_endian);
#pragma GCC unroll 16
    for (int q = 0; q < 16; q++) { /* four rounds each */
        __m128i *oldest = &w[q & 3], latest = w[(q + 3) & 3];
        if (q >= 4) {
            __m128i sum = _mm_sha256msg1_epu32(*oldest, w[(q + 1) & 3]);
            sum = _mm_add_epi32(sum, _mm_alignr_epi8(latest, w[(q + 2) & 3], 4));
            *oldest = _mm_sha256msg2_epu32(sum, latest);
        }
        __m128i words = _mm_add_epi32(*oldest, _mm_load_si128((const __m128i *)K + q));
        s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, words);
        s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(words, 0x0e));
    }
    return (State){_mm_add_epi32(s.abef, state.abef), _mm_add_epi32(s.cdgh, state.cdgh)};
}

/* The message's last bytes, a one bit, zeros and its length in bits make one block more, or two. */
SHA_NI static void sha256(const uint8_t *message, size_t size, uint8_t hash[HASH_SIZE])
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const uint8_t *whole_end = message + size / BLOCK_SIZE * BLOCK_SIZE;
    size_t rest = size % BLOCK_SIZE, padded = rest + 9 <= BLOCK_SIZE ? BLOCK_SIZE : 2 * BLOCK_SIZE;
    uint64_t bits = __builtin_bswap64((uint64_t)size * 8);
    uint8_t tail[2 * BLOCK_SIZE] = {0};
    if (rest)
        memcpy(tail, whole_end, rest);
    tail[rest] = 0x80;
    memcpy(tail + padded - sizeof bits, &bits, sizeof bits);

    State state = start();
    for (const uint8_t *block = message; block != whole_end; block += BLOCK_SIZE)
        state = compress(state, block);
    for (const uint8_t *block = tail; block != tail + padded; block += BLOCK_SIZE)
        state = compress(state, block);
    __m128i abcd = _mm_shuffle_epi32(_mm_unpackhi_epi64(state.abef, state.cdgh), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_unpacklo_epi64(state.abef, state.cdgh), 0xb1);
    _mm_storeu_si128((__m128i *)hash, _mm_shuffle_epi8(abcd, big_endian));
    _mm_storeu_si128((__m128i *)hash + 1, _mm_shuffle_epi8(efgh, big_endian));
}

static int is_supported(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 && __builtin_cpu_supports("sse4.1") &&
           __builtin_cpu_supports("ssse3");
}

#else
#define HASH_SIZE 32
static void sha256(const uint8_t *message, size_t size, uint8_t *hash) {}
static int is_supported(void)
{
    return 0;
}
#endif

PyDoc_STRVAR(sha256d_doc, "sha256d(message, /)\n--\n\nSHA-256 of SHA-256 of the bytes, 32 bytes. Raises TypeError.");

static PyObject *sha256d(PyObject *self, PyObject *message)
{
    Py_buffer bytes;
    uint8_t once[HASH_SIZE];
    if (PyObject_GetBuffer(message, &bytes, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *twice = PyBytes_FromStringAndSize(NULL, HASH_SIZE);
    if (twice) {
        sha256(bytes.buf, (size_t)bytes.len, once);
        sha256(once, HASH_SIZE, (uint8_t *)PyBytes_AS_STRING(twice));
    }
    PyBuffer_Release(&bytes);
    return twice;
}

static int execute(PyObject *module)
{
    if (!is_supported())
        PyErr_SetString(PyExc_ImportError, "this processor has no SHA instructions");
    return PyErr_Occurred() ? -1 : 0;
}

static PyMethodDef METHODS[] = {{"sha256d", sha256d, METH_O, sha256d_doc}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, execute}, {0, NULL}};
static struct PyModuleDef DEFINITION = {
    PyModuleDef_HEAD_INIT,
    .m_name = "chain._sha256d",
    .m_doc = "SHA-256 twice, in the processor's own instructions.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__sha256d(void)
{
    return PyModuleDef_Init(&DEFINITION);
}
