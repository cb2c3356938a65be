// A tile of a matrix product: a block computes BM x BN sums, each of its threads TM x TN of them in registers.
//
//                     b (BK rows)        Each slice of BK columns of the left matrix and BK rows of the right one is
//                    +-----------+       copied into shared memory; multiply() adds their product to the sums.
//      a (BK cols)   |           |
//        +--+        +-----------+       A warp is 4 threads down and 8 across. A thread's rows and columns come in groups
//     BM |  |        |   sums    |       of four, one float4 each, and neighbouring threads have neighbouring groups: a
//        |  |        |           |       warp's reads of shared memory fall into different banks (matmul_07_warp.cu).
//        +--+        +-----------+
//                         BN
// BM, BN, BK, TM, TN come from the command line (-DBM=64 ...); TM and TN are multiples of four.

#define ACROSS (BN / TN)
#define DOWN (BM / TM)
#define THREADS (ACROSS * DOWN)
#define PAD 4  // floats after each row: a column of the tile then lies in different banks, and rows stay aligned

// The position of a thread among the DOWN x ACROSS threads of the block, warp by warp.
__device__ inline int thread_row() { return threadIdx.x / 32 / (ACROSS / 8) * 4 + threadIdx.x % 32 / 8; }
__device__ inline int thread_column() { return threadIdx.x / 32 % (ACROSS / 8) * 8 + threadIdx.x % 8; }

// The row of the tile of a thread's i-th sum, and the column of its j-th.
__device__ inline int row_of(int i) { return thread_row() * 4 + i / 4 * (4 * DOWN) + i % 4; }
__device__ inline int column_of(int j) { return thread_column() * 4 + j / 4 * (4 * ACROSS) + j % 4; }

__device__ inline void read_four(float *v, const float *from)
{
    float4 four = *(const float4 *)from;
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}

// v = row[i .. i + 3], zero from `size` on. One load where all rows begin at multiples of 16 bytes.
__device__ inline void load_four(float *v, const float *row, int i, int size)
{
    if (size % 4 == 0 && i < size) read_four(v, row + i);
    else
        for (int e = 0; e < 4; e++) v[e] = i + e < size ? row[i + e] : 0.0f;
}

// row[i .. i + 3] = v, up to the end of the row.
__device__ inline void store_four(float *row, int i, int size, const float *v)
{
    if (size % 4 == 0 && i < size) *(float4 *)(row + i) = make_float4(v[0], v[1], v[2], v[3]);
    else
        for (int e = 0; e < 4; e++)
            if (i + e < size) row[i + e] = v[e];
}

// sum += a^T b: each element read from shared memory is used TN or TM times.
__device__ inline void multiply(const float a[BK][BM + PAD], const float b[BK][BN + PAD], float sum[TM][TN])
{
#pragma unroll
    for (int k = 0; k < BK; k++) {
        float left[TM], right[TN];
        for (int i = 0; i < TM; i += 4) read_four(left + i, &a[k][row_of(i)]);
        for (int j = 0; j < TN; j += 4) read_four(right + j, &b[k][column_of(j)]);
        for (int i = 0; i < TM; i++)
            for (int j = 0; j < TN; j++) sum[i][j] += left[i] * right[j];
    }
}

// tile[k][n] = source[k0 + k][n0 + n], zero outside; rows of source end at n_end.
__device__ inline void load_rows(float *tile, int width, const float *source, int k0, int k_end, int n0, int n_end)
{
    for (int i = threadIdx.x; i < BK * width / 4; i += THREADS) {
        int k = i / (width / 4), n = i % (width / 4) * 4;
        float v[4] = {};
        if (k0 + k < k_end) load_four(v, source + (k0 + k) * n_end, n0 + n, n_end);
        *(float4 *)&tile[k * (width + PAD) + n] = make_float4(v[0], v[1], v[2], v[3]);
    }
}

// Which four elements along k, in which column n, the i-th part of a transposed copy is: two threads take eight neighbours
// along k (32 bytes of memory), sixteen pairs take neighbours along n (so that they write to 32 banks).
__device__ inline int k_of(int i, int width) { return (i % 2 + i / (2 * width) * 2) * 4; }
__device__ inline int n_of(int i, int width) { return i / 2 % width; }

__device__ inline void write_column(float *tile, int width, int k, int n, const float *v)
{
    for (int e = 0; e < 4; e++) tile[(k + e) * (width + PAD) + n] = v[e];
}

// tile[k][n] = source[n0 + n][k0 + k], zero from k_end on: the same for a transposed matrix, whose rows have `line` floats.
__device__ inline void load_columns(float *tile, int width, const float *source, int line, int k0, int k_end, int n0,
                                    int n_end)
{
    for (int i = threadIdx.x; i < BK * width / 4; i += THREADS) {
        int k = k_of(i, width), n = n_of(i, width);
        float v[4] = {};
        if (n0 + n < n_end) load_four(v, source + (n0 + n) * line, k0 + k, line);
        for (int e = 0; e < 4; e++)
            if (k0 + k + e >= k_end) v[e] = 0.0f;  // these belong to another block's piece of the sum
        write_column(tile, width, k, n, v);
    }
}
