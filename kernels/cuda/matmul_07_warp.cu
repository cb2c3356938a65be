// Step 7. The 32 threads of a warp take a tile of their own that is nearly square. Shared memory serves a whole warp at
// a time, so what counts is how many different numbers a warp reads. In step 6 a warp was 2 threads down, 16 across:
// 2 + 16 float4s, twice. Now it is 4 down, 8 across: 4 + 8. And a thread's columns come in two groups of four, so that
// the float4s of neighbouring threads are neighbours: no bank must serve two of them at once.
//
//      a warp's tile, 32 x 64, each lane 4 columns twice:
//
//      lane 0   lane 1 ... lane 7   lane 0   lane 1 ... lane 7
//      lane 8   ...                 lane 8   ...

#define BM 128
#define BN 128
#define BK 8
#define TM 8
#define TN 8
#define THREADS (BM / TM * (BN / TN))
#define LANES_DOWN 4
#define LANES_ACROSS 8
#define WM (LANES_DOWN * TM)    // a warp's tile
#define WN (LANES_ACROSS * TN)

__device__ inline float4 four(const float *row, int i, int size)
{
    if (size % 4 == 0 && i < size) return *(const float4 *)(row + i);
    return make_float4(i < size ? row[i] : 0.0f, i + 1 < size ? row[i + 1] : 0.0f, i + 2 < size ? row[i + 2] : 0.0f,
                       i + 3 < size ? row[i + 3] : 0.0f);
}

extern "C" __global__ void __launch_bounds__(THREADS)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ __align__(16) float a_tile[BK][BM + 4], b_tile[BK][BN];  // + 4: writing a transposed meets other banks
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / (BN / WN) * WM + lane / LANES_ACROSS * 4;     // and 4 LANES_DOWN further on
    int column = warp % (BN / WN) * WN + lane % LANES_ACROSS * 4;  // and 4 LANES_ACROSS further on
    float4 zero = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

    __align__(16) float sum[TM][TN] = {};
    for (int k0 = 0; k0 < K; k0 += BK) {
        for (int i = threadIdx.x; i < BM * BK / 4; i += THREADS) {
            int m = i / (BK / 4), k = i % (BK / 4) * 4;
            float4 v = m0 + m < M ? four(a + (m0 + m) * K, k0 + k, K) : zero;
            a_tile[k][m] = v.x, a_tile[k + 1][m] = v.y, a_tile[k + 2][m] = v.z, a_tile[k + 3][m] = v.w;
        }
        for (int i = threadIdx.x; i < BK * BN / 4; i += THREADS) {
            int k = i / (BN / 4), n = i % (BN / 4) * 4;
            *(float4 *)&b_tile[k][n] = k0 + k < K ? four(b + (k0 + k) * N, n0 + n, N) : zero;
        }
        __syncthreads();
        for (int k = 0; k < BK; k++) {
            __align__(16) float left[TM], right[TN];
            *(float4 *)&left[0] = *(const float4 *)&a_tile[k][row];
            *(float4 *)&left[4] = *(const float4 *)&a_tile[k][row + 4 * LANES_DOWN];
            *(float4 *)&right[0] = *(const float4 *)&b_tile[k][column];
            *(float4 *)&right[4] = *(const float4 *)&b_tile[k][column + 4 * LANES_ACROSS];
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int m = m0 + row + i / 4 * (4 * LANES_DOWN) + i % 4, n = n0 + column + j / 4 * (4 * LANES_ACROSS);
            if (m < M && n < N && N % 4 == 0) *(float4 *)&c[m * N + n] = *(const float4 *)&sum[i][j];
            else
                for (int e = 0; e < 4; e++)
                    if (m < M && n + e < N) c[m * N + n + e] = sum[i][j + e];
        }
}
