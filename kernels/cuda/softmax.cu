// Softmax of the rows of x (R,C): one warp a row, ROWS rows a block. The warp's lanes walk along the row 32 apart and
// combine what they found by shuffles: in five exchanges every lane has the sum of all 32, without shared memory.

#define ALL 0xffffffffu

__device__ inline float sum_of_warp(float v)
{
    for (int distance = 16; distance > 0; distance /= 2) v += __shfl_xor_sync(ALL, v, distance);
    return v;
}

__device__ inline float largest_of_warp(float v)
{
    for (int distance = 16; distance > 0; distance /= 2) v = fmaxf(v, __shfl_xor_sync(ALL, v, distance));
    return v;
}

extern "C" __global__ void softmax(const float *x, float *p, int R, int C)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;  // the whole warp
    x += row * C;
    p += row * C;

    float largest = x[0];
    for (int c = lane; c < C; c += 32) largest = fmaxf(largest, x[c]);
    largest = largest_of_warp(largest);

    float total = 0.0f;  // a NaN was no maximum, but it makes the sum NaN
    for (int c = lane; c < C; c += 32) total += expf(x[c] - largest);
    total = sum_of_warp(total);

    for (int c = lane; c < C; c += 32) p[c] = expf(x[c] - largest) / total;
}

// dx = p (dp - sum(dp p))
extern "C" __global__ void softmax_backward(const float *dp, const float *p, float *dx, int R, int C)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;
    dp += row * C;
    p += row * C;
    dx += row * C;

    float total = 0.0f;
    for (int c = lane; c < C; c += 32) total += dp[c] * p[c];
    total = sum_of_warp(total);
    for (int c = lane; c < C; c += 32) dx[c] = p[c] * (dp[c] - total);
}
