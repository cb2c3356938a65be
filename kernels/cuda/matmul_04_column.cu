// Step 4. A thread makes TM numbers, one below the other. Step 3 read two numbers of shared memory for each product;
// now a number of b stays in a register for TM products: TM + 1 reads for TM products.

#define BM 64  // the tile of c; BM x BK of a and BK x BN of b are in shared memory
#define BN 64
#define BK 8
#define TM 8
#define THREADS (BM / TM * BN)

extern "C" __global__ void __launch_bounds__(THREADS)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ float a_tile[BM][BK], b_tile[BK][BN];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN, column = threadIdx.x % BN, row = threadIdx.x / BN * TM;

    float sum[TM] = {};
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
            float right = b_tile[k][column];
            for (int i = 0; i < TM; i++) sum[i] += a_tile[row + i][k] * right;
        }
        __syncthreads();
    }
    for (int i = 0; i < TM; i++)
        if (m0 + row + i < M && n0 + column < N) c[(m0 + row + i) * N + n0 + column] = sum[i];
}
