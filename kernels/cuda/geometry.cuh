// The sizes of a convolution, as all its kernels take them: x (images, height, width, channels), w (kernel_height,
// kernel_width, channels / groups, filters), y (images, out_height, out_width, filters). The kernel's position (p, q)
// meets, for output pixel (i, j), the input pixel
//
//     (i * stride_y + p * dilation_y - top_border, j * stride_x + q * dilation_x - left_border)

#define GEOMETRY                                                                                                   \
    int images, int height, int width, int channels, int out_height, int out_width, int filters, int kernel_height, \
        int kernel_width, int stride_y, int stride_x, int dilation_y, int dilation_x, int top_border, int left_border
#define THE_GEOMETRY                                                                                               \
    images, height, width, channels, out_height, out_width, filters, kernel_height, kernel_width, stride_y, stride_x, \
        dilation_y, dilation_x, top_border, left_border

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

// One number of dx by the equation: input pixel `in`, channel c, collects from the output pixels that it took part in.
__device__ inline float gradient_of_pixel(const float *dy, const float *w, Pixel in, int c, int groups, GEOMETRY)
{
    int own = channels / groups, each = filters / groups, first = c / own * each;  // of this channel's group
    float sum = 0.0f;
    for (int p = 0; p < kernel_height; p++)
        for (int q = 0; q < kernel_width; q++) {
            int i = quotient(in.row + top_border - p * dilation_y, stride_y, out_height);
            int j = quotient(in.column + left_border - q * dilation_x, stride_x, out_width);
            if (i < 0 || j < 0) continue;
            for (int f = first; f < first + each; f++)
                sum += dy[((in.image * out_height + i) * out_width + j) * filters + f]
                     * w[((p * kernel_width + q) * own + c % own) * filters + f];
        }
    return sum;
}
