// Sums in a fixed order, so that the same numbers give the same bits: no atomics, but two passes.
//
//     sum_rows     x (R,C) -> pieces (P,C): every block sums some rows        (the gradient of a bias)
//     add_pieces   pieces (P,S) -> y (S): adds them up, one after the other   (also of split products)

#define COLUMNS 32  // threads side by side: a row of 32 floats is one memory transaction
#define ROWS 8      // threads one below the other

extern "C" __global__ void __launch_bounds__(COLUMNS * ROWS)
sum_rows(const float *x, float *pieces, int R, int C, int rows_of_piece)
{
    __shared__ float part[ROWS][COLUMNS];
    int lane = threadIdx.x % COLUMNS, line = threadIdx.x / COLUMNS;
    int c = blockIdx.x * COLUMNS + lane, first = blockIdx.y * rows_of_piece;
    int end = min(R, first + rows_of_piece);

    float sum = 0.0f;
    if (c < C)
        for (int r = first + line; r < end; r += ROWS) sum += x[r * C + c];
    part[line][lane] = sum;
    __syncthreads();

    if (line == 0 && c < C) {
        for (int r = 1; r < ROWS; r++) sum += part[r][lane];
        pieces[blockIdx.y * C + c] = sum;
    }
}

// Then bias (of N columns) and ReLU, as at the end of matmul.cu. blockIdx.y: the matrices of a batch.
extern "C" __global__ void add_pieces(const float *pieces, const float *bias, float *y, int P, int S, int N, int biased,
                                      int relu)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, matrix = blockIdx.y;
    if (i >= S) return;
    pieces += matrix * P * S;
    float z = biased ? bias[i % N] : 0.0f;
    for (int p = 0; p < P; p++) z += pieces[p * S + i];
    y[matrix * S + i] = relu && z < 0.0f ? 0.0f : z;
}
