// FP16 and BF16 as storage: converted to float for computing, rounded (to nearest even) when stored.
#pragma once

namespace tinydx {

TINYDX_INLINE float half_to_float(unsigned short h) {
    unsigned sign = (unsigned)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;  // subnormal, or zero
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

TINYDX_INLINE unsigned short float_to_half(float x) {
    unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7fff;             // NaN
    if (magnitude >= 0x477ff000) return sign | 0x7c00;            // rounds to infinity
    if (magnitude < 0x38800000) {                                 // subnormal: adding 1/2 aligns the last bit
        float shifted = __uint_as_float(magnitude) + 0.5f;
        return sign | (unsigned short)(__float_as_uint(shifted) - 0x3f000000);
    }
    unsigned odd = magnitude >> 13 & 1;
    return sign | (unsigned short)((magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

TINYDX_INLINE float bfloat16_to_float(unsigned short b) { return __uint_as_float((unsigned)b << 16); }

TINYDX_INLINE unsigned short float_to_bfloat16(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace tinydx

#define TINYDX_SHORT_FLOAT(name, pair, to, from, narrow, wide)                                                                \
    struct name {                                                                                                             \
        unsigned short bits;                                                                                                  \
        name() = default;                                                                                                     \
        name(float x) : bits(tinydx::narrow(x)) {}                                                                            \
        operator float() const { return tinydx::wide(bits); }                                                                 \
    };                                                                                                                        \
    struct alignas(4) pair { name x, y; };                                                                                    \
    TINYDX_INLINE name to(float x) { return name(x); }                                                                        \
    TINYDX_INLINE name to##_rn(float x) { return name(x); }                                                                   \
    TINYDX_INLINE float from(name x) { return x; }                                                                            \
    TINYDX_INLINE name __hadd(name x, name y) { return name((float)x + (float)y); }                                           \
    TINYDX_INLINE name __hsub(name x, name y) { return name((float)x - (float)y); }                                           \
    TINYDX_INLINE name __hmul(name x, name y) { return name((float)x * (float)y); }                                           \
    TINYDX_INLINE name __hfma(name x, name y, name z) { return name(fmaf(x, y, z)); }                                         \
    TINYDX_INLINE pair to##2_rn(float x) { return {name(x), name(x)}; }                                                       \
    TINYDX_INLINE pair __hadd2(pair x, pair y) { return {__hadd(x.x, y.x), __hadd(x.y, y.y)}; }                               \
    TINYDX_INLINE pair __hsub2(pair x, pair y) { return {__hsub(x.x, y.x), __hsub(x.y, y.y)}; }                               \
    TINYDX_INLINE pair __hmul2(pair x, pair y) { return {__hmul(x.x, y.x), __hmul(x.y, y.y)}; }                               \
    TINYDX_INLINE pair __hfma2(pair x, pair y, pair z) { return {__hfma(x.x, y.x, z.x), __hfma(x.y, y.y, z.y)}; }
TINYDX_SHORT_FLOAT(__half, __half2, __float2half, __half2float, float_to_half, half_to_float)
TINYDX_SHORT_FLOAT(__nv_bfloat16, __nv_bfloat162, __float2bfloat16, __bfloat162float, float_to_bfloat16, bfloat16_to_float)
typedef __half half;
typedef __half2 half2;

TINYDX_INLINE __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
TINYDX_INLINE float2 __half22float2(__half2 v) { return {v.x, v.y}; }
TINYDX_INLINE __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__nv_bfloat16(x), __nv_bfloat16(y)}; }
TINYDX_INLINE float2 __bfloat1622float2(__nv_bfloat162 v) { return {v.x, v.y}; }
