// Planted bugs: bounds, initialisation, alignment, arithmetic. With BUG=0 the same kernels are right.
#if BUG
#define PICK(bug, right) bug
#else
#define PICK(bug, right) right
#endif

// check: no_bounds_check<<<4, 64>>>(n=250, x=random(n), y=zeros(n))
extern "C" __global__ void no_bounds_check(int n, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (PICK(true, i < n)) y[i] = 2 * x[i];  // BUG out-of-bounds
}

// check: one_too_far<<<1, 64>>>(n=40, x=random(n), y=zeros(n))
extern "C" __global__ void one_too_far(int n, const float* x, float* y) {
    int i = threadIdx.x;
    if (PICK(i <= n, i < n)) y[i] = 1;  // BUG out-of-bounds
}

// check: before_the_start<<<1, 64>>>(n=64, x=random(n), y=zeros(n))
extern "C" __global__ void before_the_start(int n, const float* x, float* y) {
    int i = threadIdx.x;
    y[i] = PICK(true, i > 0) ? x[i - 1] : 0;  // BUG out-of-bounds
}

// check: rows_for_columns<<<1, dim3(16, 16)>>>(h=5, w=12, x=random(h, w), y=zeros(h, w))
extern "C" __global__ void rows_for_columns(int h, int w, const float* x, float* y) {
    int i = PICK(threadIdx.x, threadIdx.y), j = PICK(threadIdx.y, threadIdx.x);
    if (i < h && j < w) y[i * w + j] = 1;
    int row = threadIdx.y, column = threadIdx.x;
    if (PICK(row < w && column < h, row < h && column < w)) y[row * w + column] += x[row * w + column];  // BUG out-of-bounds
}

// check: far_into_another_array<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void far_into_another_array(const float* x, float* y) {
    y[PICK(100000, 1) * threadIdx.x] = x[threadIdx.x];  // BUG out-of-bounds
}

// check: shared_index<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void shared_index(const float* x, float* y) {
    __shared__ float t[4][8];
    int i = threadIdx.x;
    t[i / 8][i % 8] = x[i];
    __syncthreads();
    y[i] = t[i / 8][PICK(i % 8 + 1, i % 8)];  // BUG out-of-bounds
}

// check: shared_pointer<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void shared_pointer(const float* x, float* y) {
    __shared__ float t[32];
    float* p = t + threadIdx.x;
    *p = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = p[PICK(32, 0)];  // BUG out-of-bounds
}

// check: dynamic_shared_too_small<<<1, 64, SIZE>>>(x=random(64), y=zeros(64))
extern "C" __global__ void dynamic_shared_too_small(const float* x, float* y) {
    extern __shared__ float t[];
    t[threadIdx.x] = x[threadIdx.x];  // BUG out-of-bounds
    __syncthreads();
    y[threadIdx.x] = t[63 - threadIdx.x];
}

// check: local_index<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void local_index(const float* x, float* y) {
    float window[4] = {0, 0, 0, 0};
    for (int k = 0; k < 4; k++) window[k] = x[(threadIdx.x + k) % 32];
    float sum = 0;
    for (int k = 0; k < PICK(5, 4); k++) sum += window[k];  // BUG out-of-bounds
    y[threadIdx.x] = sum;
}

// check: shared_never_written<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void shared_never_written(const float* x, float* y) {
    __shared__ float t[32];
    if (PICK(threadIdx.x < 31, true)) t[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = t[31 - threadIdx.x];  // BUG uninitialised
}

// check: shared_of_the_block_before<<<2, 32>>>(x=random(64), y=zeros(64))
extern "C" __global__ void shared_of_the_block_before(const float* x, float* y) {
    __shared__ float t;
    if (threadIdx.x == 0 && PICK(blockIdx.x == 0, true)) t = x[blockIdx.x];
    __syncthreads();
    y[blockIdx.x * 32 + threadIdx.x] = t;  // BUG uninitialised
}

// check: output_read_first<<<1, 32>>>(x=random(32), y=empty(32))
extern "C" __global__ void output_read_first(const float* x, float* y) {
    PICK(y[threadIdx.x] += x[threadIdx.x], y[threadIdx.x] = x[threadIdx.x]);  // BUG uninitialised
}

// check: misaligned_float4<<<1, 8>>>(x=random(40), y=zeros(32))
extern "C" __global__ void misaligned_float4(const float* x, float* y) {
    float4 v = *(const float4*)(x + 4 * threadIdx.x + PICK(1, 0));  // BUG misaligned
    *(float4*)(y + 4 * threadIdx.x) = v;
}

// check: misaligned_store<<<1, 8>>>(x=random(32), y=zeros(40))
extern "C" __global__ void misaligned_store(const float* x, float* y) {
    float2 v = make_float2(x[threadIdx.x], 0);
    *(float2*)(y + 2 * threadIdx.x + PICK(1, 0)) = v;  // BUG misaligned
}

// check: index_overflow<<<1, 32>>>(n=70000, x=random(32), y=zeros(32))
extern "C" __global__ void index_overflow(int n, const float* x, float* y) {
    int row = n + threadIdx.x;
    y[threadIdx.x] = x[PICK(row * n, (long long)row * n) % 32 == 0];  // BUG arithmetic
}

// check: divides_by_zero<<<1, 32>>>(n=4, x=random(32), y=zeros(32))
extern "C" __global__ void divides_by_zero(int n, const float* x, float* y) {
    y[threadIdx.x] = x[32 / (n - PICK(4, 3)) - 1];  // BUG arithmetic
}

// check: null_pointer<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void null_pointer(const float* x, float* y) {
    const float* p = PICK(nullptr, x);
    y[threadIdx.x] = p[threadIdx.x];  // BUG out-of-bounds
}

// check: fails_an_assertion<<<1, 32>>>(y=zeros(32))
extern "C" __global__ void fails_an_assertion(float* y) {
    assert(threadIdx.x < PICK(5, 32));  // BUG assertion
    y[threadIdx.x] = 1;
}

// check: calls_itself_without_end<<<1, 32>>>(y=zeros(32))
__device__ int sum_down_from(int n) {  // BUG stack-overflow
    return n == 0 ? 0 : n + sum_down_from(n - 1);
}
extern "C" __global__ void calls_itself_without_end(float* y) {
    y[threadIdx.x] = sum_down_from(PICK(-1, 9));
}
