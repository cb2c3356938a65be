// Convolution as its equation: one thread for each element of the result. Slow, because every number is read from memory
// again for each product, but short. It runs where channels are grouped.
//
// The kernel is not flipped (correlate2d); for conv2d the launcher flips w.

#include "geometry.cuh"

extern "C" __global__ void forward(const float *x, const float *w, const float *bias, float *y,
                                   Geometry g, int groups, int biased)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.out_height * g.out_width * g.filters) return;
    int f = thread % g.filters, own = g.channels / groups, first = f / (g.filters / groups) * own;  // this filter's channels
    Pixel out = pixel_of(thread / g.filters, g.out_height, g.out_width);

    float sum = biased ? bias[f] : 0.0f;
    for (int p = 0; p < g.kernel_height; p++)
        for (int q = 0; q < g.kernel_width; q++) {
            int h = out.row * g.stride_y + p * g.dilation_y - g.top_border;
            int v = out.column * g.stride_x + q * g.dilation_x - g.left_border;
            bool inside = h >= 0 && h < g.height && v >= 0 && v < g.width;
            for (int c = 0; c < own; c++) {
                float pixel = inside ? x[((out.image * g.height + h) * g.width + v) * g.channels + first + c] : 0.0f;
                sum += pixel * w[((p * g.kernel_width + q) * own + c) * g.filters + f];
            }
        }
    y[thread] = sum;
}

extern "C" __global__ void gradient_of_x(const float *dy, const float *w, float *dx, Geometry g, int groups)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= g.images * g.height * g.width * g.channels) return;
    Pixel in = pixel_of(thread / g.channels, g.height, g.width);
    dx[thread] = gradient_of_pixel(dy, w, in, thread % g.channels, groups, g);
}

// A weight's gradient sums over output pixels: block (.., k) takes piece k of them. add_pieces (sums.cu) adds up the pieces.
extern "C" __global__ void gradient_of_w(const float *x, const float *dy, float *pieces,
                                         Geometry g, int groups, int piece)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x, own = g.channels / groups;
    int weights = g.kernel_height * g.kernel_width * own * g.filters, pixels = g.images * g.out_height * g.out_width;
    if (thread >= weights) return;
    int f = thread % g.filters, c = f / (g.filters / groups) * own + thread / g.filters % own;
    int tap = thread / g.filters / own, p = tap / g.kernel_width, q = tap % g.kernel_width;

    float sum = 0.0f;
    for (int m = blockIdx.y * piece; m < min(pixels, (blockIdx.y + 1) * piece); m++) {
        Pixel out = pixel_of(m, g.out_height, g.out_width);
        int h = out.row * g.stride_y + p * g.dilation_y - g.top_border;
        int v = out.column * g.stride_x + q * g.dilation_x - g.left_border;
        bool inside = h >= 0 && h < g.height && v >= 0 && v < g.width;
        sum += (inside ? x[((out.image * g.height + h) * g.width + v) * g.channels + c] : 0.0f) * dy[m * g.filters + f];
    }
    pieces[blockIdx.y * weights + thread] = sum;
}
