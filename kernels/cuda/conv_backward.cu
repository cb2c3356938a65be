// The gradients of convolution as matrix products whose left matrix is never written (see conv_forward.cu):
//
//     dX    dx (pixels, C)  = patches of dy (pixels, taps F) w^T          a row: the outputs that use a pixel
//     dW    dw (taps C, F)  = patches of x^T (taps C, pixels) dy (pixels, F)
//
// __grid_constant__: the kernel reads g where it lies, instead of copying it to registers first.

#include "geometry.cuh"
#include "tile.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_x(const float *dy, const float *w, float *dx, const __grid_constant__ Geometry g)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BM], column[BM], image[BM];           // of each pixel of the tile
    __shared__ int down[BK], across[BK], filter[BK], of_w[BK];  // of each element of its sum; where its w for channel 0 lies

    int m0 = blockIdx.x * BM, c0 = blockIdx.y * BN, depth = g.kernel_height * g.kernel_width * g.filters;
    int pixels = g.images * g.height * g.width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel in = pixel_of(m0 + m, g.height, g.width);
        row[m] = m0 + m < pixels ? in.row + g.top_border : NOWHERE;
        column[m] = in.column + g.left_border;
        image[m] = in.image * g.out_height;
    }

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        if (threadIdx.x < BK) {
            int k = k0 + threadIdx.x;
            Tap tap = tap_of(k, depth, g.filters, g.kernel_width, g.dilation_y, g.dilation_x);
            down[threadIdx.x] = tap.down;
            across[threadIdx.x] = tap.across;
            filter[threadIdx.x] = tap.channel;
            of_w[threadIdx.x] = k < depth ? k / g.filters * g.channels * g.filters + tap.channel : NOWHERE;
        }
        __syncthreads();  // these are complete, and all threads have read the previous tiles
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int k = k_of(i, BM), m = n_of(i, BM);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int r = down[k + e] < 0 ? -1 : quotient(row[m] - down[k + e], g.stride_y, g.out_height);
                int c = quotient(column[m] - across[k + e], g.stride_x, g.out_width);
                const float *from = dy + ((image[m] + r) * g.out_width + c) * g.filters + filter[k + e];
                if (r >= 0 && c >= 0 && g.filters % 4 == 0) read_four(v, from);
                else if (r >= 0 && c >= 0) v[e] = *from;
                if (g.filters % 4 == 0) break;  // four filters of one position have been read at once
            }
            write_column(&left[0][0], BM, k, m, v);
        }
        for (int i = threadIdx.x; i < BK * BN / 4; i += THREADS) {
            int k = k_of(i, BN), n = n_of(i, BN);
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                bool inside = of_w[k + e] >= 0 && c0 + n < g.channels;
                const float *from = w + of_w[k + e] + (c0 + n) * g.filters;
                if (inside && g.filters % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (g.filters % 4 == 0) break;
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
            if (m < pixels) store_four(dx + m * g.channels, c0 + column_of(j), g.channels, &sum[i][j]);
            for (int e = 0; e < 4; e++) nan |= sum[i][j + e] != sum[i][j + e];
        }
    if (!nan) return;

    // Outputs outside of y were read as zero, and zero times an infinite weight is NaN: such sums are computed again.
#pragma unroll 1
    for (int i = 0; i < TM * TN; i++) {
        int m = m0 + row_of(i / TN), c = c0 + column_of(i % TN), to = m * g.channels + c;
        if (m < pixels && c < g.channels && dx[to] != dx[to])
            dx[to] = gradient_of_pixel(dy, w, pixel_of(m, g.height, g.width), c, 1, g);
    }
}

// There are few weights and many pixels: blockIdx.z takes a piece of the pixels. add_pieces (sums.cu) adds up the pieces.
// Its launch bounds give 64 registers to each of 1,024 threads on a multiprocessor.
extern "C" __global__ void __launch_bounds__(THREADS, 1024 / THREADS)
gradient_of_w(const float *x, const float *dy, float *pieces, const __grid_constant__ Geometry g, int piece)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int row[BK], column[BK], base[BK];     // of each pixel of a slice: where its window begins in x
    __shared__ int down[BM], across[BM], offset[BM];  // of each row of dw: how far from the beginning of a window

    int k0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = g.kernel_height * g.kernel_width * g.channels;
    int pixels = g.images * g.out_height * g.out_width, first = blockIdx.z * piece, end = min(pixels, first + piece);

    for (int k = threadIdx.x; k < BM; k += THREADS) {
        Tap tap = tap_of(k0 + k, depth, g.channels, g.kernel_width, g.dilation_y, g.dilation_x);
        down[k] = tap.down;
        across[k] = tap.across;
        offset[k] = tap.down < 0 ? 0 : (tap.down * g.width + tap.across) * g.channels + tap.channel;
    }

    float sum[TM][TN] = {};
    for (int m0 = first; m0 < end; m0 += BK) {
        if (threadIdx.x < BK) {
            Pixel out = pixel_of(m0 + threadIdx.x, g.out_height, g.out_width);
            int h = out.row * g.stride_y - g.top_border, v = out.column * g.stride_x - g.left_border;
            row[threadIdx.x] = m0 + threadIdx.x < end ? h : NOWHERE;
            column[threadIdx.x] = v;
            base[threadIdx.x] = ((out.image * g.height + h) * g.width + v) * g.channels;
        }
        __syncthreads();  // these are complete, and all threads have read the previous tiles
        for (int i = threadIdx.x; i < BK * BM / 4; i += THREADS) {
            int m = i / (BM / 4), k = i % (BM / 4) * 4;  // neighbours along channels
            float v[4] = {};
            for (int e = 0; e < 4; e++) {
                int h = row[m] + down[k + e], c = column[m] + across[k + e];
                bool inside = h >= 0 && h < g.height && c >= 0 && c < g.width;
                const float *from = x + base[m] + offset[k + e];
                if (inside && g.channels % 4 == 0) read_four(v, from);
                else if (inside) v[e] = *from;
                if (g.channels % 4 == 0) break;
            }
            *(float4 *)&left[m][k] = make_float4(v[0], v[1], v[2], v[3]);
        }
        load_rows(&right[0][0], BN, dy, m0, end, f0, g.filters);
        __syncthreads();
        multiply(left, right, sum);
    }

    pieces += blockIdx.z * depth * g.filters;
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j += 4) {
            int k = k0 + row_of(i);
            if (k < depth) store_four(pieces + k * g.filters, f0 + column_of(j), g.filters, &sum[i][j]);
        }
}
