// One small kernel for each primitive: what a warp, an atomic or a tensor core does, seen from outside.
// The same file can run on a GPU; the results must be the same bits.
#include "ptx.cuh"
const unsigned ALL = 0xffffffff;

// out (8, 32): each row another shuffle of the lanes' own numbers
extern "C" __global__ void shuffles(int* out) {
    int lane = threadIdx.x;
    out[lane] = __shfl_sync(ALL, lane, 5);
    out[32 + lane] = __shfl_sync(ALL, lane, lane * 7);
    out[64 + lane] = __shfl_sync(ALL, lane, 9, 8);
    out[96 + lane] = __shfl_up_sync(ALL, lane, 3);
    out[128 + lane] = __shfl_up_sync(ALL, lane, 3, 16);
    out[160 + lane] = __shfl_down_sync(ALL, lane, 5);
    out[192 + lane] = __shfl_down_sync(ALL, lane, 5, 8);
    out[224 + lane] = __shfl_xor_sync(ALL, lane, 11);
}

// out (7, 32): votes of the whole warp, of its even lanes, and of the lanes in a branch
extern "C" __global__ void votes(const int* x, unsigned* out) {
    int lane = threadIdx.x, v = x[lane];
    out[lane] = __ballot_sync(ALL, v > 0);
    out[32 + lane] = __any_sync(ALL, v > 8);
    out[64 + lane] = __all_sync(ALL, v > -100);
    if (lane % 2 == 0) out[96 + lane] = __ballot_sync(0x55555555, v > 0);
    if (lane % 2 == 0) out[128 + lane] = __all_sync(0x55555555, v > 0);
    if (lane < 12) {
        unsigned mask = __activemask();
        out[160 + lane] = mask;
        out[192 + lane] = __shfl_xor_sync(mask, lane, 1);
    }
}

// out (3,): how many, whether all, whether any of the block's numbers are positive
extern "C" __global__ void block_votes(const int* x, int* out) {
    int v = x[threadIdx.x];
    int count = __syncthreads_count(v > 0), all = __syncthreads_and(v > 0), any = __syncthreads_or(v > 0);
    if (threadIdx.x == 0) out[0] = count, out[1] = all != 0, out[2] = any != 0;
}

// sums and extremes of x (n,) by atomics
extern "C" __global__ void atomics(const int* x, int n, int* out, unsigned* bits, float* total) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    atomicAdd(out, x[i]);
    atomicMax(out + 1, x[i]);
    atomicMin(out + 2, x[i]);
    atomicSub(out + 3, x[i]);
    int old = out[4] * 0;
    while (true) {  // a maximum by compare and swap
        int found = atomicCAS(out + 5, old, old > x[i] ? old : x[i]);
        if (found == old) break;
        old = found;
    }
    atomicOr(bits, 1u << (x[i] & 31));
    atomicXor(bits + 1, (unsigned)x[i]);
    atomicAnd(bits + 2, ~(1u << (x[i] & 31)));
    atomicInc(bits + 3, 100);
    atomicAdd(total, (float)x[i]);
}

// the sum of each block of x, by shuffles within warps and shared memory between them
extern "C" __global__ void block_sums(const float* x, int n, float* sums) {
    __shared__ float of_warp[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sum = i < n ? x[i] : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(ALL, sum, d);
    if (lane == 0) of_warp[warp] = sum;
    __syncthreads();
    if (warp > 0) return;
    sum = lane < blockDim.x / 32 ? of_warp[lane] : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(ALL, sum, d);
    if (lane == 0) sums[blockIdx.x] = sum;
}

// the last block to finish adds up what all have written
extern "C" __global__ void sum_in_one_launch(const float* x, int n, float* parts, unsigned* done, float* y) {
    __shared__ bool last;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int k = i; k < min(n, i + (int)blockDim.x); k++) sum += x[k];
        parts[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last || threadIdx.x > 0) return;
    float sum = 0;
    for (int b = 0; b < gridDim.x; b++) sum += parts[b];
    *y = sum;
}

