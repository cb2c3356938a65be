// The sizes of a convolution, as all its kernels take them: x (images, height, width, channels), w (kernel_height,
// kernel_width, channels / groups, filters), y (images, out_height, out_width, filters). The kernel's position (p, q)
// meets, for output pixel (i, j), the input pixel
//
//     (i * stride_y + p * dilation_y - top_border, j * stride_x + q * dilation_x - left_border)

#define GEOMETRY                                                                                                   \
    int images, int height, int width, int channels, int out_height, int out_width, int filters, int kernel_height, \
        int kernel_width, int stride_y, int stride_x, int dilation_y, int dilation_x, int top_border, int left_border

// The pixel number `m` of (images, rows, columns).
struct Pixel {
    int image, row, column;
};

__device__ inline Pixel pixel_of(int m, int rows, int columns)
{
    Pixel pixel = {m / columns / rows, m / columns % rows, m % columns};
    return pixel;
}

// y such that y * stride == distance and 0 <= y < size, or -1: the output pixel that is that far away, if there is one.
__device__ inline int quotient(int distance, int stride, int size)
{
    int y = distance / stride;
    return distance >= 0 && y * stride == distance && y < size ? y : -1;
}

// Number k of what the kernel sees at a pixel of `size` channels: the displacement of its position (p, q), and a channel.
// From `depth` on there is nothing: such a displacement leads out of every image.
struct Tap {
    int down, across, channel;
};

#define NOWHERE (-(1 << 28))

__device__ inline Tap tap_of(int k, int depth, int size, int kernel_width, int dilation_y, int dilation_x)
{
    int position = k / size;
    Tap tap = {position / kernel_width * dilation_y, position % kernel_width * dilation_x, k % size};
    if (k >= depth) tap.down = NOWHERE;
    return tap;
}
