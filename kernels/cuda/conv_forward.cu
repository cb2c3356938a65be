// Convolution as a matrix product whose left matrix is never written ("implicit GEMM"); one group, everything else free:
//
//     y (pixels, F) = patches (pixels, taps C) w (taps C, F)         a row of patches: what the kernel sees at a pixel
//
// The tile loop is that of matmul.cu. Only the left tile comes from another place: gathered from the image, zero where
// there is only padding. Number k of a row is channel k % C of tap k / C, the kernel's position (p, q), row by row.
//
// -DRELU=1: y is relu of the sum. -DPOOL=1: y is max_pool2d(relu, 2) of it; the sums themselves are never written.
// With POOL the rows of the tile are ordered by windows: four rows one after the other are a window's pixels, and they
// are in the same thread (row_of). `winner` tells which of them the maximum was, or NOBODY if ReLU lets no gradient back.

#include "geometry.cuh"
#include "tile.cuh"

#define NOWHERE (-(1 << 28))  // the row of a pixel beyond the last: never inside of an image
#define NOBODY 4

__device__ inline Pixel output_pixel(int m, int rows, int columns)
{
    if (!POOL) return pixel_of(m, rows, columns);
    Pixel pixel = pixel_of(m / 4, rows / 2, columns / 2);
    pixel.row = 2 * pixel.row + m % 4 / 2;
    pixel.column = 2 * pixel.column + m % 2;
    return pixel;
}

__device__ inline float relu(float z) { return z < 0.0f ? 0.0f : z; }

extern "C" __global__ void __launch_bounds__(THREADS)
forward(const float *x, const float *w, const float *bias, float *y, unsigned char *winner, GEOMETRY, int biased)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int image[BM], row[BM], column[BM];  // where the window of each of the tile's pixels begins

    int m0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = kernel_height * kernel_width * channels;
    int pixels = POOL ? images * (out_height / 2) * (out_width / 2) * 4 : images * out_height * out_width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel out = output_pixel(m0 + m, out_height, out_width);
        image[m] = out.image * height;
        row[m] = m0 + m < pixels ? out.row * stride_y - top_border : NOWHERE;
        column[m] = out.column * stride_x - left_border;
    }
    __syncthreads();

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        int k = threadIdx.x % BK, c = (k0 + k) % channels, tap = (k0 + k) / channels;  // neighbours along channels
        int down = tap / kernel_width * dilation_y, across = tap % kernel_width * dilation_x;
        for (int m = threadIdx.x / BK; m < BM; m += THREADS / BK) {
            int h = row[m] + down, v = column[m] + across;
            bool inside = k0 + k < depth && h >= 0 && h < height && v >= 0 && v < width;
            left[k][m] = inside ? x[((image[m] + h) * width + v) * channels + c] : 0.0f;
        }
        load_rows(&right[0][0], BN, w, filters, k0, depth, f0, filters);
        __syncthreads();
        multiply(left, right, sum);
        __syncthreads();
    }

    for (int j = 0; j < TN; j++) {
        int f = f0 + column_of(j);
        if (f >= filters) continue;
        float b = biased ? bias[f] : 0.0f;
        for (int i = 0; i < TM; i++) {
            int m = m0 + row_of(i);
            if (m >= pixels) continue;
            if (!POOL) {
                y[m * filters + f] = RELU ? relu(sum[i][j] + b) : sum[i][j] + b;
            } else if (i % 4 == 0) {
                float largest = relu(sum[i][j] + b), won = largest;
                int best = 0;
                for (int r = 1; r < 4; r++) {
                    float v = relu(sum[i + r][j] + b);
                    if (v > largest) best = r, won = v;       // the first maximum wins
                    if (v > largest || v != v) largest = v;   // NaN stays
                }
                y[m / 4 * filters + f] = largest;
                winner[m / 4 * filters + f] = won > 0.0f ? best : NOBODY;
            }
        }
    }
}

