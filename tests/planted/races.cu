// Planted bugs: races. With BUG=0 the same kernels are right. "// BUG kind" marks the line that must be reported.
#if BUG
#define PICK(bug, right) bug
#else
#define PICK(bug, right) right
#endif
#define BARRIER __syncthreads()

// check: missing_barrier<<<1, 64>>>(x=random(64), y=empty(64))
extern "C" __global__ void missing_barrier(const float* x, float* y) {
    __shared__ float t[64];
    int i = threadIdx.x;
    t[i] = x[i];
    PICK(, BARRIER);
    y[i] = t[63 - i];  // BUG race
}

// check: missing_second_barrier<<<1, 64>>>(x=random(256), y=zeros(64))
extern "C" __global__ void missing_second_barrier(const float* x, float* y) {
    __shared__ float t[64];
    int i = threadIdx.x;
    for (int k = 0; k < 4; k++) {
        t[i] = x[64 * k + i];  // BUG race
        __syncthreads();
        y[i] += t[63 - i];
        PICK(, BARRIER);
    }
}

// check: same_element<<<1, 64>>>(x=random(64), y=zeros(1))
extern "C" __global__ void same_element(const float* x, float* y) {
    if (PICK(x[threadIdx.x] > 0, threadIdx.x == 0)) y[0] = x[threadIdx.x];  // BUG race
}

// check: sum_without_atomic<<<1, 64>>>(x=random(64), y=zeros(1))
extern "C" __global__ void sum_without_atomic(const float* x, float* y) {
    PICK(y[0] += x[threadIdx.x], atomicAdd(y, x[threadIdx.x]));  // BUG race
}

// check: atomic_and_plain<<<1, 64>>>(x=random(64), y=zeros(2))
extern "C" __global__ void atomic_and_plain(const float* x, float* y) {
    atomicAdd(y, x[threadIdx.x]);
    PICK(, BARRIER);
    if (threadIdx.x == 0) y[1] = y[0];  // BUG race
}

// check: between_blocks<<<4, 64>>>(x=random(256), y=zeros(4))
extern "C" __global__ void between_blocks(const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x == 0) y[PICK(0, blockIdx.x)] = x[i];  // BUG race-between-blocks
}

// check: reads_other_block<<<4, 64>>>(x=random(256), y=zeros(256), z=zeros(256))
extern "C" __global__ void reads_other_block(const float* x, float* y, float* z) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
    __syncthreads();
    z[i] = y[PICK((i + 255) % 256, i)];  // BUG race-between-blocks
}

// check: last_block_without_fence<<<4, 64>>>(x=random(256), part=zeros(4), count=zeros(1), y=zeros(1))
extern "C" __global__ void last_block_without_fence(const float* x, float* part, unsigned* count, float* y) {
    if (threadIdx.x > 0) return;
    part[blockIdx.x] = x[blockIdx.x * 64];
    PICK(, __threadfence());
    if (atomicAdd(count, 1u) < gridDim.x - 1) return;
    float sum = 0;
    for (int b = 0; b < gridDim.x; b++) sum += part[b];  // BUG race-between-blocks
    y[0] = sum;
}

// check: warp_without_syncwarp<<<1, 32>>>(x=random(32), y=empty(32))
extern "C" __global__ void warp_without_syncwarp(const float* x, float* y) {
    __shared__ float t[32];
    int i = threadIdx.x;
    t[i] = x[i];
    PICK(, __syncwarp());
    y[i] = t[31 - i];  // BUG race
}

// check: syncwarp_is_no_barrier<<<1, 64>>>(x=random(64), y=empty(64))
extern "C" __global__ void syncwarp_is_no_barrier(const float* x, float* y) {
    __shared__ float t[64];
    int i = threadIdx.x;
    t[i] = x[i];
    PICK(__syncwarp(), BARRIER);
    y[i] = t[63 - i];  // BUG race
}

// check: reduction_too_few_barriers<<<1, 128>>>(x=random(128), y=zeros(1))
extern "C" __global__ void reduction_too_few_barriers(const float* x, float* y) {
    __shared__ float t[128];
    int i = threadIdx.x;
    t[i] = x[i];
    __syncthreads();
    for (int step = 64; step > 0; step /= 2) {
        if (i < step) t[i] += t[i + step];  // BUG race
        PICK(if (step > 32) BARRIER, BARRIER);
    }
    if (i == 0) y[0] = t[0];
}

// check: flag_without_fence<<<1, 64>>>(x=random(64), y=zeros(64))
extern "C" __global__ void flag_without_fence(const float* x, float* y) {
    __shared__ int ready;
    __shared__ float value;
    if (threadIdx.x == 0) {
        value = x[0];
        ready = 1;
    }
    PICK(while (*(volatile int*)&ready != 1), BARRIER);  // BUG race
    y[threadIdx.x] = value;
}
