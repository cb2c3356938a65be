// Planted bugs: barriers, warps, asynchronous copies. With BUG=0 the same kernels are right.
#include "ptx.cuh"
#if BUG
#define PICK(bug, right) bug
#else
#define PICK(bug, right) right
#endif
#define BARRIER __syncthreads()
const unsigned ALL = 0xffffffff;

// check: barrier_in_branch<<<1, 64>>>(x=random(64), y=zeros(64))
extern "C" __global__ void barrier_in_branch(const float* x, float* y) {
    __shared__ float t[64];
    int i = threadIdx.x;
    t[i] = x[i];
    if (PICK(i < 32, true)) __syncthreads();  // BUG barrier-divergence
    y[i] = i < 32 ? t[i] : 0;
}

// check: barrier_after_return<<<1, 64>>>(n=50, x=random(64), y=zeros(64))
extern "C" __global__ void barrier_after_return(int n, const float* x, float* y) {
    __shared__ float t[64];
    int i = threadIdx.x;
    if (PICK(i >= n, false)) return;
    t[i] = x[i];
    __syncthreads();  // BUG barrier-divergence
    if (i < n) y[i] = t[n - 1 - i];
}

// check: two_barriers<<<1, 64>>>(x=random(64), y=zeros(64))
extern "C" __global__ void two_barriers(const float* x, float* y) {
    if (PICK(threadIdx.x % 2, true)) {
        y[threadIdx.x] = x[threadIdx.x];
        __syncthreads();  // BUG barrier-divergence
    } else {
        __syncthreads();  // BUG barrier-divergence
    }
}

// check: barrier_in_loop<<<1, 64>>>(x=random(64), y=zeros(64))
extern "C" __global__ void barrier_in_loop(const float* x, float* y) {
    for (int k = 0; k < PICK(threadIdx.x, 8); k++) {
        y[threadIdx.x] += x[threadIdx.x];
        __syncthreads();  // BUG barrier-divergence
    }
}

// check: shuffle_against_barrier<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void shuffle_against_barrier(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (PICK(threadIdx.x == 0, false)) __syncthreads();
    y[threadIdx.x] = __shfl_xor_sync(ALL, v, 1);  // BUG deadlock
    if (threadIdx.x != PICK(0, 99)) __syncthreads();
}

// check: shuffle_in_branch<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void shuffle_in_branch(const float* x, float* y) {
    if (PICK(threadIdx.x >= 16, false)) return;
    y[threadIdx.x] = __shfl_down_sync(ALL, x[threadIdx.x], 8);  // BUG inactive-lane
}

// check: shuffle_past_the_block<<<1, 48>>>(x=random(48), y=zeros(48))
extern "C" __global__ void shuffle_past_the_block(const float* x, float* y) {
    int lanes = threadIdx.x < 32 ? 32 : PICK(32, 16);
    float v = x[threadIdx.x];
    for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(ALL, v, d, lanes);  // BUG inactive-lane
    y[threadIdx.x] = v;
}

// check: mask_without_me<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void mask_without_me(const float* x, float* y) {
    y[threadIdx.x] = __shfl_sync(PICK(0xffff, ALL), x[threadIdx.x], 0);  // BUG warp-divergence
}

// check: different_masks<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void different_masks(const float* x, float* y) {
    unsigned mask = PICK(threadIdx.x < 16 ? ALL : 0xffff0000u, ALL);
    y[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], 1);  // BUG warp-divergence
}

// check: different_operations<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void different_operations(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (PICK(threadIdx.x < 16, true)) {
        y[threadIdx.x] = __shfl_xor_sync(ALL, v, 1);  // BUG warp-divergence
    } else {
        y[threadIdx.x] = __ballot_sync(ALL, v > 0);  // BUG warp-divergence
    }
}

// check: syncwarp_in_branch<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void syncwarp_in_branch(const float* x, float* y) {
    __shared__ float t[32];
    t[threadIdx.x] = x[threadIdx.x];
    if (PICK(threadIdx.x < 16, true)) __syncwarp();  // BUG deadlock
    BARRIER;
    y[threadIdx.x] = t[31 - threadIdx.x];
}

