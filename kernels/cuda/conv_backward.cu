// The gradients of convolution as matrix products whose left matrix is never written (see conv_forward.cu):
//
//     dX    dx (pixels, C)  = patches of dy (pixels, taps F) w^T          a row: the outputs that a pixel went into
//     dW    dw (taps C, F)  = patches of x^T (taps C, pixels) dy (pixels, F)

#include "geometry.cuh"
#include "tile.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_x(const float *dy, const float *w, float *dx, GEOMETRY)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BM], column[BM], image[BM];           // of each pixel of the tile
    __shared__ int down[BK], across[BK], filter[BK], of_w[BK];  // of each number of its sum; where w for channel 0 is

    int m0 = blockIdx.x * BM, c0 = blockIdx.y * BN, depth = kernel_height * kernel_width * filters;
    int pixels = images * height * width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel in = pixel_of(m0 + m, height, width);
        row[m] = m0 + m < pixels ? in.row + top_border : NOWHERE;
        column[m] = in.column + left_border;
        image[m] = in.image * out_height;
    }

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        if (threadIdx.x < BK) {
            int k = k0 + threadIdx.x;
            Tap tap = tap_of(k, depth, filters, kernel_width, dilation_y, dilation_x);
            down[threadIdx.x] = tap.down;
            across[threadIdx.x] = tap.across;
            filter[threadIdx.x] = tap.channel;
            of_w[threadIdx.x] = k < depth ? k / filters * channels * filters + tap.channel : NOWHERE;
        }
        __syncthreads();  // these are complete, and nobody reads the tiles of the step before any more
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int k = k_of(i, BM), m = n_of(i, BM);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int r = down[k + e] < 0 ? -1 : quotient(row[m] - down[k + e], stride_y, out_height);
                int c = quotient(column[m] - across[k + e], stride_x, out_width);
                const float *from = dy + ((image[m] + r) * out_width + c) * filters + filter[k + e];
                if (r >= 0 && c >= 0 && filters % 4 == 0) read_four(v, from);
                else if (r >= 0 && c >= 0) v[e] = *from;
                if (filters % 4 == 0) break;  // four filters of one position came at once
            }
            write_column(&left[0][0], BM, k, m, v);
        }
        for (int i = threadIdx.x; i < BK * BN / 4; i += THREADS) {
            int k = k_of(i, BN), n = n_of(i, BN);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                bool inside = of_w[k + e] >= 0 && c0 + n < channels;
                const float *from = w + of_w[k + e] + (c0 + n) * filters;
                if (inside && filters % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (filters % 4 == 0) break;
            }
            write_column(&right[0][0], BN, k, n, v);
        }
        __syncthreads();
        multiply(left, right, sum);
    }

    bool nan = false;
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int m = m0 + row_of(i);
            if (m < pixels) store_four(dx + m * channels, c0 + column_of(j), channels, &sum[i][j]);
            for (int e = 0; e < 4; e++) nan |= sum[i][j + e] != sum[i][j + e];
        }
    if (!nan) return;

    // Zero stands for outputs that are not there, and an infinite weight makes it NaN: such sums are made anew.
#pragma unroll 1
    for (int i = 0; i < TM * TN; i++) {
        int m = m0 + row_of(i / TN), c = c0 + column_of(i % TN), to = m * channels + c;
        if (m < pixels && c < channels && dx[to] != dx[to])
            dx[to] = gradient_of_pixel(dy, w, pixel_of(m, height, width), c, 1, THE_GEOMETRY);
    }
}

// There are few weights and many pixels: blockIdx.z takes a piece of the pixels. add_pieces (sums.cu) follows.
extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_w(const float *x, const float *dy, float *pieces, GEOMETRY, int piece)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BK], column[BK], base[BK];     // of each pixel of a step: where its window begins in x
    __shared__ int down[BM], across[BM], offset[BM];  // of each row of dw: how far on in the window it is

    int k0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = kernel_height * kernel_width * channels;
    int pixels = images * out_height * out_width, first = blockIdx.z * piece, end = min(pixels, first + piece);

    for (int k = threadIdx.x; k < BM; k += THREADS) {
        Tap tap = tap_of(k0 + k, depth, channels, kernel_width, dilation_y, dilation_x);
        down[k] = tap.down;
        across[k] = tap.across;
        offset[k] = tap.down < 0 ? 0 : (tap.down * width + tap.across) * channels + tap.channel;
    }

    float sum[TM][TN] = {};
    for (int m0 = first; m0 < end; m0 += BK) {
        if (threadIdx.x < BK) {
            Pixel out = pixel_of(m0 + threadIdx.x, out_height, out_width);
            int h = out.row * stride_y - top_border, v = out.column * stride_x - left_border;
            row[threadIdx.x] = m0 + threadIdx.x < end ? h : NOWHERE;
            column[threadIdx.x] = v;
            base[threadIdx.x] = ((out.image * height + h) * width + v) * channels;
        }
        __syncthreads();  // these are complete, and nobody reads the tiles of the step before any more
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int m = i / (BM / 4), k = i % (BM / 4) * 4;  // neighbours along channels
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int h = row[m] + down[k + e], c = column[m] + across[k + e];
                bool inside = h >= 0 && h < height && c >= 0 && c < width;
                const float *from = x + base[m] + offset[k + e];
                if (inside && channels % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (channels % 4 == 0) break;
            }
            *(float4 *)&left[m][k] = make_float4(v[0], v[1], v[2], v[3]);
        }
        load_rows(&right[0][0], BN, dy, m0, end, f0, filters);
        __syncthreads();
        multiply(left, right, sum);
    }

    pieces += blockIdx.z * depth * filters;
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int k = k0 + row_of(i);
            if (k < depth) store_four(pieces + k * filters, f0 + column_of(j), filters, &sum[i][j]);
        }
}
