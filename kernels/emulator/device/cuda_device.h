// The CUDA language for g++: included before every .cu file that the emulator compiles.
//
// Whatever involves other threads (barriers, shuffles, atomics) calls the runtime; the rest is plain C++. `__global__`,
// `__launch_bounds__` and `__shared__` are not defined here: source.py reads and rewrites them.
#pragma once
#define _GLIBCXX_INCLUDE_NEXT_C_HEADERS  // C's math.h alone: C++'s is ten times as long to compile
#include <math.h>
#undef _GLIBCXX_INCLUDE_NEXT_C_HEADERS
#include <stdint.h>
#include <string.h>

#include "../runtime/runtime.h"

extern "C" int printf(const char*, ...);

#define TINYDX_EMULATOR 1
#define __CUDA_ARCH__ 800
#define __CUDACC__ 1
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))

#define TINYDX_INLINE static inline __attribute__((always_inline, unused))
#define TINYDX_UNSEEN static __attribute__((noinline, unused, no_sanitize("thread", "undefined")))  // accesses are not checked

// ---- vectors -------------------------------------------------------------------------------------------------------

#define TINYDX_VECTORS(name, type, size)                                                                                      \
    struct alignas(2 * size) name##2 { type x, y; };                                                                          \
    struct name##3 { type x, y, z; };                                                                                         \
    struct alignas(4 * size > 16 ? 16 : 4 * size) name##4 { type x, y, z, w; };                                               \
    TINYDX_INLINE name##2 make_##name##2(type x, type y) { return {x, y}; }                                                   \
    TINYDX_INLINE name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                                        \
    TINYDX_INLINE name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
TINYDX_VECTORS(char, signed char, 1)
TINYDX_VECTORS(uchar, unsigned char, 1)
TINYDX_VECTORS(short, short, 2)
TINYDX_VECTORS(ushort, unsigned short, 2)
TINYDX_VECTORS(int, int, 4)
TINYDX_VECTORS(uint, unsigned, 4)
TINYDX_VECTORS(float, float, 4)
TINYDX_VECTORS(longlong, long long, 8)
TINYDX_VECTORS(ulonglong, unsigned long long, 8)
TINYDX_VECTORS(double, double, 8)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define threadIdx tinydx::thread_index()
#define blockIdx tinydx::block_index()
#define blockDim tinydx::block_size()
#define gridDim tinydx::grid_size()
constexpr int warpSize = 32;

// ---- barriers ------------------------------------------------------------------------------------------------------

#define __syncthreads() tinydx::barrier()
#define __syncthreads_count(predicate) tinydx::barrier_vote(predicate, tinydx::COUNT)
#define __syncthreads_and(predicate) tinydx::barrier_vote(predicate, tinydx::AND)
#define __syncthreads_or(predicate) tinydx::barrier_vote(predicate, tinydx::OR)
TINYDX_INLINE void __syncwarp(unsigned mask = 0xffffffff) { tinydx::collective(mask, nullptr, nullptr); }
TINYDX_INLINE void __threadfence() { tinydx::fence(); }
TINYDX_INLINE void __threadfence_block() {}
TINYDX_INLINE void __threadfence_system() { tinydx::fence(); }

// ---- the end of a thread, and time ----------------------------------------------------------------------------------

#define assert(condition) ((condition) ? (void)0 : tinydx::give_up("assertion failed: " #condition))
#define __trap() tinydx::give_up("__trap")
TINYDX_INLINE long long clock64() { return 0; }  // there is no time here
#define clock() clock64()
TINYDX_INLINE void __nanosleep(unsigned) {}

// ---- warp: votes and shuffles --------------------------------------------------------------------------------------

namespace tinydx {

struct Ballot {
    bool predicate;
    unsigned votes, members;
};

TINYDX_UNSEEN void count_votes(void** lanes) {
    unsigned votes = 0, members = 0;
    for (int i = 0; i < 32; i++) {
        if (!lanes[i]) continue;
        members |= 1u << i;
        votes |= (unsigned)((Ballot*)lanes[i])->predicate << i;
    }
    for (int i = 0; i < 32; i++)
        if (lanes[i]) ((Ballot*)lanes[i])->votes = votes, ((Ballot*)lanes[i])->members = members;
}

TINYDX_INLINE Ballot ballot(unsigned mask, bool predicate) {
    Ballot mine{predicate, 0, 0};
    collective(mask, &mine, count_votes);
    return mine;
}

struct Shuffle {
    uint64_t value;
    int source;
};

TINYDX_UNSEEN void exchange_values(void** lanes) {
    uint64_t before[32];
    for (int i = 0; i < 32; i++) before[i] = lanes[i] ? ((Shuffle*)lanes[i])->value : 0;
    for (int i = 0; i < 32; i++) {
        if (!lanes[i]) continue;
        Shuffle& mine = *(Shuffle*)lanes[i];
        if (lanes[mine.source]) mine.value = before[mine.source];
        else inactive_lane(i, mine.source);
    }
}

template <class T>
TINYDX_INLINE T shuffle(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    Shuffle mine{0, source};
    memcpy(&mine.value, &value, sizeof value);
    collective(mask, &mine, exchange_values);
    memcpy(&value, &mine.value, sizeof value);
    return value;
}

}  // namespace tinydx

