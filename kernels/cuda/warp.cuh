// Operations of the 32 threads of a warp: after five exchanges of registers each thread has the result, without shared memory.

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

// The maximum of a row x (C), and the sum of e^(x - maximum). fmaxf ignores a NaN, but the sum becomes NaN.
__device__ inline float largest_and_total(const float *x, int C, int lane, float &total)
{
    float largest = x[0];
    for (int c = lane; c < C; c += 32) largest = fmaxf(largest, x[c]);
    largest = largest_of_warp(largest);
    total = 0.0f;
    for (int c = lane; c < C; c += 32) total += expf(x[c] - largest);
    total = sum_of_warp(total);
    return largest;
}
