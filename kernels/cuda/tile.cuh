// A tile of a matrix product: a block computes BM x BN sums, each of its threads TM x TN of them in registers.
//
//                     b (BK rows)        A step copies BK columns of the left matrix and BK rows of the right one
//                    +-----------+       into shared memory; multiply() adds their product to the sums.
//      a (BK cols)   |           |
//        +--+        +-----------+       A warp is 4 threads down and 8 across. A thread's rows and columns come in groups
//     BM |  |        |   sums    |       of four, one float4 each, and neighbouring threads have neighbouring groups: a
//        |  |        |           |       warp's reads of shared memory fall into different banks (matmul_07_warp.cu).
//        +--+        +-----------+
//                         BN
// BM, BN, BK, TM, TN come from the command line (-DBM=64 ...); TM and TN are multiples of four.

const int ACROSS = BN / TN;
const int DOWN = BM / TM;
const int THREADS = ACROSS * DOWN;
#define PAD 4  // floats at the end of a row: a column of the tile then lies in different banks, and rows stay aligned

// Where a thread is among the DOWN x ACROSS threads of the block, warp by warp.
__device__ inline int thread_row() { return threadIdx.x / 32 / (ACROSS / 8) * 4 + threadIdx.x % 32 / 8; }
__device__ inline int thread_column() { return threadIdx.x / 32 % (ACROSS / 8) * 8 + threadIdx.x % 8; }

// Which row of the tile a thread's i-th sum belongs to, and which column its j-th.
__device__ inline int row_of(int i) { return thread_row() * 4 + i / 4 * (4 * DOWN) + i % 4; }
__device__ inline int column_of(int j) { return thread_column() * 4 + j / 4 * (4 * ACROSS) + j % 4; }

__device__ inline void read_four(float *to, const float *from)
{
    float4 v = *(const float4 *)from;
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

// sum += a^T b: each number read from shared memory is used TN or TM times.
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

// tile[k][n] = source[k0 + k][n0 + n], zero outside; neighbouring threads read neighbours along n.
__device__ inline void load_rows(float *tile, int width, const float *source, int line, int k0, int k_end, int n0, int n_end)
{
    for (int i = threadIdx.x; i < BK * width; i += THREADS) {
        int k = i / width, n = i % width;
        bool inside = k0 + k < k_end && n0 + n < n_end;
        tile[k * (width + PAD) + n] = inside ? source[(k0 + k) * line + n0 + n] : 0.0f;
    }
}

// tile[k][n] = source[n0 + n][k0 + k]: the same of a matrix that lies transposed; neighbours along k.
__device__ inline void load_columns(float *tile, int width, const float *source, int line, int k0, int k_end, int n0, int n_end)
{
    for (int i = threadIdx.x; i < BK * width; i += THREADS) {
        int k = i % BK, n = i / BK;
        bool inside = k0 + k < k_end && n0 + n < n_end;
        tile[k * (width + PAD) + n] = inside ? source[(n0 + n) * line + k0 + k] : 0.0f;
    }
}
