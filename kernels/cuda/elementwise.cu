// Activations and dropout: one thread for each element. They are as fast as memory: neighbouring threads read neighbours.

#define EACH(i, size)                                     \
    int i = blockIdx.x * blockDim.x + threadIdx.x;        \
    if (i >= size) return

extern "C" __global__ void relu(const float *x, float *y, int size)
{
    EACH(i, size);
    y[i] = x[i] < 0.0f ? 0.0f : x[i];  // and not "x > 0 ? x : 0": NaN stays NaN
}

extern "C" __global__ void relu_backward(const float *dy, const float *y, float *dx, int size)
{
    EACH(i, size);
    dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

extern "C" __global__ void sigmoid(const float *x, float *y, int size)
{
    EACH(i, size);
    float e = expf(-fabsf(x[i]));  // the exponent is never positive: nothing overflows
    y[i] = (x[i] < 0.0f ? e : 1.0f) / (1.0f + e);
}

extern "C" __global__ void sigmoid_backward(const float *dy, const float *y, float *dx, int size)
{
    EACH(i, size);
    dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

// with a suffix, since C has a function tanh
extern "C" __global__ void tanh_forward(const float *x, float *y, int size)
{
    EACH(i, size);
    y[i] = tanhf(x[i]);
}

extern "C" __global__ void tanh_backward(const float *dy, const float *y, float *dx, int size)
{
    EACH(i, size);
    dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

// Forward and backward: y = x mask scale. Dropped elements are multiplied by 0 as in the reference: infinity becomes NaN.
extern "C" __global__ void dropout(const float *x, const bool *mask, float *y, int size, float scale)
{
    EACH(i, size);
    y[i] = x[i] * (mask[i] ? 1.0f : 0.0f) * scale;
}
