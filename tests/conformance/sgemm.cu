// c (m,n) = a (m,k) b (k,n), all row by row, in six well-known steps: the emulator must run each right and find nothing.

// Each thread one element; neighbouring threads take neighbouring rows, which is the slow way round.
extern "C" __global__ void naive(const float* a, const float* b, float* c, int m, int n, int k) {
    int row = blockIdx.x * blockDim.x + threadIdx.x, column = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || column >= n) return;
    float sum = 0;
    for (int i = 0; i < k; i++) sum += a[row * k + i] * b[i * n + column];
    c[row * n + column] = sum;
}

// The same with rows and columns exchanged: neighbouring threads read neighbouring elements of b.
extern "C" __global__ void coalesced(const float* a, const float* b, float* c, int m, int n, int k) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || column >= n) return;
    float sum = 0;
    for (int i = 0; i < k; i++) sum += a[row * k + i] * b[i * n + column];
    c[row * n + column] = sum;
}

// Tiles of a and b in shared memory: each element is read from global memory 16 times less often.
extern "C" __global__ void shared_tiles(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float a_tile[16][16], b_tile[16][16];
    int x = threadIdx.x, y = threadIdx.y, column = blockIdx.x * 16 + x, row = blockIdx.y * 16 + y;
    float sum = 0;
    for (int start = 0; start < k; start += 16) {
        a_tile[y][x] = row < m && start + x < k ? a[row * k + start + x] : 0;
        b_tile[y][x] = start + y < k && column < n ? b[(start + y) * n + column] : 0;
        __syncthreads();
        for (int i = 0; i < 16; i++) sum += a_tile[y][i] * b_tile[i][x];
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}

// 1-D register tiles: a thread makes 4 elements of a column. 32 x 32 elements, 256 threads.
extern "C" __global__ void column_of_four(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float a_tile[32][8], b_tile[8][32];
    int t = threadIdx.x, x = t % 32, y = t / 32 * 4, row = blockIdx.y * 32, column = blockIdx.x * 32;
    float sum[4] = {0, 0, 0, 0};
    for (int start = 0; start < k; start += 8) {
        int ar = row + t / 8, ac = start + t % 8, br = start + t / 32, bc = column + x;
        a_tile[t / 8][t % 8] = ar < m && ac < k ? a[ar * k + ac] : 0;
        b_tile[t / 32][x] = br < k && bc < n ? b[br * n + bc] : 0;
        __syncthreads();
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 4; j++) sum[j] += a_tile[y + j][i] * b_tile[i][x];
        __syncthreads();
    }
    for (int j = 0; j < 4; j++)
        if (row + y + j < m && column + x < n) c[(row + y + j) * n + column + x] = sum[j];
}

// 2-D register tiles: 4 x 4 elements a thread. 64 x 64 elements, 256 threads.
extern "C" __global__ void square_of_four(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float a_tile[8][64], b_tile[8][64];
    int t = threadIdx.x, x = t % 16 * 4, y = t / 16 * 4, row = blockIdx.y * 64, column = blockIdx.x * 64;
    float sum[4][4] = {};
    for (int start = 0; start < k; start += 8) {
        for (int e = t; e < 512; e += 256) {
            int ar = row + e / 8, ac = start + e % 8, br = start + e / 64, bc = column + e % 64;
            a_tile[e % 8][e / 8] = ar < m && ac < k ? a[ar * k + ac] : 0;
            b_tile[e / 64][e % 64] = br < k && bc < n ? b[br * n + bc] : 0;
        }
        __syncthreads();
        for (int i = 0; i < 8; i++)
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) sum[p][q] += a_tile[i][y + p] * b_tile[i][x + q];
        __syncthreads();
    }
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 4; q++)
            if (row + y + p < m && column + x + q < n) c[(row + y + p) * n + column + x + q] = sum[p][q];
}

// The same with 16-byte loads and stores: m, n and k must be multiples of 4, so that every row begins aligned.
extern "C" __global__ void vectors(const float* a, const float* b, float* c, int m, int n, int k) {
    extern __shared__ __align__(16) float tiles[];
    float *a_tile = tiles, *b_tile = tiles + 8 * 64;
    int t = threadIdx.x, x = t % 16 * 4, y = t / 16 * 4, row = blockIdx.y * 64, column = blockIdx.x * 64;
    const float4 zero = make_float4(0, 0, 0, 0);
    float4 sum[4] = {zero, zero, zero, zero};
    for (int start = 0; start < k; start += 8) {
        if (t < 128) {
            int r = t / 2, i = t % 2 * 4;
            bool there = row + r < m && start + i < k;
            float4 v = there ? *(const float4*)(a + (row + r) * k + start + i) : zero;
            a_tile[i * 64 + r] = v.x, a_tile[(i + 1) * 64 + r] = v.y;
            a_tile[(i + 2) * 64 + r] = v.z, a_tile[(i + 3) * 64 + r] = v.w;
        } else {
            int i = (t - 128) / 16, q = t % 16 * 4;
            bool there = start + i < k && column + q < n;
            *(float4*)(b_tile + i * 64 + q) = there ? *(const float4*)(b + (start + i) * n + column + q) : zero;
        }
        __syncthreads();
        for (int i = 0; i < 8; i++) {
            float4 u = *(float4*)(a_tile + i * 64 + y), v = *(float4*)(b_tile + i * 64 + x);
            float f[4] = {u.x, u.y, u.z, u.w};
            for (int p = 0; p < 4; p++) {
                sum[p].x += f[p] * v.x, sum[p].y += f[p] * v.y;
                sum[p].z += f[p] * v.z, sum[p].w += f[p] * v.w;
            }
        }
        __syncthreads();
    }
    for (int p = 0; p < 4; p++)
        if (row + y + p < m && column + x < n) *(float4*)(c + (row + y + p) * n + column + x) = sum[p];
}
