// One time step of the gated recurrences, between its matrix products, which the launcher computes:
//
//     zx = x W + b, zh = h U   (N, gates x U)    gates    new states         forward
//     gradients of the states  gates             dz                          backward: dx = dz W^T, dW = x^T dz ...
//
// One thread for each unit of an example: it reads the unit's three or four gates, which lie U apart. They stand side by
// side in the reference's order, i f g o and z r g, after their sigmoid or tanh.

struct Shape {
    int N, U;  // examples, units
};

__device__ inline float sigma(float z)
{
    float e = expf(-fabsf(z));  // the exponent is never positive: nothing overflows
    return (z < 0.0f ? e : 1.0f) / (1.0f + e);
}

// i: the unit of an example, among all N * U; first: its first gate
#define UNIT(GATES)                                                  \
    int U = shape.U, i = blockIdx.x * blockDim.x + threadIdx.x;      \
    if (i >= shape.N * U) return;                                    \
    int first = i / U * GATES * U + i % U

// c' = f c + i g,  h' = o tanh(c');  y = tanh(c') is kept for backward
extern "C" __global__ void lstm(const float *zx, const float *zh, const float *c, float *gates, float *y, float *new_h,
                                float *new_c, Shape shape)
{
    UNIT(4);
    float gate_i = sigma(zx[first] + zh[first]), gate_f = sigma(zx[first + U] + zh[first + U]);
    float gate_g = tanhf(zx[first + 2 * U] + zh[first + 2 * U]), gate_o = sigma(zx[first + 3 * U] + zh[first + 3 * U]);
    float cell = gate_f * c[i] + gate_i * gate_g;
    gates[first] = gate_i;
    gates[first + U] = gate_f;
    gates[first + 2 * U] = gate_g;
    gates[first + 3 * U] = gate_o;
    y[i] = tanhf(cell);
    new_c[i] = cell;
    new_h[i] = gate_o * y[i];
}

// dc = dc' + dh' o (1 - y^2); from dc the gradients of the gates before their sigmoid or tanh, and that of the old c
extern "C" __global__ void lstm_backward(const float *dh_new, const float *dc_new, const float *c, const float *gates,
                                         const float *y, float *dz, float *dc_old, Shape shape)
{
    UNIT(4);
    float gate_i = gates[first], gate_f = gates[first + U], gate_g = gates[first + 2 * U], gate_o = gates[first + 3 * U];
    float dh = dh_new[i], dc = dc_new[i] + dh * gate_o * (1.0f - y[i] * y[i]);
    dz[first] = dc * gate_g * (gate_i * (1.0f - gate_i));
    dz[first + U] = dc * c[i] * (gate_f * (1.0f - gate_f));
    dz[first + 2 * U] = dc * gate_i * (1.0f - gate_g * gate_g);
    dz[first + 3 * U] = dh * y[i] * (gate_o * (1.0f - gate_o));
    dc_old[i] = dc * gate_f;
}

// h' = z h + (1 - z) g,  g = tanh(zx + r zh)
extern "C" __global__ void gru(const float *zx, const float *zh, const float *h, float *gates, float *new_h, Shape shape)
{
    UNIT(3);
    float gate_z = sigma(zx[first] + zh[first]), gate_r = sigma(zx[first + U] + zh[first + U]);
    float gate_g = tanhf(zx[first + 2 * U] + gate_r * zh[first + 2 * U]);
    gates[first] = gate_z;
    gates[first + U] = gate_r;
    gates[first + 2 * U] = gate_g;
    new_h[i] = gate_z * h[i] + (1.0f - gate_z) * gate_g;
}

// The gradients of zx and zh differ in the candidate: r stands between it and zh. direct: the part of dh that bypasses the
// gates.
extern "C" __global__ void gru_backward(const float *dy, const float *zh, const float *h, const float *gates, float *dzx,
                                        float *dzh, float *direct, Shape shape)
{
    UNIT(3);
    float gate_z = gates[first], gate_r = gates[first + U], gate_g = gates[first + 2 * U];
    float dg = dy[i] * (1.0f - gate_z) * (1.0f - gate_g * gate_g);
    float dz = dy[i] * (h[i] - gate_g) * gate_z * (1.0f - gate_z);
    float dr = dg * zh[first + 2 * U] * gate_r * (1.0f - gate_r);
    dzx[first] = dzh[first] = dz;
    dzx[first + U] = dzh[first + U] = dr;
    dzx[first + 2 * U] = dg;
    dzh[first + 2 * U] = dg * gate_r;
    direct[i] = dy[i] * gate_z;
}

// The form with the reset gate before the product takes two launches, since r h passes through U_g between them. Its zh has
// only two gates; kept: r h.
extern "C" __global__ void gru_reset(const float *zx, const float *zh, const float *h, float *gates, float *kept,
                                     Shape shape)
{
    UNIT(3);
    int before = i / U * 2 * U + i % U;
    float gate_r = sigma(zx[first + U] + zh[before + U]);
    gates[first] = sigma(zx[first] + zh[before]);
    gates[first + U] = gate_r;
    kept[i] = gate_r * h[i];
}

// h' = z h + (1 - z) g,  g = tanh(zx + s),  s = (r h) U_g
extern "C" __global__ void gru_candidate(const float *zx, const float *s, const float *h, float *gates, float *new_h,
                                         Shape shape)
{
    UNIT(3);
    float gate_z = gates[first], gate_g = tanhf(zx[first + 2 * U] + s[i]);
    gates[first + 2 * U] = gate_g;
    new_h[i] = gate_z * h[i] + (1.0f - gate_z) * gate_g;
}

// dz of z and of g; that of g also as a matrix of its own, ds, for the product with U_g^T
extern "C" __global__ void gru_candidate_backward(const float *dy, const float *h, const float *gates, float *dz, float *ds,
                                                  float *direct, Shape shape)
{
    UNIT(3);
    float gate_z = gates[first], gate_g = gates[first + 2 * U];
    dz[first] = dy[i] * (h[i] - gate_g) * gate_z * (1.0f - gate_z);
    dz[first + 2 * U] = ds[i] = dy[i] * (1.0f - gate_z) * (1.0f - gate_g * gate_g);
    direct[i] = dy[i] * gate_z;
}

// back = ds U_g^T is the gradient of r h: it goes to r and, through r, to h; `direct` is the other part of dh
extern "C" __global__ void gru_reset_backward(const float *back, const float *h, const float *gates, const float *direct, float *dz,
                                              float *dh, Shape shape)
{
    UNIT(3);
    float gate_r = gates[first + U];
    dz[first + U] = back[i] * h[i] * gate_r * (1.0f - gate_r);
    dh[i] = direct[i] + back[i] * gate_r;
}
