// Sums in a fixed order, so that the same numbers give the same bits: two passes instead of atomics.
//
//     sum_rows     x (R,C) -> pieces (P,C): each block sums some rows              (the gradient of a bias)
//     add_pieces   pieces (matrices,P,S) -> y (matrices,S): the sum over P         (also of split products)
//
// In both, a block is COLUMNS x ROWS threads: each sums every ROWS-th row of its column, then the first row adds up these sums.

#define COLUMNS 32  // a row of 32 floats is one memory transaction
#define ROWS 8

// The sum of rows first .. end - 1 of column c of x (.., C); valid only in the first row of the block's threads.
__device__ float sum_of_column(const float *x, int first, int end, int c, int C)
{
    __shared__ float part[ROWS][COLUMNS];
    int lane = threadIdx.x % COLUMNS, line = threadIdx.x / COLUMNS;
    float sum = 0.0f;
    if (c < C)
        for (int r = first + line; r < end; r += ROWS) sum += x[r * C + c];
    part[line][lane] = sum;
    __syncthreads();
    if (line == 0)
        for (int r = 1; r < ROWS; r++) sum += part[r][lane];
    return sum;
}

extern "C" __global__ void __launch_bounds__(COLUMNS * ROWS)
sum_rows(const float *x, float *pieces, int R, int C, int rows_of_piece)
{
    int c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS, first = blockIdx.y * rows_of_piece;
    float sum = sum_of_column(x, first, min(R, first + rows_of_piece), c, C);
    if (threadIdx.x < COLUMNS && c < C) pieces[blockIdx.y * C + c] = sum;
}

// Then bias (N) and ReLU, as at the end of matmul.cu.
extern "C" __global__ void __launch_bounds__(COLUMNS * ROWS)
add_pieces(const float *pieces, const float *bias, float *y, int P, int S, int N, int biased, int relu)
{
    int i = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS, matrix = blockIdx.y;
    float z = sum_of_column(pieces + matrix * P * S, 0, P, i, S);
    if (threadIdx.x >= COLUMNS || i >= S) return;
    if (biased) z += bias[i % N];
    y[matrix * S + i] = relu && z < 0.0f ? 0.0f : z;
}
