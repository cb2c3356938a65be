// Step 3. A block of TILE x TILE threads copies a tile of a and a tile of b into shared memory, uses every number TILE
// times, and goes on to the next pair of tiles: global memory is read TILE times less often.

#define TILE 32

extern "C" __global__ void __launch_bounds__(TILE * TILE)
matmul(const float *a, const float *b, float *c, int M, int N, int K)
{
    __shared__ float a_tile[TILE][TILE], b_tile[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y, n = blockIdx.x * TILE + x, m = blockIdx.y * TILE + y;

    float sum = 0.0f;
    for (int k0 = 0; k0 < K; k0 += TILE) {
        a_tile[y][x] = m < M && k0 + x < K ? a[m * K + k0 + x] : 0.0f;  // beyond the edge: zeros, which add nothing
        b_tile[y][x] = k0 + y < K && n < N ? b[(k0 + y) * N + n] : 0.0f;
        __syncthreads();  // all have written
        for (int k = 0; k < TILE; k++) sum += a_tile[y][k] * b_tile[k][x];
        __syncthreads();  // all have read
    }
    if (m < M && n < N) c[m * N + n] = sum;
}
