// Products of matrices in bfloat16, with sums in float32: the layouts of both factors, and the block that is summed in
// registers, by AMX, by AVX-512 BF16, or with AVX2 by float32 products of the rounded factors.
//
// Both factors are packed into tiles. A tile of the left factor has 16 rows of 32 numbers; tiles follow each other along
// a row of the matrix. A tile of the right factor has 32 lines of LANES columns, two lines side by side: the pair of
// numbers that one instruction multiplies and adds. A strip is two right tiles side by side for each 32 lines. In the last
// tiles, numbers past the width and lines past the last are zero; left rows past the last may hold anything, and so may
// their sums. Each element is summed in the same order, whatever the block's size.
#pragma once
#include "product.h"

namespace {

// Numbers in bfloat16: the upper 16 bits of a float32.
typedef uint16_t Half;
typedef Half Halves __attribute__((vector_size(2 * LANES)));
typedef Half UnalignedHalves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

INLINE Halves load(const Half* p) { return *(const UnalignedHalves*)p; }
INLINE Int widened(Halves h) {
#if LANES == 16
    return (Int)_mm512_cvtepu16_epi32((__m256i)h);
#elif LANES == 8
    return (Int)_mm256_cvtepu16_epi32((__m128i)h);
#else
    return __builtin_convertvector(h, Int);
#endif
}
// The numbers in the lower half of each lane.
INLINE Vec even_of(Int pairs) { return (Vec)(pairs << 16); }

const long DEPTH = 32;             // numbers of a left tile's row, lines of a right tile
const long TILE_ROWS = 16;         // of a left tile
const long LEFT = TILE_ROWS * DEPTH, RIGHT = DEPTH * LANES;  // numbers of a tile
const long STRIP = 2 * LANES;      // columns of a strip
const long BLOCK = 2 * TILE_ROWS;  // rows of a block

INLINE long tiles(long k) { return ceil_div(k, DEPTH); }
INLINE long padded(long n, long to) { return ceil_div(n, to) * to; }
// Where row m and column k are in a left factor whose rows have `depth` tiles.
INLINE long place(long m, long k, long depth) {
    return (m / TILE_ROWS * depth + k / DEPTH) * LEFT + m % TILE_ROWS * DEPTH + k % DEPTH;
}

typedef int32_t UnalignedInt __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// Rounded to bfloat16, to even where two are as near; NaN stays NaN.
INLINE Halves rounded(Vec v) {
#if defined(__AVX512BF16__)
    return (Halves)_mm512_cvtneps_pbh((__m512)v);
#else
    Int bits = (Int)v;
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    bits = v == v ? bits : Int{} + 0x7fc0;
    return __builtin_convertvector(bits, Halves);
#endif
}
// Two lines side by side.
INLINE Int pair(Halves even, Halves odd) { return widened(even) | (widened(odd) << 16); }
INLINE Vec odd_of(Int pairs) { return (Vec)(pairs & (int32_t)0xffff0000); }

INLINE void store(Half* p, Halves v) { *(UnalignedHalves*)p = v; }
INLINE void store(Half* p, Halves v, long n) {
    if (n >= LANES) return store(p, v);
    for (long k = 0; k < n; k++) p[k] = v[k];
}
INLINE void store(Half* p, Int pairs) { *(UnalignedInt*)p = pairs; }
INLINE Int load_pairs(const Half* p) { return *(const UnalignedInt*)p; }

#if defined(__AMX_BF16__)
// The registers of tiles, for as long as this thread multiplies: 16 rows of 64 bytes each.
class Tiles {
  public:
    Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } configuration;
        for (int n = 0; n < 8; n++) configuration.bytes[n] = 64, configuration.rows[n] = 16;
        // GCC 12 takes the instruction to read eight bytes alone: without a barrier on both sides, what is written to the
        // others could be left out, or overwritten too early.
        asm volatile("" : : "r"(&configuration) : "memory");
        _tile_loadconfig(&configuration);
        asm volatile("" : : "r"(&configuration) : "memory");
    }
    ~Tiles() { _tile_release(); }
};

