// Step 6. Memory is read four floats at a time: a quarter of the load instructions, from global memory and from shared.
// For this, a's tile lies transposed in shared memory, so that the TM numbers that a thread needs are neighbours.

#define BM 128
#define BN 128
#define BK 8
#define TM 8
#define TN 8
#define THREADS (BM / TM * (BN / TN))

// row[i .. i + 3], zero from `size` on. One load of 16 bytes where all rows begin at multiples of 16 bytes.
__device__ inline float4 four(const float *row, int i, int size)
{
    if (size % 4 == 0 && i < size) return *(const float4 *)(row + i);
    return make_float4(i < size ? row[i] : 0.0f, i + 1 < size ? row[i + 1] : 0.0f, i + 2 < size ? row[i + 2] : 0.0f,
                       i + 3 < size ? row[i + 3] : 0.0f);
}

extern "C" __global__ void __launch_bounds__(THREADS)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ __align__(16) float a_tile[BK][BM], b_tile[BK][BN];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int row = threadIdx.x / (BN / TN) * TM, column = threadIdx.x % (BN / TN) * TN;
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
            for (int i = 0; i < TM; i += 4) *(float4 *)&left[i] = *(const float4 *)&a_tile[k][row + i];
            for (int j = 0; j < TN; j += 4) *(float4 *)&right[j] = *(const float4 *)&b_tile[k][column + j];
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int m = m0 + row + i, n = n0 + column + j;
            if (m < M && n < N && N % 4 == 0) *(float4 *)&c[m * N + n] = *(const float4 *)&sum[i][j];
            else
                for (int e = 0; e < 4; e++)
                    if (m < M && n + e < N) c[m * N + n + e] = sum[i][j + e];
        }
}