TINYDX_INLINE unsigned __activemask() { return tinydx::active_mask(); }
TINYDX_INLINE unsigned __ballot_sync(unsigned mask, int predicate) { return tinydx::ballot(mask, predicate).votes; }
TINYDX_INLINE int __any_sync(unsigned mask, int predicate) { return tinydx::ballot(mask, predicate).votes != 0; }
TINYDX_INLINE int __all_sync(unsigned mask, int predicate) {
    tinydx::Ballot b = tinydx::ballot(mask, predicate);
    return b.votes == b.members;
}

// The lanes form groups of `width`; who would read from outside of its group keeps its own value.
template <class T>
TINYDX_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int group = tinydx::lane() & ~(width - 1);
    return tinydx::shuffle(mask, value, group | (source & (width - 1)));
}
template <class T>
TINYDX_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = tinydx::lane(), group = lane & ~(width - 1), source = lane - (int)delta;
    return tinydx::shuffle(mask, value, source < group ? lane : source);
}
template <class T>
TINYDX_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = tinydx::lane(), group = lane & ~(width - 1), source = lane + (int)delta;
    return tinydx::shuffle(mask, value, source >= group + width ? lane : source);
}
template <class T>
TINYDX_INLINE T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    int lane = tinydx::lane(), group = lane & ~(width - 1), source = lane ^ lanes;
    return tinydx::shuffle(mask, value, source >= group + width ? lane : source);
}

// ---- atomics: one thread runs at a time, so only the checker must know ---------------------------------------------------

#define TINYDX_ATOMIC(name, type, expression)                                                                                 \
    TINYDX_UNSEEN type tinydx_##name(type* p, type v) {                                                                       \
        type old = *p;                                                                                                        \
        *p = (expression);                                                                                                    \
        return old;                                                                                                           \
    }                                                                                                                         \
    TINYDX_INLINE type name(type* p, type v) {                                                                                \
        tinydx::check_atomic(p, sizeof(type));                                                                                \
        return tinydx_##name(p, v);                                                                                           \
    }
#define TINYDX_ATOMICS(type)                                                                                                  \
    TINYDX_ATOMIC(atomicAdd, type, old + v)                                                                                   \
    TINYDX_ATOMIC(atomicMax, type, old > v ? old : v)                                                                         \
    TINYDX_ATOMIC(atomicMin, type, old < v ? old : v)                                                                         \
    TINYDX_ATOMIC(atomicExch, type, v)                                                                                        \
    TINYDX_ATOMIC(atomicAnd, type, old & v)                                                                                   \
    TINYDX_ATOMIC(atomicOr, type, old | v)                                                                                    \
    TINYDX_ATOMIC(atomicXor, type, old ^ v)                                                                                   \
    TINYDX_UNSEEN type tinydx_cas(type* p, type old, type v) {                                                                \
        type found = *p;                                                                                                      \
        if (found == old) *p = v;                                                                                             \
        return found;                                                                                                         \
    }                                                                                                                         \
    TINYDX_INLINE type atomicCAS(type* p, type old, type v) {                                                                 \
        tinydx::check_atomic(p, sizeof(type));                                                                                \
        return tinydx_cas(p, old, v);                                                                                         \
    }
TINYDX_ATOMICS(int)
TINYDX_ATOMICS(unsigned)
TINYDX_ATOMICS(unsigned long long)
TINYDX_ATOMIC(atomicSub, int, old - v)
TINYDX_ATOMIC(atomicSub, unsigned, old - v)
TINYDX_ATOMIC(atomicInc, unsigned, old >= v ? 0 : old + 1)
TINYDX_ATOMIC(atomicDec, unsigned, old == 0 || old > v ? v : old - 1)
TINYDX_ATOMIC(atomicAdd, float, old + v)
TINYDX_ATOMIC(atomicAdd, double, old + v)
TINYDX_ATOMIC(atomicExch, float, v)

// ---- arithmetic ----------------------------------------------------------------------------------------------------

#define TINYDX_LESS_AND_GREATER(type, a, b)                                                                                   \
    TINYDX_INLINE type min(a x, b y) { return (type)y < (type)x ? (type)y : (type)x; }                                        \
    TINYDX_INLINE type max(a x, b y) { return (type)x < (type)y ? (type)y : (type)x; }
TINYDX_LESS_AND_GREATER(int, int, int)
TINYDX_LESS_AND_GREATER(unsigned, unsigned, unsigned)
TINYDX_LESS_AND_GREATER(unsigned, int, unsigned)
TINYDX_LESS_AND_GREATER(unsigned, unsigned, int)
TINYDX_LESS_AND_GREATER(long long, long long, long long)
TINYDX_LESS_AND_GREATER(unsigned long long, unsigned long long, unsigned long long)
TINYDX_INLINE float min(float x, float y) { return fminf(x, y); }
TINYDX_INLINE float max(float x, float y) { return fmaxf(x, y); }
TINYDX_INLINE double min(double x, double y) { return fmin(x, y); }
TINYDX_INLINE double max(double x, double y) { return fmax(x, y); }

