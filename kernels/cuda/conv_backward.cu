// The gradients of convolution as matrix products whose left matrix is never written (see conv_forward.cu):
//
//     dX    dx (pixels, C)  = patches of dy (pixels, taps F) w^T          a row: the outputs that a pixel went into
//     dW    dw (taps C, F)  = patches of x^T (taps C, pixels) dy (pixels, F)

#include "geometry.cuh"
#include "tile.cuh"

#define NOWHERE (-(1 << 28))  // the row of a pixel beyond the last: never inside of an image

extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_x(const float *dy, const float *w, float *dx, GEOMETRY)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int image[BM], row[BM], column[BM];

    int m0 = blockIdx.x * BM, c0 = blockIdx.y * BN, depth = kernel_height * kernel_width * filters;
    int pixels = images * height * width;

    for (int m = threadIdx.x; m < BM; m += THREADS) {
        Pixel in = pixel_of(m0 + m, height, width);
        image[m] = in.image * out_height;
        row[m] = m0 + m < pixels ? in.row + top_border : NOWHERE;
        column[m] = in.column + left_border;
    }
    __syncthreads();

    float sum[TM][TN] = {};
    for (int k0 = 0; k0 < depth; k0 += BK) {
        int k = threadIdx.x % BK, f = (k0 + k) % filters, tap = (k0 + k) / filters;
        int down = tap / kernel_width * dilation_y, across = tap % kernel_width * dilation_x;
        for (int m = threadIdx.x / BK; m < BM; m += THREADS / BK) {
            int i = quotient(row[m] - down, stride_y, out_height), j = quotient(column[m] - across, stride_x, out_width);
            bool inside = k0 + k < depth && i >= 0 && j >= 0;
            left[k][m] = inside ? dy[((image[m] + i) * out_width + j) * filters + f] : 0.0f;
        }
        for (int n = threadIdx.x / BK; n < BN; n += THREADS / BK)  // w[p][q] transposed
            right[k][n] = k0 + k < depth && c0 + n < channels ? w[(tap * channels + c0 + n) * filters + f] : 0.0f;
        __syncthreads();
        multiply(left, right, sum);
        __syncthreads();
    }

    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) {
            int m = m0 + row_of(i), c = c0 + column_of(j);
            if (m < pixels && c < channels) dx[m * channels + c] = sum[i][j];
        }
}

// There are few weights and many pixels: blockIdx.z takes a piece of the pixels. add_pieces (sums.cu) follows.
extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_w(const float *x, const float *dy, float *pieces, GEOMETRY, int piece)
{
    __shared__ __align__(16) float left[BK][BM + PAD];
    __shared__ __align__(16) float right[BK][BN + PAD];
    __shared__ int image[BK], row[BK], column[BK];

    int k0 = blockIdx.x * BM, f0 = blockIdx.y * BN, depth = kernel_height * kernel_width * channels;
    int pixels = images * out_height * out_width, first = blockIdx.z * piece, end = min(pixels, first + piece);

    int k = threadIdx.x % BM, c = (k0 + k) % channels, tap = (k0 + k) / channels;  // a thread's own row of dw
    int down = tap / kernel_width * dilation_y, across = tap % kernel_width * dilation_x;

    float sum[TM][TN] = {};
    for (int m0 = first; m0 < end; m0 += BK) {
        for (int m = threadIdx.x; m < BK; m += THREADS) {
            Pixel out = pixel_of(m0 + m, out_height, out_width);
            image[m] = out.image * height;
            row[m] = m0 + m < end ? out.row * stride_y - top_border : NOWHERE;
            column[m] = out.column * stride_x - left_border;
        }
        __syncthreads();
        for (int m = threadIdx.x / BM; m < BK; m += THREADS / BM) {
            int h = row[m] + down, v = column[m] + across;
            bool inside = k0 + k < depth && h >= 0 && h < height && v >= 0 && v < width;
            left[m][k] = inside ? x[((image[m] + h) * width + v) * channels + c] : 0.0f;
        }
        load_rows(&right[0][0], BN, dy, filters, m0, end, f0, filters);
        __syncthreads();
        multiply(left, right, sum);
        __syncthreads();
    }

    pieces += blockIdx.z * depth * filters;
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) {
            int row_of_w = k0 + row_of(i), f = f0 + column_of(j);
            if (row_of_w < depth && f < filters) pieces[row_of_w * filters + f] = sum[i][j];
        }
}
