// y (M,N) = A B + bias, then ReLU: the product that the layers use. Any M, N, K; each matrix may lie transposed.
//
// A is a (M,K), or with -DA_TRANSPOSED=1 a (K,M); B is b (K,N), or with -DB_TRANSPOSED=1 b (N,K).
// blockIdx.z counts the matrices of a batch and, within each, the pieces of K: a product with few tiles and a long K would
// leave most of the GPU idle. Then y is a workspace (batch, pieces, M, N), and add_pieces (sums.cu) adds up the pieces in
// a fixed order. __grid_constant__: the kernel reads the plan where it lies, instead of copying it to registers first.

#include "tile.cuh"

struct Plan {
    int a_stride, b_stride;  // floats from a matrix of the batch to the next; 0: all share one
    int pieces, piece;       // of K: how many, and how long each is
    int biased, relu;        // whether to add bias (N), and whether to apply ReLU
};

extern "C" __global__ void __launch_bounds__(THREADS)
matmul(const float *a, const float *b, const float *bias, float *y, int M, int N, int K,
       const __grid_constant__ Plan plan)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];

    int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
    int matrix = blockIdx.z / plan.pieces, k_first = blockIdx.z % plan.pieces * plan.piece;
    int k_end = min(K, k_first + plan.piece);
    a += matrix * plan.a_stride;
    b += matrix * plan.b_stride;
    y += blockIdx.z * M * N;

    float sum[TM][TN] = {};
    for (int k0 = k_first; k0 < k_end; k0 += BK) {
        if (A_TRANSPOSED) load_rows(&left[0][0], BM, a, k0, k_end, m0, M);
        else load_columns(&left[0][0], BM, a, K, k0, k_end, m0, M);
        if (B_TRANSPOSED) load_columns(&right[0][0], BN, b, K, k0, k_end, n0, N);
        else load_rows(&right[0][0], BN, b, k0, k_end, n0, N);
        __syncthreads();  // the tiles are complete
        multiply(left, right, sum);
        __syncthreads();  // all threads have read them
    }

    for (int i = 0; i < TM; i++) {
        int m = m0 + row_of(i);
        if (m >= M) continue;
        for (int j = 0; j < TN; j += 4) {
            int n = n0 + column_of(j);
            for (int e = 0; e < 4; e++) {
                float z = sum[i][j + e] + (plan.biased && n + e < N ? bias[n + e] : 0.0f);
                sum[i][j + e] = plan.relu && z < 0.0f ? 0.0f : z;  // NaN stays NaN
            }
            store_four(y + m * N, n, N, &sum[i][j]);
        }
    }
}
