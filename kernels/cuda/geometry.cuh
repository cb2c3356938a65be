// The sizes of a convolution, which all its kernels take: x (images, height, width, channels), w (kernel_height,
// kernel_width, channels / groups, filters), y (images, out_height, out_width, filters). For output pixel (i, j), the kernel's
// position (p, q) meets the input pixel
//
//     (i * stride_y + p * dilation_y - top_border, j * stride_x + q * dilation_x - left_border)

struct Geometry {
    int images, height, width, channels;           // x
    int out_height, out_width, filters;            // y
    int kernel_height, kernel_width;               // w
    int stride_y, stride_x, dilation_y, dilation_x;
    int top_border, left_border;                   // padding
};

// Pixel number m of (images, rows, columns).
struct Pixel {
    int image, row, column;
};

__device__ inline Pixel pixel_of(int m, int rows, int columns)
{
    Pixel pixel = {m / columns / rows, m / columns % rows, m % columns};
    return pixel;
}

// The y with y * stride == distance and 0 <= y < size (the output pixel at that distance), or -1 if there is none.
__device__ inline int quotient(int distance, int stride, int size)
{
    int y = distance / stride;
    return distance >= 0 && y * stride == distance && y < size ? y : -1;
}

// Element k of a window with `size` channels: the displacement of its position (p, q), and its channel. From `depth` on
// there is none, and the displacement NOWHERE leads out of every image.
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

// One element of dx by the equation: input pixel `in`, channel c, collects from the output pixels that it took part in.
__device__ inline float gradient_of_pixel(const float *dy, const float *w, Pixel in, int c, int groups, const Geometry &g)
{
    int own = g.channels / groups, each = g.filters / groups, first = c / own * each;  // of this channel's group
    float sum = 0.0f;
    for (int p = 0; p < g.kernel_height; p++)
        for (int q = 0; q < g.kernel_width; q++) {
            int i = quotient(in.row + g.top_border - p * g.dilation_y, g.stride_y, g.out_height);
            int j = quotient(in.column + g.left_border - q * g.dilation_x, g.stride_x, g.out_width);
            if (i < 0 || j < 0) continue;
            for (int f = first; f < first + each; f++)
                sum += dy[((in.image * g.out_height + i) * g.out_width + j) * g.filters + f]
                     * w[((p * g.kernel_width + q) * own + c % own) * g.filters + f];
        }
    return sum;
}
