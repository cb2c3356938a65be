// The instructions of kernels/cuda/ptx.cuh on the CPU.
//
// The lanes of a warp bring their fragments; the last lane to arrive assembles the matrices, multiplies them, and distributes
// the result. row_of and column_of below say where an element lies.
#pragma once
#include "cuda_fp16.h"

namespace tinydx {

struct Fragments {
    float* d;
    const unsigned *a, *b;
};

// Element i of d in lane 4 g + t: d0, d1 in row g, d2, d3 in row g + 8, columns 2 t and 2 t + 1.
TINYDX_INLINE int row_of(int lane, int i) { return lane / 4 + i / 2 * 8; }
TINYDX_INLINE int column_of(int lane, int i) { return lane % 4 * 2 + i % 2; }

// Whether all 32 lanes take part, as mma and ldmatrix require.
TINYDX_INLINE bool whole_warp(void** lanes) {
    bool whole = true;
    for (int i = 0; i < 32; i++)
        if (!lanes[i]) whole = false;
    for (int i = 0; i < 32 && !whole; i++)
        for (int j = 0; j < 32 && lanes[i]; j++)
            if (!lanes[j]) inactive_lane(i, j);
    return whole;
}

// ---- the sum of a tensor core ----------------------------------------------------------------------------------------
//
// d + a0 b0 + ... of a few products at once: the products are exact, all terms are shifted to the largest exponent and cut
// (not rounded) to 24 bits after the point, added exactly, and the sum is cut to a float. Subnormal numbers count. So an
// A100 adds, 4 products of TF32 or 8 of 16 bits at a time; an H100 keeps 25 bits and adds twice as many products.
//
// Source: Fasi, Higham, Mikaitis, Pranesh: Numerical behavior of NVIDIA tensor cores, 2021 (doi 10.7717/peerj-cs.330);
// Khattak, Mikaitis: Accurate models of NVIDIA tensor cores, 2025 (arXiv 2512.07004). Both by experiments: NVIDIA does not say.

constexpr int KEPT = 24;  // bits after the point

struct Term {  // significand * 2^(exponent - 46), with its sign
    int64_t significand;
    int exponent;
    bool negative;
};

// x y. In whole numbers, since the processor flushes subnormal floats while a kernel runs.
TINYDX_INLINE Term product_of(float x, float y) {
    Term parts[2];
    for (int i = 0; i < 2; i++) {
        unsigned bits = __float_as_uint(i ? y : x), fraction = bits & 0x7fffff;
        int exponent = bits >> 23 & 255;
        parts[i] = {exponent ? fraction | 1 << 23 : fraction, (exponent ? exponent : 1) - 127, bits >> 31 != 0};
    }
    return {parts[0].significand * parts[1].significand, parts[0].exponent + parts[1].exponent, parts[0].negative != parts[1].negative};
}

// magnitude * 2^(exponent - KEPT), cut to a float.
TINYDX_INLINE float cut_to_float(int64_t magnitude, int exponent, bool negative) {
    unsigned sign = negative ? 0x80000000 : 0;
    if (!magnitude) return 0.0f;
    int last = 63 - __builtin_clzll(magnitude) - 23;  // the place of the float's last bit
    if (exponent - KEPT + last < -149) last = -149 - exponent + KEPT;  // subnormal
    if (last > 62) return __uint_as_float(sign);
    uint64_t fraction = last >= 0 ? magnitude >> last : magnitude << -last;
    int place = exponent - KEPT + last + 150;  // the exponent's bits, 1 for subnormal numbers, too
    if (fraction < 1 << 23) return __uint_as_float(sign | (unsigned)fraction);
    return __uint_as_float(place > 254 ? sign | 0x7f800000 : sign | (unsigned)place << 23 | ((unsigned)fraction & 0x7fffff));
}

TINYDX_UNSEEN float sum_of(const Term* terms, int count) {
    int largest = -1000;
    for (int k = 0; k < count; k++)
        if (terms[k].significand && terms[k].exponent > largest) largest = terms[k].exponent;
    int64_t sum = 0;
    for (int k = 0; k < count; k++) {
        int shift = 46 - KEPT + largest - terms[k].exponent;
        int64_t cut = terms[k].significand && shift < 63 ? terms[k].significand >> shift : 0;
        sum += terms[k].negative ? -cut : cut;
    }
    return cut_to_float(sum < 0 ? -sum : sum, largest, sum < 0);
}

TINYDX_UNSEEN void multiply_add(void** lanes, const float (&a)[16][16], const float (&b)[16][8], int depth) {
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            float& d = ((Fragments*)lanes[lane])->d[i];
            for (int k0 = 0; k0 < depth; k0 += depth / 2) {
                float special = d;  // infinity and NaN
                Term terms[9] = {product_of(d, 1.0f)};
                for (int k = 0; k < depth / 2; k++) {
                    float x = a[row_of(lane, i)][k0 + k], y = b[k0 + k][column_of(lane, i)];
                    terms[1 + k] = product_of(x, y);
                    special += isfinite(x) && isfinite(y) ? 0.0f : x * y;
                }
                d = isfinite(special) ? sum_of(terms, 1 + depth / 2) : special;
            }
        }
    }
}

TINYDX_INLINE float cut_to_tf32(unsigned bits) { return __uint_as_float(bits & 0xffffe000); }  // the tensor core ignores 13 bits