// sums[m * ld + n] = the block's rows times a strip, over `depth` tiles. `a`: the first left tile of the block, with
// `below` numbers from one row of tiles to the next; `b`: the first right tile, with `step` numbers from a pair to the
// next. Sums are written for whole tiles of rows.
INLINE void product_block(float* sums, long ld, const Half* a, long below, const Half* b, long step, long depth,
                          long rows) {
    const bool both = rows > TILE_ROWS;
    // What was packed must be in memory: GCC does not know that the instructions read it.
    asm volatile("" : : : "memory");
    _tile_zero(0);
    _tile_zero(1);
    if (both) {
        _tile_zero(2);
        _tile_zero(3);
        for (long k = 0; k < depth; k++, a += LEFT, b += step) {
            _tile_loadd(4, a, 64);
            _tile_loadd(5, b, 64);
            _tile_loadd(6, b + RIGHT, 64);
            _tile_loadd(7, a + below, 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 6);
            _tile_dpbf16ps(2, 7, 5);
            _tile_dpbf16ps(3, 7, 6);
        }
        _tile_stored(2, sums + 16 * ld, ld * 4);
        _tile_stored(3, sums + 16 * ld + LANES, ld * 4);
    } else {
        for (long k = 0; k < depth; k++, a += LEFT, b += step) {
            _tile_loadd(4, a, 64);
            _tile_loadd(5, b, 64);
            _tile_loadd(6, b + RIGHT, 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 6);
        }
    }
    _tile_stored(0, sums, ld * 4);
    _tile_stored(1, sums + LANES, ld * 4);
}
#else
struct Tiles {
    ~Tiles() {}  // not trivial, so that no compiler calls it unused
};

template <int M>
INLINE void product_rows_of_block(float* sums, long ld, const Half* a, const Half* b, long step, long depth) {
    Vec own[M][2] = {};
    for (long k = 0; k < depth; k++, a += LEFT, b += step)
        for (long pairs = 0; pairs < DEPTH / 2; pairs++) {
            const Int first = load_pairs(b + pairs * 2 * LANES), second = load_pairs(b + RIGHT + pairs * 2 * LANES);
#if defined(__AVX512BF16__)
            for (int m = 0; m < M; m++) {
                int32_t left;
                memcpy(&left, a + m * DEPTH + pairs * 2, 4);
                const __m512bh both = (__m512bh)_mm512_set1_epi32(left);
                own[m][0] = (Vec)_mm512_dpbf16_ps((__m512)own[m][0], both, (__m512bh)first);
                own[m][1] = (Vec)_mm512_dpbf16_ps((__m512)own[m][1], both, (__m512bh)second);
            }
#else
            for (int m = 0; m < M; m++) {
                int32_t left;
                memcpy(&left, a + m * DEPTH + pairs * 2, 4);
                const Vec even = even_of(Int{} + left), odd = odd_of(Int{} + left);
                own[m][0] += even * even_of(first), own[m][1] += even * even_of(second);
                own[m][0] += odd * odd_of(first), own[m][1] += odd * odd_of(second);
            }
#endif
        }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < 2; n++) store(sums + m * ld + n * LANES, own[m][n]);
}

// As above, but sums are written for the rows alone.
INLINE void product_block(float* sums, long ld, const Half* a, long below, const Half* b, long step, long depth,
                          long rows) {
#if LANES == 16
    const int MOST = 8;  // 16 sums hide the latency of an instruction
#else
    const int MOST = 4;
#endif
    for (long m = 0; m < rows;) {
        const Half* first = a + m / TILE_ROWS * below + m % TILE_ROWS * DEPTH;
        float* c = sums + m * ld;
        const long left = rows - m;
        if (left >= MOST)
            product_rows_of_block<MOST>(c, ld, first, b, step, depth), m += MOST;
        else if (left >= 2)
            product_rows_of_block<2>(c, ld, first, b, step, depth), m += 2;
        else
            product_rows_of_block<1>(c, ld, first, b, step, depth), m += 1;
    }
}
#endif

// Row m of a left factor from `width` numbers of float32, times `scale`, from column `first` (a multiple of 32) on; filled
// up with zeros to the next multiple of 32.
INLINE void pack_row(Half* left, long m, long depth, const float* source, long width, float scale, long first = 0) {
    for (long k = 0; k < padded(width, DEPTH); k += LANES)
        store(left + place(m, first + k, depth), rounded(load(source + k, width - k) * all(scale)));
}

// A square of 16 by 16 pairs, transposed.
INLINE void transpose_pairs(int32_t* to, long to_ld, const int32_t* from, long ld) {
    for (int i = 0; i < 16; i += 8)
        for (int j = 0; j < 16; j += 8)
            transpose((float*)to + j * to_ld + i, to_ld, (const float*)from + i * ld + j, ld);
}

