// Vectors of float32, as wide as the instruction set of the file that includes this: 16, 8 or 4 lanes.
//
// The vector extensions of GCC and Clang, so that one source serves every processor. Everything is in an anonymous
// namespace: each path of instructions is compiled into its own copy, and the linker must never merge two of them.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE inline __attribute__((always_inline))
// Goes after a lambda's parameters. Without it the lambda is not inlined, and its sums leave the registers.
#define INLINE_LAMBDA __attribute__((always_inline))

namespace {

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Int __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE Vec all(float x) { return Vec{} + x; }
// One number in all lanes, by the load itself: a shuffle would take the place of a multiplication.
INLINE Vec broadcast(const float* p) {
#if LANES == 16
    return (Vec)_mm512_set1_ps(*p);
#elif LANES == 8
    return (Vec)_mm256_broadcast_ss(p);
#else
    return all(*p);
#endif
}
INLINE Vec load(const float* p) { return *(const Unaligned*)p; }
INLINE void store(float* p, Vec v) { *(Unaligned*)p = v; }

// The first n lanes; the others are zero, and are not read or written. By masks where the processor has them.
#if LANES == 16
INLINE __mmask16 first_lanes(long n) { return (__mmask16)((1u << (n < 0 ? 0 : n)) - 1); }
INLINE Vec load(const float* p, long n) {
    if (n >= LANES) return load(p);
    return (Vec)_mm512_maskz_loadu_ps(first_lanes(n), p);
}
INLINE void store(float* p, Vec v, long n) {
    if (n >= LANES) return store(p, v);
    _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}
#elif LANES == 8
INLINE __m256i first_lanes(long n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE Vec load(const float* p, long n) {
    if (n >= LANES) return load(p);
    return (Vec)_mm256_maskload_ps(p, first_lanes(n));
}
INLINE void store(float* p, Vec v, long n) {
    if (n >= LANES) return store(p, v);
    _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
}
#else
INLINE Vec load(const float* p, long n) {
    if (n >= LANES) return load(p);
    Vec v = {};
    for (long k = 0; k < n; k++) v[k] = p[k];
    return v;
}
INLINE void store(float* p, Vec v, long n) {
    if (n >= LANES) return store(p, v);
    for (long k = 0; k < n; k++) p[k] = v[k];
}
#endif

// The first n weights at p, in either type; the others are zero.
INLINE Vec weights_at(const float* p, long n) { return load(p, n); }
INLINE Vec weights_at(const int8_t* p, long n) {
    if (n < LANES) {
        Vec v = {};
        for (long k = 0; k < n; k++) v[k] = p[k];
        return v;
    }
#if LANES == 16
    return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
#elif LANES == 8
    return (Vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
#else
    return Vec{(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
#endif
}

INLINE float sum(Vec v) {
#if LANES == 16
    return _mm512_reduce_add_ps((__m512)v);
#elif LANES == 8
    __m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

// x, but at least `low` and at most `high`; NaN stays NaN.
INLINE Vec between(Vec x, float low, float high) {
    // The instructions return their second operand if one is NaN.
#if LANES == 16
    return (Vec)_mm512_min_ps((__m512)all(high), _mm512_max_ps((__m512)all(low), (__m512)x));
#elif LANES == 8
    return (Vec)_mm256_min_ps((__m256)all(high), _mm256_max_ps((__m256)all(low), (__m256)x));
#else
    x = x < all(low) ? all(low) : x;
    return x > all(high) ? all(high) : x;
#endif
}

// exp(x) to 2 units in the last place: Cody and Waite's reduction, and the polynomial of Cephes' expf (Moshier).
// Below -87.3 it is the smallest normal number, above 88.3 the largest power that is kept; NaN stays NaN.
INLINE Vec exponential(Vec x) {
    x = between(x, -87.3f, 88.3f);
    // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
    const Vec rounder = all(12582912.f);
    Vec shifted = x * all(1.44269504f) + rounder;
    Vec n = shifted - rounder;
    Vec r = x - n * all(0.693359375f);
    r = r + n * all(2.12194440e-4f);
    Vec p = all(1.9875691500e-4f);
    p = p * r + all(1.3981999507e-3f);
    p = p * r + all(8.3334519073e-3f);
    p = p * r + all(4.1665795894e-2f);
    p = p * r + all(1.6666665459e-1f);
    p = p * r + all(5.0000001201e-1f);
    p = p * (r * r) + (r + all(1.f));
#if LANES == 16
    return (Vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    // Times 2^n, whose bits are made of the integer in the low bits of `shifted`.
    return p * (Vec)(((Int)shifted << 23) + 0x3f800000);
#endif
}

INLINE Vec inverse(Vec x) {
#if defined(__AVX512F__)
    // A division takes 24 cycles on older processors. One step of Newton's gives all but the last bit.
    Vec r = (Vec)_mm512_rcp14_ps((__m512)x);
    return r * (all(2.f) - x * r);
#else
    return all(1.f) / x;
#endif
}

INLINE Vec sigmoid(Vec x) { return inverse(all(1.f) + exponential(-x)); }
INLINE Vec tanh(Vec x) { return all(1.f) - all(2.f) * inverse(exponential(x + x) + all(1.f)); }

#if LANES >= 8
// A square of 8 by 8 numbers, transposed: rows of `to` are `to_ld` apart, rows of `from` are `ld` apart.
INLINE void transpose(float* to, long to_ld, const float* from, long ld) {
    __m256 pairs[8], fours[8];
    for (int n = 0; n < 8; n += 2) {
        __m256 a = _mm256_loadu_ps(from + n * ld), b = _mm256_loadu_ps(from + (n + 1) * ld);
        pairs[n] = _mm256_unpacklo_ps(a, b), pairs[n + 1] = _mm256_unpackhi_ps(a, b);
    }
    for (int n = 0; n < 8; n += 4)
        for (int k = 0; k < 2; k++) {
            fours[n + 2 * k] = _mm256_shuffle_ps(pairs[n + k], pairs[n + 2 + k], 0x44);
            fours[n + 2 * k + 1] = _mm256_shuffle_ps(pairs[n + k], pairs[n + 2 + k], 0xee);
        }
    for (int n = 0; n < 4; n++) {
        _mm256_storeu_ps(to + n * to_ld, _mm256_permute2f128_ps(fours[n], fours[n + 4], 0x20));
        _mm256_storeu_ps(to + (n + 4) * to_ld, _mm256_permute2f128_ps(fours[n], fours[n + 4], 0x31));
    }
}
#endif

}  // namespace
