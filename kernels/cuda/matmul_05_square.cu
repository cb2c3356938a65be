// Step 5. A thread makes TM x TN numbers: TM + TN reads of shared memory for TM TN products, 16 for 64.

#define BM 128
#define BN 128
#define BK 8
#define TM 8
#define TN 8
#define THREADS (BM / TM * (BN / TN))

extern "C" __global__ void __launch_bounds__(THREADS)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ float a_tile[BM][BK], b_tile[BK][BN];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int row = threadIdx.x / (BN / TN) * TM, column = threadIdx.x % (BN / TN) * TN;

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < K; k0 += BK) {
        for (int i = threadIdx.x; i < BM * BK; i += THREADS) {
            int m = i / BK, k = i % BK;
            a_tile[m][k] = m0 + m < M && k0 + k < K ? a[(m0 + m) * K + k0 + k] : 0.0f;
        }
        for (int i = threadIdx.x; i < BK * BN; i += THREADS) {
            int k = i / BN, n = i % BN;
            b_tile[k][n] = k0 + k < K && n0 + n < N ? b[(k0 + k) * N + n0 + n] : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < BK; k++) {
            float left[TM], right[TN];  // in registers: all loops over them have constant bounds
            for (int i = 0; i < TM; i++) left[i] = a_tile[row + i][k];
            for (int j = 0; j < TN; j++) right[j] = b_tile[k][column + j];
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) {
            int m = m0 + row + i, n = n0 + column + j;
            if (m < M && n < N) c[m * N + n] = sum[i][j];
        }
}