// A right tile from a matrix whose line k is at source + k * ld; at most `lines` and `width` of it are there.
INLINE void pack_tile(Half* tile, const float* source, long ld, long lines, long width) {
    for (long k = 0; k < DEPTH; k += 2, tile += 2 * LANES)
        store(tile, pair(rounded(k < lines ? load(source + k * ld, width) : Vec{}),
                         rounded(k + 1 < lines ? load(source + (k + 1) * ld, width) : Vec{})));
}

// A right tile from a transposed matrix: column j is the row at source + j * ld.
INLINE void pack_tile_transposed(Half* tile, const float* source, long ld, long lines, long width) {
    alignas(64) Half rows[16 * DEPTH], columns[16 * DEPTH];
    for (long j = 0; j < LANES; j++)
        for (long k = 0; k < DEPTH; k += LANES)
            store(rows + j * DEPTH + k, rounded(j < width ? load(source + j * ld + k, lines - k) : Vec{}));
#if LANES == 16
    transpose_pairs((int32_t*)tile, 16, (const int32_t*)rows, 16);
    (void)columns;
#else
    for (long j = LANES; j < 16; j++) memset(rows + j * DEPTH, 0, DEPTH * sizeof(Half));
    transpose_pairs((int32_t*)columns, 16, (const int32_t*)rows, 16);
    for (long k = 0; k < DEPTH / 2; k++) store(tile + k * 2 * LANES, load_pairs(columns + k * 32));
#endif
}

// Lines of a matrix, of which the first `there` exist, each times its scale, if there are scales.
struct Lines {
    const float* data;
    long ld, there;
    const float* scales;
};

// A left tile from a transposed matrix: its rows are columns of the lines, from `first` on, of which `width` are there.
// lines(0) and lines(16) return the two halves of its 32 lines.
template <class F>
INLINE void pack_left_transposed(Half* tile, long first, long width, F lines) {
    alignas(64) int32_t pairs[16 * 16];
    for (long half = 0; half < DEPTH; half += 16) {
        const Lines l = lines(half);
        for (long k = 0; k < 16; k += 2)
            for (long j = 0; j < 16; j += LANES) {
                const auto of_line = [&](long k) INLINE_LAMBDA {
                    if (k >= l.there) return Halves{};
                    const Vec v = load(l.data + k * l.ld + first + j, width - j);
                    return rounded(l.scales ? v * all(l.scales[k]) : v);
                };
                *(UnalignedInt*)(pairs + (half + k) / 2 * 16 + j) = pair(of_line(k), of_line(k + 1));
            }
    }
    transpose_pairs((int32_t*)tile, 16, pairs, 16);
}

// Lines of a product that are done at a time, in tiles: a strip of them stays in the first two caches.
#ifndef DEPTH_AT_ONCE
#define DEPTH_AT_ONCE 32
#endif
// Rows that a thread does at a time, so that it reads a strip once for all of them.
#ifndef ROWS_AT_ONCE
#define ROWS_AT_ONCE 256L
#endif

// Rows [begin, end) of a left factor times strips of `depth` tiles, N columns in all; `begin` is a multiple of 16:
// f(row, first column, columns that are there, two vectors of sums, whether they are added to earlier ones).
template <class F>
INLINE void product_of_rows(const Half* left, const Half* strips, long depth, long N, long begin, long end, F f) {
    alignas(64) float sums[BLOCK * STRIP];
    for (long k = 0; k < depth; k += DEPTH_AT_ONCE)
        for (long n = 0; n < N; n += STRIP)
            for (long m = begin; m < end; m += BLOCK) {
                const long rows = at_most(BLOCK, end - m);
                product_block(sums, STRIP, left + (m / TILE_ROWS * depth + k) * LEFT, depth * LEFT,
                              strips + (n / STRIP * depth + k) * 2 * RIGHT, 2 * RIGHT,
                              at_most(DEPTH_AT_ONCE, depth - k), rows);
                for (long r = 0; r < rows; r++)
                    f(m + r, n, load(sums + r * STRIP), load(sums + r * STRIP + LANES), k > 0);
            }
}

// c[0 ...] = or += two vectors, of which `left` numbers are there.
INLINE void put(float* c, Vec first, Vec second, long left, bool add) {
    store(c, add ? load(c, left) + first : first, left);
    if (left > LANES)
        store(c + LANES, add ? load(c + LANES, left - LANES) + second : second, left - LANES);
}

}  // namespace