#define TINYDX_FOR_FLOAT_AND_INT(name)                                                                                        \
    TINYDX_INLINE float name(float x) { return name##f(x); }                                                                  \
    TINYDX_INLINE double name(int x) { return name((double)x); }
TINYDX_FOR_FLOAT_AND_INT(exp)
TINYDX_FOR_FLOAT_AND_INT(exp2)
TINYDX_FOR_FLOAT_AND_INT(expm1)
TINYDX_FOR_FLOAT_AND_INT(log)
TINYDX_FOR_FLOAT_AND_INT(log2)
TINYDX_FOR_FLOAT_AND_INT(log10)
TINYDX_FOR_FLOAT_AND_INT(log1p)
TINYDX_FOR_FLOAT_AND_INT(sqrt)
TINYDX_FOR_FLOAT_AND_INT(sin)
TINYDX_FOR_FLOAT_AND_INT(cos)
TINYDX_FOR_FLOAT_AND_INT(tan)
TINYDX_FOR_FLOAT_AND_INT(tanh)
TINYDX_FOR_FLOAT_AND_INT(erf)
TINYDX_FOR_FLOAT_AND_INT(fabs)
TINYDX_FOR_FLOAT_AND_INT(floor)
TINYDX_FOR_FLOAT_AND_INT(ceil)
TINYDX_INLINE float pow(float x, float y) { return powf(x, y); }
TINYDX_INLINE double pow(double x, int y) { return pow(x, (double)y); }
TINYDX_INLINE float fmod(float x, float y) { return fmodf(x, y); }
TINYDX_INLINE float abs(float x) { return fabsf(x); }
TINYDX_INLINE double abs(double x) { return fabs(x); }
TINYDX_INLINE int abs(int x) { return x < 0 ? -x : x; }

// The fast functions of the GPU err more than these; macros, because the C library has functions of these names.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
TINYDX_INLINE float __fdividef(float x, float y) { return x / y; }
TINYDX_INLINE float __fdiv_rn(float x, float y) { return x / y; }
TINYDX_INLINE float __frcp_rn(float x) { return 1.0f / x; }
TINYDX_INLINE float __fsqrt_rn(float x) { return sqrtf(x); }
TINYDX_INLINE float __fadd_rn(float x, float y) { return x + y; }
TINYDX_INLINE float __fsub_rn(float x, float y) { return x - y; }
TINYDX_INLINE float __fmul_rn(float x, float y) { return x * y; }
TINYDX_INLINE float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
TINYDX_INLINE float rsqrtf(float x) { return 1.0f / sqrtf(x); }
TINYDX_INLINE double rsqrt(double x) { return 1.0 / sqrt(x); }
TINYDX_INLINE float rsqrt(float x) { return rsqrtf(x); }
TINYDX_INLINE float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }

template <class To, class From>
TINYDX_INLINE To tinydx_same_bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
#undef isnan  // the C library's are macros
#undef isinf
#undef isfinite
TINYDX_INLINE bool isnan(double x) { return __builtin_isnan(x); }
TINYDX_INLINE bool isinf(double x) { return __builtin_isinf(x); }
TINYDX_INLINE bool isfinite(double x) { return __builtin_isfinite(x); }

TINYDX_INLINE int __float_as_int(float x) { return tinydx_same_bits<int>(x); }
TINYDX_INLINE unsigned __float_as_uint(float x) { return tinydx_same_bits<unsigned>(x); }
TINYDX_INLINE float __int_as_float(int x) { return tinydx_same_bits<float>(x); }
TINYDX_INLINE float __uint_as_float(unsigned x) { return tinydx_same_bits<float>(x); }
TINYDX_INLINE int __float2int_rn(float x) { return (int)rintf(x); }
TINYDX_INLINE int __float2int_rd(float x) { return (int)floorf(x); }
TINYDX_INLINE int __float2int_ru(float x) { return (int)ceilf(x); }
TINYDX_INLINE int __float2int_rz(float x) { return (int)x; }
TINYDX_INLINE float __int2float_rn(int x) { return (float)x; }
TINYDX_INLINE int __popc(unsigned x) { return __builtin_popcount(x); }
TINYDX_INLINE int __clz(int x) { return x ? __builtin_clz(x) : 32; }
TINYDX_INLINE int __ffs(int x) { return __builtin_ffs(x); }
TINYDX_INLINE int __mul24(int x, int y) { return x * y; }
TINYDX_INLINE unsigned __umulhi(unsigned x, unsigned y) { return (uint64_t)x * y >> 32; }

template <class T>
TINYDX_INLINE T __ldg(const T* p) {
    return *p;
}
