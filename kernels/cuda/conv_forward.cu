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

#define NOBODY 4

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
    return won > 0.0f ? best : NOBODY;
}

extern "C" __global__ void __launch_bounds__(THREADS)
forward(const float *x, const float *w, const float *bias, float *y, unsigned char *winner, GEOMETRY, int biased)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BM], column[BM], base[BM];     // of each pixel of the tile: where its window begins in x
    __shared__ int down[BK], across[BK], offset[BK];  // of each number of the window: how far on it is

    int m0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = kernel_height * kernel_width * channels;
    int pixels = POOL ? images * (out_height / 2) * (out_width / 2) * 4 : images * out_height * out_width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel out = output_pixel(m0 + m, out_height, out_width);
        row[m] = m0 + m < pixels ? out.row * stride_y - top_border : NOWHERE;
        column[m] = out.column * stride_x - left_border;
        base[m] = ((out.image * height + out.row * stride_y - top_border) * width + column[m]) * channels;
    }

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        if (threadIdx.x < BK) {
            Tap tap = tap_of(k0 + threadIdx.x, depth, channels, kernel_width, dilation_y, dilation_x);
            down[threadIdx.x] = tap.down;
            across[threadIdx.x] = tap.across;
            offset[threadIdx.x] = tap.down < 0 ? 0 : (tap.down * width + tap.across) * channels + tap.channel;
        }
        __syncthreads();  // these are complete, and nobody reads the tiles of the step before any more
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int k = k_of(i, BM), m = n_of(i, BM);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int h = row[m] + down[k + e], c = column[m] + across[k + e];
                bool inside = h >= 0 && h < height && c >= 0 && c < width;
                const float *from = x + base[m] + offset[k + e];
                if (inside && channels % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (channels % 4 == 0) break;  // four channels of one position came at once
            }
            write_column(&left[0][0], BM, k, m, v);
        }
        load_rows(&right[0][0], BN, w, k0, depth, f0, filters);
        __syncthreads();
        multiply(left, right, sum);
    }

    for (int j = 0; j < TN; j++) {
        int f = f0 + column_of(j);
        float b = biased && f < filters ? bias[f] : 0.0f;
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
                    if (f + e < filters) winner[m / 4 * filters + f + e] = best;
                }
            store_four(y + m / (POOL ? 4 : 1) * filters, f, filters, &sum[i][j]);
        }
}
