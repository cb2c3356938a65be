// Step 8. There are two pairs of tiles: while the threads multiply one pair, the other is being copied. cp.async copies from
// global into shared memory without a register in between, and the threads wait for it only when they need the data.
//
//      copy 0 | copy 1 ......... | copy 2 ......... |
//             | multiply tile 0  | multiply tile 1  | ...
//
// A copy cannot transpose, so a's tile is not transposed; a thread reads four numbers of a row at once, for four values of k.

#include "copy.cuh"

#define BM 128
#define BN 128
#define BK 16
#define TM 8
#define TN 8
#define THREADS (BM / TM * (BN / TN))
#define LANES_DOWN 8  // a warp: 8 threads down, 4 across
#define LANES_ACROSS 4
#define WM (LANES_DOWN * TM)
#define WN (LANES_ACROSS * TN)
#define LINE (BK + 4)  // the rows that a warp reads at a time begin in different banks; those that cp.async writes share four

extern "C" __global__ void __launch_bounds__(THREADS, 2)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ __align__(16) float a_tile[2][BM][LINE], b_tile[2][BK][BN];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / (BN / WN) * WM + lane / LANES_ACROSS;         // and every LANES_DOWN further on
    int column = warp % (BN / WN) * WN + lane % LANES_ACROSS * 4;  // and 4 LANES_ACROSS further on

    __align__(16) float sum[TM][TN] = {};
    copy_tile(&a_tile[0][0][0], LINE, BM, BK, a, M, K, m0, 0);
    copy_tile(&b_tile[0][0][0], BN, BK, BN, b, K, N, 0, n0);
    cp_async_commit();
    for (int k0 = 0, now = 0; k0 < K; k0 += BK, now = 1 - now) {
        CP_ASYNC_WAIT(0);  // this thread's copies have arrived
        __syncthreads();   // all threads' copies have; and all threads have read the other pair
        if (k0 + BK < K) {
            copy_tile(&a_tile[1 - now][0][0], LINE, BM, BK, a, M, K, m0, k0 + BK);
            copy_tile(&b_tile[1 - now][0][0], BN, BK, BN, b, K, N, k0 + BK, n0);
            cp_async_commit();
        }
        for (int k = 0; k < BK; k += 4) {
            __align__(16) float left[TM][4], right[TN];
            for (int i = 0; i < TM; i++) *(float4 *)left[i] = *(const float4 *)&a_tile[now][row + i * LANES_DOWN][k];
            for (int r = 0; r < 4; r++) {
                *(float4 *)&right[0] = *(const float4 *)&b_tile[now][k + r][column];
                *(float4 *)&right[4] = *(const float4 *)&b_tile[now][k + r][column + 4 * LANES_ACROSS];
                for (int i = 0; i < TM; i++)
                    for (int j = 0; j < TN; j++) sum[i][j] += left[i][r] * right[j];
            }
        }
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int m = m0 + row + i * LANES_DOWN, n = n0 + column + j / 4 * (4 * LANES_ACROSS);
            if (m < M && n < N && N % 4 == 0) *(float4 *)&c[m * N + n] = *(const float4 *)&sum[i][j];
            else
                for (int e = 0; e < 4; e++)
                    if (m < M && n + e < N) c[m * N + n + e] = sum[i][j + e];
        }
}
