// Step 11. BF16: floats with 7 bits after the point, two in a register. One instruction multiplies 16 x 16 by 16 x 8.
// Half the memory traffic and twice the rate of TF32; an error of about 1e-2. Sums are float.
//
// The matrices are converted first: to_bf16 writes rows of `line` numbers, a multiple of 8, with zeros at the end, so
// that every copy has 16 bytes. ldmatrix gives each lane its part of an 8 x 8 matrix; b lies transposed to what the
// instruction needs, so it is read with _trans.

#include "ptx.cuh"

#define BM 128
#define BN 128
#define BK 32
#define WM 64  // a warp's tile: 4 x 4 products of 16 x 8
#define WN 32
#define THREADS (BM / WM * (BN / WN) * 32)
#define DOWN (WM / 16)
#define ACROSS (WN / 8)
#define A_LINE (BK + 8)  // in numbers of 2 bytes: the 8 rows of a small matrix begin in different banks
#define B_LINE (BN + 8)

#define bf16 unsigned short  // its bits

// y (rows, line) = x (rows, columns) rounded to BF16; a thread converts two numbers.
extern "C" __global__ void to_bf16(const float *x, unsigned *y, int rows, int columns, int line)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, row = i / (line / 2), column = i % (line / 2) * 2;
    if (row >= rows) return;
    x += row * columns;
    y[i] = pack_bf16(column < columns ? x[column] : 0.0f, column + 1 < columns ? x[column + 1] : 0.0f);
}

// Start to copy rows x columns numbers of matrix (height, line), from (row0, column0) on; zeros beyond its edges.
__device__ inline void copy_tile(bf16 *tile, int tile_line, int rows, int columns, const bf16 *matrix, int height, int line,
                                 int row0, int column0)
{
    for (int i = threadIdx.x; i < rows * columns / 8; i += THREADS) {
        int r = i / (columns / 8), c = i % (columns / 8) * 8;
        bool inside = row0 + r < height && column0 + c < line;
        cp_async_16_or_zero(tile + r * tile_line + c, inside ? matrix + (row0 + r) * line + column0 + c : matrix, inside);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
matmul_bf16(const bf16 *a, const bf16 *b, float *c, int M, int N, int K, int a_line, int b_line)
{
    __shared__ __align__(16) bf16 a_tile[2][BM][A_LINE], b_tile[2][BK][B_LINE];
    int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / (BN / WN) * WM, column = warp % (BN / WN) * WN;

    float sum[DOWN][ACROSS][4] = {};
    copy_tile(&a_tile[0][0][0], A_LINE, BM, BK, a, M, a_line, m0, 0);
    copy_tile(&b_tile[0][0][0], B_LINE, BK, BN, b, K, b_line, 0, n0);
    cp_async_commit();
    for (int k0 = 0, now = 0; k0 < K; k0 += BK, now = 1 - now) {
        CP_ASYNC_WAIT(0);
        __syncthreads();
        if (k0 + BK < K) {
            copy_tile(&a_tile[1 - now][0][0], A_LINE, BM, BK, a, M, a_line, m0, k0 + BK);
            copy_tile(&b_tile[1 - now][0][0], B_LINE, BK, BN, b, K, b_line, k0 + BK, n0);
            cp_async_commit();
        }
#pragma unroll
        for (int k = 0; k < BK; k += 16) {
            unsigned right[ACROSS][2];
#pragma unroll
            for (int j = 0; j < ACROSS; j++)  // lanes 0..15 point at the 16 rows
                ldmatrix_x2_trans(right[j], &b_tile[now][k + lane % 16][column + 8 * j]);
#pragma unroll
            for (int i = 0; i < DOWN; i++) {
                unsigned left[4];  // 2 x 2 small matrices: upper and lower rows of the left half, then of the right half
                ldmatrix_x4(left, &a_tile[now][row + 16 * i + lane % 16][k + lane / 16 * 8]);
#pragma unroll
                for (int j = 0; j < ACROSS; j++) mma_m16n8k16_bf16(sum[i][j], left, right[j]);
            }
        }
    }
    for (int i = 0; i < DOWN; i++)
        for (int j = 0; j < ACROSS; j++)
            for (int e = 0; e < 4; e++) {
                int m = m0 + row + 16 * i + lane / 4 + 8 * (e / 2), n = n0 + column + 8 * j + lane % 4 * 2 + e % 2;
                if (m < M && n < N) c[m * N + n] = sum[i][j][e];
            }
}
