// Step 1. c (M,N) = a (M,K) b (K,N): one thread, one number of c, as the equation stands.
//
// Slow for two reasons. Every number of a is read N times and every number of b M times. And neighbouring threads
// (threadIdx.x) take neighbouring ROWS: for each k a warp reads 32 numbers of a that lie K apart, 32 transactions.

extern "C" __global__ void matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    int m = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.y * blockDim.y + threadIdx.y;
    if (m >= M || n >= N) return;
    float sum = 0.0f;
    for (int k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];
    c[m * N + n] = sum;
}
