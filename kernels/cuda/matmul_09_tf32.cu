// Step 9. Tensor cores: one instruction, executed by a whole warp, multiplies 16 x 8 by 8 x 8 numbers. These are TF32,
// floats with 10 bits after the point instead of 23, and are summed as float: fast, with an error of about 1e-3.
//
// Step 10, in the same file: 3xTF32. A float is a TF32 number plus a rest, and the rest is (nearly) TF32, too:
//
//     a b = (A + a')(B + b')  ~  A B + A b' + a' B
//
// with A = tf32(a), a' = tf32(a - A); a' b' is too small for a float.
//
// Three products instead of one, and nearly as exact as float. (An infinity gives NaN: infinity minus infinity.) A tensor
// core drops the last bits of every sum, so the long sum over K is made outside of it, where floats are rounded.
// Source: Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores", 2022.
//
// ptx.cuh says which lane holds which numbers of a 16 x 8 x 8 product. Tiles and copies are those of step 8.

#include "copy.cuh"

#define BM 128
#define BN 128
#define BK 16
#define WM 64  // a warp's tile: 4 x 4 products of 16 x 8
#define WN 32
#define THREADS (BM / WM * (BN / WN) * 32)
#define DOWN (WM / 16)
#define ACROSS (WN / 8)
#define A_LINE (BK + 4)  // so that the 32 numbers that a warp reads at a time lie in 32 banks
#define B_LINE (BN + 8)

struct Split {
    unsigned high, low;
};

__device__ inline Split split(float v)
{
    Split s;
    s.high = to_tf32(v);
    s.low = to_tf32(v - __uint_as_float(s.high));
    return s;
}

__device__ void product(const float *a, const float *b, float *c, int M, int N, int K, int exact)
{
    __shared__ __align__(16) float a_tile[2][BM][A_LINE], b_tile[2][BK][B_LINE];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int row = warp / (BN / WN) * WM, column = warp % (BN / WN) * WN;

    float sum[DOWN][ACROSS][4] = {};
    copy_tile(&a_tile[0][0][0], A_LINE, BM, BK, a, M, K, m0, 0);
    copy_tile(&b_tile[0][0][0], B_LINE, BK, BN, b, K, N, 0, n0);
    cp_async_commit();
    for (int k0 = 0, now = 0; k0 < K; k0 += BK, now = 1 - now) {
        CP_ASYNC_WAIT(0);
        __syncthreads();
        if (k0 + BK < K) {
            copy_tile(&a_tile[1 - now][0][0], A_LINE, BM, BK, a, M, K, m0, k0 + BK);
            copy_tile(&b_tile[1 - now][0][0], B_LINE, BK, BN, b, K, N, k0 + BK, n0);
            cp_async_commit();
        }
#pragma unroll
        for (int k = 0; k < BK; k += 8) {
            unsigned high_b[ACROSS][2], low_b[ACROSS][2];
#pragma unroll
            for (int j = 0; j < ACROSS; j++)
                for (int e = 0; e < 2; e++) {
                    Split s = split(b_tile[now][k + t + 4 * e][column + 8 * j + g]);
                    high_b[j][e] = s.high, low_b[j][e] = s.low;
                }
#pragma unroll
            for (int i = 0; i < DOWN; i++) {
                unsigned high_a[4], low_a[4];
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    Split s = split(a_tile[now][row + 16 * i + g + 8 * (e % 2)][k + t + 4 * (e / 2)]);
                    high_a[e] = s.high, low_a[e] = s.low;
                }
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    if (!exact) {
                        mma_m16n8k8_tf32(sum[i][j], high_a, high_b[j]);
                        continue;
                    }
                    float part[4] = {};  // of these 8 products; the small ones first
                    mma_m16n8k8_tf32(part, low_a, high_b[j]);
                    mma_m16n8k8_tf32(part, high_a, low_b[j]);
                    mma_m16n8k8_tf32(part, high_a, high_b[j]);
                    for (int e = 0; e < 4; e++) sum[i][j][e] += part[e];
                }
            }
        }
    }
    for (int i = 0; i < DOWN; i++)
        for (int j = 0; j < ACROSS; j++)
            for (int e = 0; e < 4; e++) {
                int m = m0 + row + 16 * i + g + 8 * (e / 2), n = n0 + column + 8 * j + 2 * t + e % 2;
                if (m < M && n < N) c[m * N + n] = sum[i][j][e];
            }
}

extern "C" __global__ void __launch_bounds__(THREADS)
matmul_tf32(const float *a, const float *b, float *c, int M, int N, int K)
{
    product(a, b, c, M, N, K, 0);
}

extern "C" __global__ void __launch_bounds__(THREADS)
matmul_3xtf32(const float *a, const float *b, float *c, int M, int N, int K)
{
    product(a, b, c, M, N, K, 1);
}
