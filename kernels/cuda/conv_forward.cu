// Convolution as a matrix product whose left matrix is never written ("implicit GEMM"); one group, everything else free:
//
//     y (pixels, F) = patches (pixels, taps C) w (taps C, F)
//
// A row of patches is the window of a pixel.
//
// The tile loop is that of matmul.cu. Only the left tile differs: it is gathered from the image, with zeros for padding.
// Element k of a row is channel k % C of tap k / C, the kernel's position (p, q), row by row.
//
// -DRELU=1: y is relu of the sum. -DPOOL=1: y is max_pool2d(relu, 2) of it; the sums themselves are never written.
// With POOL the rows of the tile are ordered by windows: four consecutive rows are the pixels of a window, and one thread has
// all four (row_of). `winner` tells which of them was the maximum, or NONE if ReLU stops the gradient.

#include "geometry.cuh"
#include "tile.cuh"

#define NONE 4

__device__ inline Pixel output_pixel(int m, int rows, int columns)
{
    if (!POOL) return pixel_of(m, rows, columns);
    Pixel pixel = pixel_of(m / 4, rows / 2, columns / 2);
    pixel.row = 2 * pixel.row + m % 4 / 2;
    pixel.column = 2 * pixel.column + m % 2;
    return pixel;
}

// sum[i][j] = the largest of sum[i .. i + 3][j], a window; returns which of them it was.
__device__ inline int pool(float sum[TM][TN], int i, int j)
{
    float largest = sum[i][j], won = largest;
    int best = 0;
    for (int r = 1; r < 4; r++) {
        float v = sum[i + r][j];
        if (v > largest) best = r, won = v;      // the first maximum wins
        if (v > largest || v != v) largest = v;  // NaN stays
    }
    sum[i][j] = largest;
    return won > 0.0f ? best : NONE;
}

extern "C" __global__ void __launch_bounds__(THREADS)
forward(const float *x, const float *w, const float *bias, float *y, unsigned char *winner, Geometry g, int biased)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BM], column[BM], base[BM];     // of each pixel of the tile: where its window begins in x
    __shared__ int down[BK], across[BK], offset[BK];  // of each element of a window: how far from its beginning

    int m0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = g.kernel_height * g.kernel_width * g.channels;
    int pixels = POOL ? g.images * (g.out_height / 2) * (g.out_width / 2) * 4 : g.images * g.out_height * g.out_width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel out = output_pixel(m0 + m, g.out_height, g.out_width);
        row[m] = m0 + m < pixels ? out.row * g.stride_y - g.top_border : NOWHERE;
        column[m] = out.column * g.stride_x - g.left_border;
        base[m] = ((out.image * g.height + out.row * g.stride_y - g.top_border) * g.width + column[m]) * g.channels;
    }

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        if (threadIdx.x < BK) {
            Tap tap = tap_of(k0 + threadIdx.x, depth, g.channels, g.kernel_width, g.dilation_y, g.dilation_x);
            down[threadIdx.x] = tap.down;
            across[threadIdx.x] = tap.across;
            offset[threadIdx.x] = tap.down < 0 ? 0 : (tap.down * g.width + tap.across) * g.channels + tap.channel;
        }
        __syncthreads();  // these are complete, and all threads have read the previous tiles
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int k = k_of(i, BM), m = n_of(i, BM);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int h = row[m] + down[k + e], c = column[m] + across[k + e];
                bool inside = h >= 0 && h < g.height && c >= 0 && c < g.width;
                const float *from = x + base[m] + offset[k + e];
                if (inside && g.channels % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (g.channels % 4 == 0) break;  // four channels of one position have been read at once
            }
            write_column(&left[0][0], BM, k, m, v);
        }
        load_rows(&right[0][0], BN, w, k0, depth, f0, g.filters);
        __syncthreads();
        multiply(left, right, sum);
    }

    for (int j = 0; j < TN; j++) {
        int f = f0 + column_of(j);
        float b = biased && f < g.filters ? bias[f] : 0.0f;
        for (int i = 0; i < TM; i++) {
            sum[i][j] += b;
            if (RELU && sum[i][j] < 0.0f) sum[i][j] = 0.0f;  // NaN stays NaN
        }
    }
    for (int i = 0; i < TM; i += POOL ? 4 : 1)
        for (int j = 0; j < TN; j += 4) {
            int m = m0 + row_of(i), f = f0 + column_of(j);
            if (m >= pixels) continue;
            if (POOL)
                for (int e = 0; e < 4; e++) {
                    int best = pool(sum, i, j + e);
                    if (f + e < g.filters) winner[m / 4 * g.filters + f + e] = best;
                }
            store_four(y + m / (POOL ? 4 : 1) * g.filters, f, g.filters, &sum[i][j]);
        }
}
