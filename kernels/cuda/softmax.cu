// Softmax of the rows of x (R,C), and its logarithm: one warp for each row; a lane takes every 32nd element.

#include "warp.cuh"

extern "C" __global__ void softmax(const float *x, float *p, int R, int C)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;  // the whole warp
    x += row * C;
    p += row * C;

    float total, largest = largest_and_total(x, C, lane, total);
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

// y = x - ln(sum of e^x)
extern "C" __global__ void log_softmax(const float *x, float *y, int R, int C)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;
    x += row * C;
    y += row * C;

    float total, largest = largest_and_total(x, C, lane, total);
    total = logf(total);
    for (int c = lane; c < C; c += 32) y[c] = x[c] - largest - total;
}

// dx = dy - e^y sum(dy)
extern "C" __global__ void log_softmax_backward(const float *dy, const float *y, float *dx, int R, int C)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;
    dy += row * C;
    y += row * C;
    dx += row * C;

    float total = 0.0f;
    for (int c = lane; c < C; c += 32) total += dy[c];
    total = sum_of_warp(total);
    for (int c = lane; c < C; c += 32) dx[c] = dy[c] - expf(y[c]) * total;
}
