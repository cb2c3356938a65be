// Max and average pooling of x (N,H,W,C), any window, stride and padding.
//
// Forward: a thread computes one element of y. Backward: a thread computes one element of dx, from every window that
// contains it. So no two threads add to the same element, and the order of the sum is fixed.
//
//     output row i, window row p   <->   input row h = i * stride_y + p - top
//
// __grid_constant__: a kernel reads g where it lies, instead of copying it to registers first.

#define MINUS_INFINITY __int_as_float(0xff800000)

struct Windows {
    int images, height, width, channels;  // x
    int out_height, out_width;            // y
    int size_y, size_x, stride_y, stride_x;
    int top, left;                        // padding
};

__device__ inline int at(int n, int i, int j, int c, int height, int width, int channels)
{
    return ((n * height + i) * width + j) * channels + c;
}

// How many of the `size` pixels of window i along an axis lie inside the image.
__device__ inline int covered(int i, int size, int stride, int before, int extent)
{
    int start = i * stride - before;
    return min(start + size, extent) - max(start, 0);
}

extern "C" __global__ void max_pool(const float *x, float *y, unsigned char *winner, const __grid_constant__ Windows g)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.out_height * g.out_width * g.channels) return;
    int c = thread % g.channels, j = thread / g.channels % g.out_width;
    int i = thread / g.channels / g.out_width % g.out_height, n = thread / g.channels / g.out_width / g.out_height;

    float largest = MINUS_INFINITY;
    int best = 0;
    for (int p = 0; p < g.size_y; p++)
        for (int q = 0; q < g.size_x; q++) {
            int h = i * g.stride_y + p - g.top, w = j * g.stride_x + q - g.left;
            if (h < 0 || h >= g.height || w < 0 || w >= g.width) continue;
            float v = x[at(n, h, w, c, g.height, g.width, g.channels)];
            if (v > largest) best = p * g.size_x + q;  // the first maximum wins
            if (v > largest || v != v) largest = v;  // NaN stays
        }
    y[thread] = largest;
    winner[thread] = best;
}

extern "C" __global__ void max_pool_backward(const float *dy, const unsigned char *winner, float *dx,
                                             const __grid_constant__ Windows g)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.height * g.width * g.channels) return;
    int c = thread % g.channels, w = thread / g.channels % g.width;
    int h = thread / g.channels / g.width % g.height, n = thread / g.channels / g.width / g.height;

    float sum = 0.0f;
    for (int p = 0; p < g.size_y; p++)
        for (int q = 0; q < g.size_x; q++) {
            int i = (h + g.top - p) / g.stride_y, j = (w + g.left - q) / g.stride_x;
            if (i * g.stride_y != h + g.top - p || i < 0 || i >= g.out_height) continue;
            if (j * g.stride_x != w + g.left - q || j < 0 || j >= g.out_width) continue;
            int from = at(n, i, j, c, g.out_height, g.out_width, g.channels);
            if (winner[from] == p * g.size_x + q) sum += dy[from];
        }
    dx[thread] = sum;
}

extern "C" __global__ void average_pool(const float *x, float *y, const __grid_constant__ Windows g)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.out_height * g.out_width * g.channels) return;
    int c = thread % g.channels, j = thread / g.channels % g.out_width;
    int i = thread / g.channels / g.out_width % g.out_height, n = thread / g.channels / g.out_width / g.out_height;

    float sum = 0.0f;
    for (int p = 0; p < g.size_y; p++)
        for (int q = 0; q < g.size_x; q++) {
            int h = i * g.stride_y + p - g.top, w = j * g.stride_x + q - g.left;
            if (h >= 0 && h < g.height && w >= 0 && w < g.width) sum += x[at(n, h, w, c, g.height, g.width, g.channels)];
        }
    int count = covered(i, g.size_y, g.stride_y, g.top, g.height) * covered(j, g.size_x, g.stride_x, g.left, g.width);
    y[thread] = sum / count;
}

extern "C" __global__ void average_pool_backward(const float *dy, float *dx, const __grid_constant__ Windows g)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.height * g.width * g.channels) return;
    int c = thread % g.channels, w = thread / g.channels % g.width;
    int h = thread / g.channels / g.width % g.height, n = thread / g.channels / g.width / g.height;

    float sum = 0.0f;
    for (int p = 0; p < g.size_y; p++)
        for (int q = 0; q < g.size_x; q++) {
            int i = (h + g.top - p) / g.stride_y, j = (w + g.left - q) / g.stride_x;
            if (i * g.stride_y != h + g.top - p || i < 0 || i >= g.out_height) continue;
            if (j * g.stride_x != w + g.left - q || j < 0 || j >= g.out_width) continue;
            int count = covered(i, g.size_y, g.stride_y, g.top, g.height) * covered(j, g.size_x, g.stride_x, g.left, g.width);
            sum += dy[at(n, i, j, c, g.out_height, g.out_width, g.channels)] / count;
        }
    dx[thread] = sum;
}

// For convolution + ReLU + 2x2 max pooling (conv_forward.cu): the gradient dz of the convolution. An element of dy goes to
// the pixel that won its window; the winner NONE (4) is no pixel of it.
extern "C" __global__ void unpool(const float *dy, const unsigned char *winner, float *dz, int images, int height,
                                  int width, int channels)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * height * width * channels) return;
    int c = thread % channels, w = thread / channels % width;
    int h = thread / channels / width % height, n = thread / channels / width / height;

    float slope = 0.0f;
    if (h / 2 < height / 2 && w / 2 < width / 2) {  // a last odd row or column is in no window
        int window = at(n, h / 2, w / 2, c, height / 2, width / 2, channels);
        if (winner[window] == h % 2 * 2 + w % 2) slope = dy[window];
    }
    dz[thread] = slope;
}
