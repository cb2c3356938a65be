// All inline PTX of tinydx: tensor-core products, asynchronous copies, conversions.
//
// Each function is one instruction. In the emulator (TINYDX_EMULATOR) the same name runs on the CPU, with the same
// distribution of matrix elements over the 32 lanes, where most mistakes are made.
//
//   conversions   unsigned to_tf32(float)                                to the 10 bits of a TF32 operand: nearest, ties away; also a float
//                 unsigned pack_bf16(float low, float high)              two BF16 in a register, round to nearest even
//                 unsigned pack_f16(float low, float high)               two FP16 in a register, round to nearest even
//   products      mma_m16n8k8_tf32(float d[4], const unsigned a[4], const unsigned b[2])      d += a b    (sm_80)
//                 mma_m16n8k16_bf16(float d[4], const unsigned a[4], const unsigned b[2])     d += a b    (sm_80)
//                 mma_m16n8k16_f16(float d[4], const unsigned a[4], const unsigned b[2])      d += a b    (sm_80)
//   fragments     ldmatrix_x2, ldmatrix_x4, ldmatrix_x2_trans, ldmatrix_x4_trans(unsigned r[], const void* shared_row)
//   copies        cp_async_4, cp_async_8, cp_async_16(void* shared, const void* global)       (sm_80; a plain copy before)
//                 cp_async_4_or_zero, ..._8_or_zero, ..._16_or_zero(void* shared, const void* global, bool valid)
//                 cp_async_commit()                  the copies started since the last commit become one group
//                 CP_ASYNC_WAIT(n)                   until at most n (a literal) of this thread's groups remain
//
// Which lane holds what (lane = 4 g + t, so g = lane / 4 is 0..7 and t = lane % 4); "2t.." means columns 2t and 2t + 1, low half first:
//
//   m16n8k8, TF32                                     m16n8k16, BF16 and FP16 (two elements a register)
//     a[0]  A[g    ][t    ]   b[0]  B[t    ][g]         a[0]  A[g    ][2t..    ]   b[0]  B[2t..    ][g]
//     a[1]  A[g + 8][t    ]   b[1]  B[t + 4][g]         a[1]  A[g + 8][2t..    ]   b[1]  B[2t + 8..][g]
//     a[2]  A[g    ][t + 4]                             a[2]  A[g    ][2t + 8..]
//     a[3]  A[g + 8][t + 4]                             a[3]  A[g + 8][2t + 8..]
//   d of both:  d[0] D[g][2t]   d[1] D[g][2t + 1]   d[2] D[g + 8][2t]   d[3] D[g + 8][2t + 1]
//
//   ldmatrix: lanes 8j .. 8j + 7 give the addresses of the 8 rows (16 bytes each, 16-byte aligned) of the 8 x 8 matrix j of
//   16-bit elements; r[j] of a lane receives M_j[g][2t..], and with _trans M_j[2t..][g]. (x2 reads lanes 0..15's addresses only.)
//
// Source: PTX ISA, "Matrix fragments for mma.m16n8k8 / m16n8k16", "ldmatrix", "cp.async".
#pragma once

#ifdef TINYDX_EMULATOR

#include <emulated_ptx.h>  // kernels/emulator/device

#else

#define CP_ASYNC_WAIT(n) TINYDX_CP_ASYNC_WAIT(n)

// The address of shared memory in PTX: 32 bits, counted from the start of the window.
__device__ __forceinline__ unsigned tinydx_shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ __forceinline__ unsigned pack_f16(float low, float high) {
    unsigned short l, h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(l) : "f"(low));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(high));
    return (unsigned)h << 16 | l;
}

#define TINYDX_LDMATRIX_X2(name, suffix)                                                                            \
    __device__ __forceinline__ void name(unsigned r[2], const void* shared_row) {                                   \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" suffix ".shared.b16 {%0, %1}, [%2];"                           \
                     : "=r"(r[0]), "=r"(r[1]) : "r"(tinydx_shared_address(shared_row)) : "memory");                 \
    }
#define TINYDX_LDMATRIX_X4(name, suffix)                                                                            \
    __device__ __forceinline__ void name(unsigned r[4], const void* shared_row) {                                   \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" suffix ".shared.b16 {%0, %1, %2, %3}, [%4];"                   \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                                               \
                     : "r"(tinydx_shared_address(shared_row)) : "memory");                                          \
    }
TINYDX_LDMATRIX_X2(ldmatrix_x2, "")
TINYDX_LDMATRIX_X2(ldmatrix_x2_trans, ".trans")
TINYDX_LDMATRIX_X4(ldmatrix_x4, "")
TINYDX_LDMATRIX_X4(ldmatrix_x4_trans, ".trans")

#if __CUDA_ARCH__ >= 800

__device__ __forceinline__ unsigned to_tf32(float x) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r & 0xffffe000;  // PTX leaves the other bits open; where they are 0 already, ptxas drops this
}

__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

#define TINYDX_MMA(name, instruction)                                                                               \
    __device__ __forceinline__ void name(float d[4], const unsigned a[4], const unsigned b[2]) {                    \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                 \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                               \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                           \
    }
TINYDX_MMA(mma_m16n8k8_tf32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
TINYDX_MMA(mma_m16n8k16_bf16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
TINYDX_MMA(mma_m16n8k16_f16, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")

#define TINYDX_CP_ASYNC(name, cache, bytes)                                                                         \
    __device__ __forceinline__ void name(void* shared, const void* global) {                                        \
        asm volatile("cp.async." cache ".shared.global [%0], [%1], " #bytes ";"                                     \
                     :: "r"(tinydx_shared_address(shared)), "l"(__cvta_generic_to_global(global)) : "memory");      \
    }                                                                                                               \
    __device__ __forceinline__ void name##_or_zero(void* shared, const void* global, bool valid) {                  \
        asm volatile("cp.async." cache ".shared.global [%0], [%1], " #bytes ", %2;"                                 \
                     :: "r"(tinydx_shared_address(shared)), "l"(__cvta_generic_to_global(global)),                  \
                        "r"(valid ? bytes : 0) : "memory");                                                         \
    }
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
#define TINYDX_CP_ASYNC_WAIT(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")

#else  // before Ampere: the same program with immediate copies

#define TINYDX_CP_ASYNC(name, cache, bytes)                                                                         \
    __device__ __forceinline__ void name##_or_zero(void* shared, const void* global, bool valid) {                  \
        for (int i = 0; i < bytes / 4; i++) ((int*)shared)[i] = valid ? ((const int*)global)[i] : 0;                \
    }                                                                                                               \
    __device__ __forceinline__ void name(void* shared, const void* global) { name##_or_zero(shared, global, true); }
__device__ __forceinline__ void cp_async_commit() {}
#define TINYDX_CP_ASYNC_WAIT(n) ((void)0)

#endif

TINYDX_CP_ASYNC(cp_async_4, "ca", 4)
TINYDX_CP_ASYNC(cp_async_8, "ca", 8)
TINYDX_CP_ASYNC(cp_async_16, "cg", 16)  // past the L1 cache, since the data is read from shared memory

#endif
