// Step 2. The same, but neighbouring threads take neighbouring COLUMNS: a warp reads 32 neighbours of b, which is one
// transaction, and one number of a, which all its lanes share. Two letters have changed.

extern "C" __global__ void matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    int n = blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y * blockDim.y + threadIdx.y;
    if (m >= M || n >= N) return;
    float sum = 0.0f;
    for (int k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];
    c[m * N + n] = sum;
}
