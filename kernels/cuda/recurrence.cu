// One time step of the tanh recurrence, forward and backward. The launcher calls it T times: the end of a launch is the only
// point where all blocks have finished a time step.
//
//     forward    h_t  = tanh(z_t + h_{t-1} W)                      z = x W_xh + b of all time steps was computed before
//     backward   dh_t = dy_t + dz_{t+1} W^T,   dz_t = dh_t (1 - h_t^2)
//
// Where the mask is 0, a time step copies the state, and backward passes its gradient on unchanged (`carry`) instead of
// dz W^T. A block computes TILE examples x TILE units; the product of two matrices goes tile by tile through shared memory.

#define TILE 16

struct Step {
    int t, N, T, U;  // time step t of T; examples, units
};

// The (row, column) element of left (N,U) right (U,U), or of left right^T. Rows of left are `line` floats apart.
__device__ float product(const float *left, int line, const float *right, int transposed, int N, int U)
{
    __shared__ float a[TILE][TILE], b[TILE][TILE + 1];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * TILE + y, column = blockIdx.x * TILE + x;
    float sum = 0.0f;
    for (int k0 = 0; k0 < U; k0 += TILE) {
        int other = blockIdx.x * TILE + y;  // neighbouring threads read neighbouring elements of either matrix
        a[y][x] = row < N && k0 + x < U ? left[row * line + k0 + x] : 0.0f;
        if (transposed) b[x][y] = other < U && k0 + x < U ? right[other * U + k0 + x] : 0.0f;
        else b[y][x] = k0 + y < U && column < U ? right[(k0 + y) * U + column] : 0.0f;
        __syncthreads();
        for (int k = 0; k < TILE; k++) sum += a[y][k] * b[k][x];
        __syncthreads();
    }
    return sum;
}

// before (rows `line` apart): h_{t-1}; z, h: arrays (N,T,U)
extern "C" __global__ void __launch_bounds__(TILE * TILE)
recurrent_step(const float *z, const float *before, int line, const float *w, const unsigned char *mask, float *h,
               Step step)
{
    const int t = step.t, N = step.N, T = step.T, U = step.U;
    float sum = product(before, line, w, 0, N, U);
    int n = blockIdx.y * TILE + threadIdx.y, u = blockIdx.x * TILE + threadIdx.x;
    if (n >= N || u >= U) return;
    int i = (n * T + t) * U + u;
    h[i] = mask[n * T + t] ? tanhf(z[i] + sum) : before[n * line + u];
}

// dy, h, dz: arrays (N,T,U); carry (N,U), zero at first, is read and written. The last time step has none after it.
extern "C" __global__ void __launch_bounds__(TILE * TILE)
recurrent_step_backward(const float *dy, const float *h, const float *w, const unsigned char *mask, float *carry, float *dz,
                        Step step)
{
    const int t = step.t, N = step.N, T = step.T, U = step.U;
    float later = t + 1 < T ? product(dz + (t + 1) * U, T * U, w, 1, N, U) : 0.0f;
    int n = blockIdx.y * TILE + threadIdx.y, u = blockIdx.x * TILE + threadIdx.x;
    if (n >= N || u >= U) return;
    int i = (n * T + t) * U + u, later_is_real = t + 1 < T && mask[n * T + t + 1];
    float dh = dy[i] + (later_is_real ? later : carry[n * U + u]);
    dz[i] = mask[n * T + t] ? dh * (1.0f - h[i] * h[i]) : 0.0f;
    carry[n * U + u] = dh;
}
