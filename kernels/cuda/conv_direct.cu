// Convolution as its equation: one thread, one number of the result. Slow (every number comes from memory again for
// each product it is part of), but short; and it is what runs where channels are grouped.
//
// The kernel is not flipped (correlate2d); conv2d hands in w flipped.

#include "geometry.cuh"

extern "C" __global__ void forward(const float *x, const float *w, const float *bias, float *y, GEOMETRY, int groups,
                                   int biased)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * out_height * out_width * filters) return;
    int f = thread % filters, own = channels / groups, first = f / (filters / groups) * own;  // this filter's channels
    Pixel out = pixel_of(thread / filters, out_height, out_width);

    float sum = biased ? bias[f] : 0.0f;
    for (int p = 0; p < kernel_height; p++)
        for (int q = 0; q < kernel_width; q++) {
            int h = out.row * stride_y + p * dilation_y - top_border;
            int v = out.column * stride_x + q * dilation_x - left_border;
            bool inside = h >= 0 && h < height && v >= 0 && v < width;
            for (int c = 0; c < own; c++) {
                float pixel = inside ? x[((out.image * height + h) * width + v) * channels + first + c] : 0.0f;
                sum += pixel * w[((p * kernel_width + q) * own + c) * filters + f];
            }
        }
    y[thread] = sum;
}

extern "C" __global__ void gradient_of_x(const float *dy, const float *w, float *dx, GEOMETRY, int groups)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * height * width * channels) return;
    Pixel in = pixel_of(thread / channels, height, width);
    dx[thread] = gradient_of_pixel(dy, w, in, thread % channels, groups, THE_GEOMETRY);
}

// Every weight collects over some output pixels: block (.., piece) takes `piece` of them. add_pieces (sums.cu) follows.
extern "C" __global__ void gradient_of_w(const float *x, const float *dy, float *pieces, GEOMETRY, int groups, int piece)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x, own = channels / groups;
    int weights = kernel_height * kernel_width * own * filters, pixels = images * out_height * out_width;
    if (thread >= weights) return;
    int f = thread % filters, c = f / (filters / groups) * own + thread / filters % own;
    int tap = thread / filters / own, p = tap / kernel_width, q = tap % kernel_width;

    float sum = 0.0f;
    for (int m = blockIdx.y * piece; m < min(pixels, (blockIdx.y + 1) * piece); m++) {
        Pixel out = pixel_of(m, out_height, out_width);
        int h = out.row * stride_y + p * dilation_y - top_border;
        int v = out.column * stride_x + q * dilation_x - left_border;
        bool inside = h >= 0 && h < height && v >= 0 && v < width;
        sum += (inside ? x[((out.image * height + h) * width + v) * channels + c] : 0.0f) * dy[m * filters + f];
    }
    pieces[blockIdx.y * weights + thread] = sum;
}
