// One time step of the tanh recurrence, forward and back; N examples, U units, T steps. The launcher calls it T times:
// the end of a launch is the only point where all blocks have finished a step.
//
//     forward    h_t  = tanh(z_t + h_{t-1} W)                      z = x W_xh + b of all steps was made beforehand
//     backward   dh_t = dy_t + dz_{t+1} W^T,   dz_t = dh_t (1 - h_t^2)
//
// Where the mask is 0 a step copies the state; its gradient goes on to the step before untouched: `carry`, in place of dz W^T.
// A block makes TILE examples x TILE units. It takes the product of the two matrices tile by tile through shared memory.

#define TILE 16

// The (row, column) element of left (N,U) right (U,U), or of left right^T. Rows of left are `line` numbers apart.
__device__ float product(const float *left, int line, const float *right, int transposed, int N, int U)
{
    __shared__ float a[TILE][TILE], b[TILE][TILE + 1];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * TILE + y, column = blockIdx.x * TILE + x;
    float sum = 0.0f;
    for (int k0 = 0; k0 < U; k0 += TILE) {
        int other = blockIdx.x * TILE + y;  // neighbouring threads read neighbouring numbers of either matrix
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
recurrent_step(const float *z, const float *before, int line, const float *w, const unsigned char *mask, float *h, int t,
               int N, int T, int U)
{
    float sum = product(before, line, w, 0, N, U);
    int n = blockIdx.y * TILE + threadIdx.y, u = blockIdx.x * TILE + threadIdx.x;
    if (n >= N || u >= U) return;
    int i = (n * T + t) * U + u;
    h[i] = mask[n * T + t] ? tanhf(z[i] + sum) : before[n * line + u];
}

// dy, h, dz: arrays (N,T,U); carry (N,U), at first zero, is read and written. At the last step there is no later one.
extern "C" __global__ void __launch_bounds__(TILE * TILE)
recurrent_step_backward(const float *dy, const float *h, const float *w, const unsigned char *mask, float *carry, float *dz,
                        int t, int N, int T, int U)
{
    float later = t + 1 < T ? product(dz + (t + 1) * U, T * U, w, 1, N, U) : 0.0f;
    int n = blockIdx.y * TILE + threadIdx.y, u = blockIdx.x * TILE + threadIdx.x;
    if (n >= N || u >= U) return;
    int i = (n * T + t) * U + u, later_is_real = t + 1 < T && mask[n * T + t + 1];
    float dh = dy[i] + (later_is_real ? later : carry[n * U + u]);
    dz[i] = mask[n * T + t] ? dh * (1.0f - h[i] * h[i]) : 0.0f;
    carry[n * U + u] = dh;
}