// check: waits_for_nobody<<<1, 32>>>(flag=zeros(1))
extern "C" __global__ void waits_for_nobody(int* flag) {
    if (threadIdx.x == 31) atomicExch(flag, PICK(2, 1));
    while (atomicAdd(flag, 0) != 1);  // BUG no-progress
}

// check: endless_loop<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void endless_loop(const float* x, float* y) {
    float sum = x[threadIdx.x];
    for (int k = 8; k > 0; k = k PICK(, / 2)) sum += k;  // BUG no-progress
    y[threadIdx.x] = sum;
}

// check: endless_reads<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void endless_reads(const float* x, float* y) {
    float sum = 0;
    for (int k = 0; k < 32; k += PICK(0, 1)) sum += x[k] + y[threadIdx.x];  // BUG no-progress
    y[threadIdx.x] = sum;
}

// check: copy_without_wait<<<1, 32>>>(x=random(128), y=zeros(128))
extern "C" __global__ void copy_without_wait(const float* x, float* y) {
    __shared__ float t[128];
    cp_async_16(t + 4 * threadIdx.x, x + 4 * threadIdx.x);
    cp_async_commit();
    PICK(, CP_ASYNC_WAIT(0));
    __syncthreads();
    y[4 * threadIdx.x] = t[127 - 4 * threadIdx.x];  // BUG missing-wait
}

// check: waits_for_the_wrong_group<<<1, 32>>>(x=random(256), y=zeros(32))
extern "C" __global__ void waits_for_the_wrong_group(const float* x, float* y) {
    __shared__ float t[2][32];
    for (int k = 0; k < 2; k++) {
        cp_async_4(&t[k][threadIdx.x], x + 32 * k + threadIdx.x);
        cp_async_commit();
    }
    PICK(CP_ASYNC_WAIT(1), CP_ASYNC_WAIT(0));
    __syncthreads();
    y[threadIdx.x] = t[0][31 - threadIdx.x] + t[1][31 - threadIdx.x];  // BUG missing-wait
}

// check: copy_without_commit<<<1, 32>>>(x=random(32), y=zeros(32))
extern "C" __global__ void copy_without_commit(const float* x, float* y) {
    __shared__ float t[32];
    cp_async_4(t + threadIdx.x, x + threadIdx.x);
    PICK(, cp_async_commit());
    CP_ASYNC_WAIT(0);
    __syncthreads();
    y[threadIdx.x] = t[31 - threadIdx.x];  // BUG missing-wait
}

// check: wait_without_barrier<<<1, 64>>>(x=random(64), y=zeros(64))
extern "C" __global__ void wait_without_barrier(const float* x, float* y) {
    __shared__ float t[64];
    cp_async_4(t + threadIdx.x, x + threadIdx.x);
    cp_async_commit();
    CP_ASYNC_WAIT(0);
    PICK(, BARRIER);
    y[threadIdx.x] = t[63 - threadIdx.x];  // BUG race|missing-wait
}

// check: overwritten_while_read<<<1, 64>>>(x=random(128), y=zeros(64))
extern "C" __global__ void overwritten_while_read(const float* x, float* y) {
    __shared__ float t[64];
    for (int k = 0; k < 2; k++) {
        cp_async_4(t + threadIdx.x, x + 64 * k + threadIdx.x);  // BUG race
        cp_async_commit();
        CP_ASYNC_WAIT(0);
        __syncthreads();
        y[threadIdx.x] += t[63 - threadIdx.x];
        PICK(, BARRIER);
    }
}

// check: copy_misaligned<<<1, 8>>>(x=random(40), y=zeros(32))
extern "C" __global__ void copy_misaligned(const float* x, float* y) {
    __shared__ float t[32];
    cp_async_16(t + 4 * threadIdx.x, x + 4 * threadIdx.x + PICK(1, 0));  // BUG misaligned
    cp_async_commit();
    CP_ASYNC_WAIT(0);
    __syncthreads();
    y[threadIdx.x] = t[threadIdx.x];
}