TINYDX_UNSEEN void multiply_tf32(void** lanes) {
    float a[16][16], b[16][8];
    if (!whole_warp(lanes)) return;
    for (int lane = 0; lane < 32; lane++) {
        const Fragments& f = *(Fragments*)lanes[lane];
        int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) a[g + i % 2 * 8][t + i / 2 * 4] = cut_to_tf32(f.a[i]);
        for (int i = 0; i < 2; i++) b[t + i * 4][g] = cut_to_tf32(f.b[i]);
    }
    multiply_add(lanes, a, b, 8);
}

template <float widen(unsigned short)>
TINYDX_UNSEEN void multiply_16_bits(void** lanes) {
    float a[16][16], b[16][8];
    if (!whole_warp(lanes)) return;
    for (int lane = 0; lane < 32; lane++) {
        const Fragments& f = *(Fragments*)lanes[lane];
        int g = lane / 4, t = lane % 4;
        for (int half = 0; half < 2; half++) {  // the low half of a register is the element with the smaller index
            int shift = 16 * half, k = 2 * t + half;
            for (int i = 0; i < 4; i++) a[g + i % 2 * 8][k + i / 2 * 8] = widen(f.a[i] >> shift & 0xffff);
            for (int i = 0; i < 2; i++) b[k + i * 8][g] = widen(f.b[i] >> shift & 0xffff);
        }
    }
    multiply_add(lanes, a, b, 16);
}

struct Rows {
    const unsigned* row;  // input of this lane: the address of a row of 8 elements of 16 bits
    unsigned* r;          // output of this lane: two elements of each matrix
    int matrices;
    bool transposed;
};

TINYDX_UNSEEN void deal_matrices(void** lanes) {
    if (!whole_warp(lanes)) return;
    const Rows& any = *(Rows*)lanes[0];
    for (int j = 0; j < any.matrices; j++) {
        unsigned short m[8][8];
        for (int row = 0; row < 8; row++) memcpy(m[row], ((Rows*)lanes[8 * j + row])->row, 16);
        for (int lane = 0; lane < 32; lane++) {
            int g = lane / 4, t = lane % 4;
            unsigned low = any.transposed ? m[2 * t][g] : m[g][2 * t], high = any.transposed ? m[2 * t + 1][g] : m[g][2 * t + 1];
            ((Rows*)lanes[lane])->r[j] = high << 16 | low;
        }
    }
}

TINYDX_INLINE void ldmatrix(unsigned* r, const void* row, int matrices, bool transposed) {
    if (lane() < 8 * matrices) check_read(row, 16);  // the addresses of other lanes are ignored
    Rows mine{(const unsigned*)row, r, matrices, transposed};
    collective(0xffffffff, &mine, deal_matrices);
}

TINYDX_INLINE void mma(float* d, const unsigned* a, const unsigned* b, Complete multiply) {
    Fragments mine{d, a, b};
    collective(0xffffffff, &mine, multiply);
}

}  // namespace tinydx

TINYDX_INLINE void mma_m16n8k8_tf32(float* d, const unsigned* a, const unsigned* b) { tinydx::mma(d, a, b, tinydx::multiply_tf32); }
TINYDX_INLINE void mma_m16n8k16_f16(float* d, const unsigned* a, const unsigned* b) {
    tinydx::mma(d, a, b, tinydx::multiply_16_bits<tinydx::half_to_float>);
}
TINYDX_INLINE void mma_m16n8k16_bf16(float* d, const unsigned* a, const unsigned* b) {
    tinydx::mma(d, a, b, tinydx::multiply_16_bits<tinydx::bfloat16_to_float>);
}
TINYDX_INLINE void ldmatrix_x2(unsigned* r, const void* row) { tinydx::ldmatrix(r, row, 2, false); }
TINYDX_INLINE void ldmatrix_x4(unsigned* r, const void* row) { tinydx::ldmatrix(r, row, 4, false); }
TINYDX_INLINE void ldmatrix_x2_trans(unsigned* r, const void* row) { tinydx::ldmatrix(r, row, 2, true); }
TINYDX_INLINE void ldmatrix_x4_trans(unsigned* r, const void* row) { tinydx::ldmatrix(r, row, 4, true); }

TINYDX_INLINE unsigned to_tf32(float x) {
    unsigned bits = __float_as_uint(x);
    return ((bits & 0x7f800000) == 0x7f800000 ? bits : bits + 0x1000) & 0xffffe000;
}
TINYDX_INLINE unsigned pack_f16(float low, float high) {
    return (unsigned)tinydx::float_to_half(high) << 16 | tinydx::float_to_half(low);
}
TINYDX_INLINE unsigned pack_bf16(float low, float high) {
    return (unsigned)tinydx::float_to_bfloat16(high) << 16 | tinydx::float_to_bfloat16(low);
}

#define TINYDX_CP_ASYNC(bytes)                                                                                                \
    TINYDX_INLINE void cp_async_##bytes(void* shared, const void* global) { tinydx::cp_async(shared, global, bytes, true); }  \
    TINYDX_INLINE void cp_async_##bytes##_or_zero(void* shared, const void* global, bool valid) {                             \
        tinydx::cp_async(shared, global, bytes, valid);                                                                       \
    }
TINYDX_CP_ASYNC(4)
TINYDX_CP_ASYNC(8)
TINYDX_CP_ASYNC(16)
TINYDX_INLINE void cp_async_commit() { tinydx::cp_async_commit(); }
#define CP_ASYNC_WAIT(n) tinydx::cp_async_wait(n)
