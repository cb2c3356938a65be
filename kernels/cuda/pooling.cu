// Max and average pooling of x (N,H,W,C), any window, stride and padding.
//
// Forward: a thread makes one number of y. Backward: a thread makes one number of dx, from every window that reaches
// it: so threads never add to the same number, and the order of the sum is fixed.
//
//     output row i, window row p   <->   input row h = i * stride_y + p - top

#define MINUS_INFINITY __int_as_float(0xff800000)

#define POOLING                                                                                                   \
    int images, int height, int width, int channels, int out_height, int out_width, int size_y, int size_x,       \
        int stride_y, int stride_x, int top, int left

__device__ inline int at(int n, int i, int j, int c, int height, int width, int channels)
{
    return ((n * height + i) * width + j) * channels + c;
}

// How many of the `size` pixels of window i along an axis are real ones.
__device__ inline int covered(int i, int size, int stride, int before, int extent)
{
    int start = i * stride - before;
    return min(start + size, extent) - max(start, 0);
}

extern "C" __global__ void max_pool(const float *x, float *y, unsigned char *winner, POOLING)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * out_height * out_width * channels) return;
    int c = thread % channels, j = thread / channels % out_width;
    int i = thread / channels / out_width % out_height, n = thread / channels / out_width / out_height;

    float largest = MINUS_INFINITY;
    int best = 0;
    for (int p = 0; p < size_y; p++)
        for (int q = 0; q < size_x; q++) {
            int h = i * stride_y + p - top, w = j * stride_x + q - left;
            if (h < 0 || h >= height || w < 0 || w >= width) continue;
            float v = x[at(n, h, w, c, height, width, channels)];
            if (v > largest) best = p * size_x + q;          // the first maximum wins
            if (v > largest || v != v) largest = v;          // NaN stays
        }
    y[thread] = largest;
    winner[thread] = best;
}

extern "C" __global__ void max_pool_backward(const float *dy, const unsigned char *winner, float *dx, POOLING)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * height * width * channels) return;
    int c = thread % channels, w = thread / channels % width;
    int h = thread / channels / width % height, n = thread / channels / width / height;

    float sum = 0.0f;
    for (int p = 0; p < size_y; p++)
        for (int q = 0; q < size_x; q++) {
            int i = (h + top - p) / stride_y, j = (w + left - q) / stride_x;
            if (i * stride_y != h + top - p || i < 0 || i >= out_height) continue;
            if (j * stride_x != w + left - q || j < 0 || j >= out_width) continue;
            int from = at(n, i, j, c, out_height, out_width, channels);
            if (winner[from] == p * size_x + q) sum += dy[from];
        }
    dx[thread] = sum;
}

extern "C" __global__ void average_pool(const float *x, float *y, POOLING)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * out_height * out_width * channels) return;
    int c = thread % channels, j = thread / channels % out_width;
    int i = thread / channels / out_width % out_height, n = thread / channels / out_width / out_height;

    float sum = 0.0f;
    for (int p = 0; p < size_y; p++)
        for (int q = 0; q < size_x; q++) {
            int h = i * stride_y + p - top, w = j * stride_x + q - left;
            if (h >= 0 && h < height && w >= 0 && w < width) sum += x[at(n, h, w, c, height, width, channels)];
        }
    int count = covered(i, size_y, stride_y, top, height) * covered(j, size_x, stride_x, left, width);
    y[thread] = sum / count;
}

extern "C" __global__ void average_pool_backward(const float *dy, float *dx, POOLING)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * height * width * channels) return;
    int c = thread % channels, w = thread / channels % width;
    int h = thread / channels / width % height, n = thread / channels / width / height;

    float sum = 0.0f;
    for (int p = 0; p < size_y; p++)
        for (int q = 0; q < size_x; q++) {
            int i = (h + top - p) / stride_y, j = (w + left - q) / stride_x;
            if (i * stride_y != h + top - p || i < 0 || i >= out_height) continue;
            if (j * stride_x != w + left - q || j < 0 || j >= out_width) continue;
            int count = covered(i, size_y, stride_y, top, height) * covered(j, size_x, stride_x, left, width);
            sum += dy[at(n, i, j, c, out_height, out_width, channels)] / count;
        }
    dx[thread] = sum;
}

// For convolution + ReLU + 2x2 max pooling (conv_forward.cu): the gradient dz of the convolution. A number of dy goes to
// its window's winner; the winner NOBODY (4) is none of them.
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