// d (16,8) += a (16,8) b (8,8), by one warp
extern "C" __global__ void tf32(const float* a, const float* b, float* d) {
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    unsigned af[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]), to_tf32(a[(g + 8) * 8 + t + 4])};
    unsigned bf[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
    float df[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t], d[(g + 8) * 8 + 2 * t + 1]};
    mma_m16n8k8_tf32(df, af, bf);
    d[g * 8 + 2 * t] = df[0], d[g * 8 + 2 * t + 1] = df[1], d[(g + 8) * 8 + 2 * t] = df[2], d[(g + 8) * 8 + 2 * t + 1] = df[3];
}

// d (16,8) += a (16,16) b (16,8): fragments by ldmatrix from shared memory. short floats as their bits
extern "C" __global__ void short_floats(const unsigned* a, const unsigned* b, float* d, int bfloat) {
    __shared__ __align__(16) unsigned a_tile[16][8], b_tile[16][4];
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    for (int i = lane; i < 128; i += 32) a_tile[i / 8][i % 8] = a[i];
    for (int i = lane; i < 64; i += 32) b_tile[i / 4][i % 4] = b[i];
    __syncwarp();
    unsigned af[4], bf[2];
    ldmatrix_x4(af, &a_tile[lane % 16][lane / 16 * 4]);
    ldmatrix_x2_trans(bf, &b_tile[lane % 16][0]);
    float df[4] = {0, 0, 0, 0};
    if (bfloat) mma_m16n8k16_bf16(df, af, bf);
    else mma_m16n8k16_f16(df, af, bf);
    d[g * 8 + 2 * t] = df[0], d[g * 8 + 2 * t + 1] = df[1], d[(g + 8) * 8 + 2 * t] = df[2], d[(g + 8) * 8 + 2 * t + 1] = df[3];
}

// the bits that conversions give
extern "C" __global__ void conversions(const float* x, int n, unsigned* f16, unsigned* bf16, unsigned* tf32) {
    int i = threadIdx.x;
    if (i >= n) return;
    f16[i] = pack_f16(x[i], -x[i]);
    bf16[i] = pack_bf16(x[i], -x[i]);
    tf32[i] = to_tf32(x[i]);
}

// y = x reversed in each stretch of 128, through shared memory, with copies that overlap; past the end come zeros
extern "C" __global__ void pipeline(const float* x, int n, float* y) {
    __shared__ __align__(16) float buffer[2][128];
    int t = threadIdx.x, stretches = (n + 127) / 128;
    for (int s = 0; s <= stretches; s++) {
        if (s < stretches) cp_async_16_or_zero(&buffer[s % 2][4 * t], x + (128 * s + 4 * t < n ? 128 * s + 4 * t : 0), 128 * s + 4 * t < n);
        cp_async_commit();
        if (s == 0) continue;
        CP_ASYNC_WAIT(1);
        __syncthreads();
        for (int i = 0; i < 4; i++) y[128 * (s - 1) + 4 * t + i] = buffer[(s - 1) % 2][127 - 4 * t - i];
        __syncthreads();
    }
}

// A play written in a script: in each phase each thread reads (1), writes (2) or updates (3) an element, or rests (0); then
// no thread waits (0), warps wait (1), or the block waits (2). script: (blocks, phases, threads), action * 16 + element.
#define PLAY(name, type, prepare)                                                                                     \
    extern "C" __global__ void name(const int* script, const int* waits, int phases, type* global, int* out) {        \
        prepare;                                                                                                      \
        int t = threadIdx.x, sum = 0;                                                                                 \
        for (int p = 0; p < phases; p++) {                                                                            \
            int what = script[(blockIdx.x * phases + p) * blockDim.x + t];                                            \
            type* place = stage + what % 16;                                                                          \
            if (what / 16 == 1) sum += *place;                                                                        \
            if (what / 16 == 2) *place = t;                                                                           \
            if (what / 16 == 3) sum += atomicAdd((int*)place, 1);                                                     \
            if (waits[p] == 1) __syncwarp();                                                                          \
            if (waits[p] == 2) __syncthreads();                                                                       \
        }                                                                                                             \
        out[blockIdx.x * blockDim.x + t] = sum;                                                                       \
    }
PLAY(play_global, int, int* stage = global)
PLAY(play_bytes, unsigned char, unsigned char* stage = global)
PLAY(play_shared, int, __shared__ int stage[16]; if (threadIdx.x < 16) stage[threadIdx.x] = 0; __syncthreads())
