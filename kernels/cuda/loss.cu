// The losses that are fused with their sigmoid or softmax: from scores z to terms, whose sum is the loss, and to slopes,
// which multiplied by dL are the gradient. Both are already weighted and divided by the number of terms.
//
//     sigmoid_crossentropy          one thread for each score     term = ln(1 + e^z) - z t          slope = sigmoid(z) - t
//     softmax_crossentropy          one warp for each row         term = -sum(t ln p)               slope = p sum(t) - t
//     sparse_softmax_crossentropy   one warp for each row         term = -ln p[label]               slope = p - (1 at label)
//
// A label that is no class (negative, or C and more) gives NaN, which stops training, and reads nothing out of bounds.

#include "warp.cuh"

#define EACH(i, size)                                     \
    int i = blockIdx.x * blockDim.x + threadIdx.x;        \
    if (i >= size) return

struct Weights {
    int repeats, weighted;  // whether there are weights: one for every `repeats` terms
    float share;            // 1 / the number of terms
};

extern "C" __global__ void sigmoid_crossentropy(const float *z, const float *t, const float *weight, float *terms,
                                                float *slope, int size, Weights weights)
{
    EACH(i, size);
    float w = weights.weighted ? weight[i / weights.repeats] * weights.share : weights.share;
    float e = expf(-fabsf(z[i]));  // the exponent is never positive: nothing overflows
    terms[i] = (fmaxf(z[i], 0.0f) + log1pf(e) - z[i] * t[i]) * w;
    slope[i] = ((z[i] < 0.0f ? e : 1.0f) / (1.0f + e) - t[i]) * w;
}

extern "C" __global__ void softmax_crossentropy(const float *z, const float *t, const float *weight, float *terms,
                                                float *slope, int R, int C, Weights weights)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;  // the whole warp
    z += row * C;
    t += row * C;
    slope += row * C;

    float w = weights.weighted ? weight[row / weights.repeats] * weights.share : weights.share;
    float total, largest = largest_and_total(z, C, lane, total), log_total = logf(total);
    float term = 0.0f, sum = 0.0f;
    for (int c = lane; c < C; c += 32) {
        term -= t[c] * (z[c] - largest - log_total);
        sum += t[c];
    }
    term = sum_of_warp(term);
    sum = sum_of_warp(sum);
    if (lane == 0) terms[row] = term * w;
    for (int c = lane; c < C; c += 32) slope[c] = (expf(z[c] - largest) / total * sum - t[c]) * w;
}

extern "C" __global__ void sparse_softmax_crossentropy(const float *z, const int *labels, const float *weight, float *terms,
                                                       float *slope, int R, int C, Weights weights)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= R) return;
    z += row * C;
    slope += row * C;

    int label = labels[row];
    float w = weights.weighted ? weight[row / weights.repeats] * weights.share : weights.share;
    if (label < 0 || label >= C) w = nanf("");
    float total, largest = largest_and_total(z, C, lane, total);
    if (lane == 0) terms[row] = label < 0 || label >= C ? w : -(z[label] - largest - logf(total)) * w;
    for (int c = lane; c < C; c += 32) slope[c] = (expf(z[c] - largest) / total - (c == label ? 1.0f : 0.0f)) * w;
}

// dz = dL slope; dL is an array of one element
extern "C" __global__ void loss_backward(const float *dL, const float *slope, float *dz, int size)
{
    EACH(i, size);
    dz[i] = dL[0] * slope[i];
}
