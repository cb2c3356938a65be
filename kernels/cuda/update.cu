// The optimizers' updates, in place: one thread for each parameter. With a dozen operations for five numbers of memory
// traffic they are as fast as memory. The order of operations is that of the reference (tinydx/ops/update.py).

#define EACH(i, size)                                     \
    int i = blockIdx.x * blockDim.x + threadIdx.x;        \
    if (i >= size) return

extern "C" __global__ void sgd(float *p, const float *g, int size, float rate)
{
    EACH(i, size);
    p[i] -= rate * g[i];
}

extern "C" __global__ void momentum(float *p, float *m, const float *g, int size, float rate, float mu, int nesterov)
{
    EACH(i, size);
    float change = rate * g[i], velocity = mu * m[i] - change;
    p[i] += nesterov ? mu * velocity - change : velocity;
    m[i] = velocity;
}

struct RMSprop {
    float rate, rho, rest, mu, epsilon;  // rest = 1 - rho
    int centered;
};

extern "C" __global__ void rmsprop(float *p, float *v, float *a, float *m, const float *g, int size, RMSprop c)
{
    EACH(i, size);
    float square = c.rho * v[i] + c.rest * g[i] * g[i];
    float average = c.centered ? c.rho * a[i] + c.rest * g[i] : a[i];
    float variance = c.centered ? square - average * average : square;
    float velocity = c.mu * m[i] + c.rate * g[i] / sqrtf(variance + c.epsilon);
    p[i] -= velocity;
    v[i] = square;
    a[i] = average;
    m[i] = velocity;
}

extern "C" __global__ void adagrad(float *p, float *v, const float *g, int size, float rate, float epsilon)
{
    EACH(i, size);
    float square = v[i] + g[i] * g[i];
    p[i] -= rate * g[i] / sqrtf(square + epsilon);
    v[i] = square;
}

struct Adam {
    float alpha;           // the learning rate with its bias correction
    float rest_1, rest_2;  // 1 - beta_1, 1 - beta_2
    float epsilon;
};

extern "C" __global__ void adam(float *p, float *m, float *v, const float *g, int size, Adam c)
{
    EACH(i, size);
    float mean = m[i] + (g[i] - m[i]) * c.rest_1;
    float square = v[i] + (g[i] * g[i] - v[i]) * c.rest_2;
    p[i] -= c.alpha * mean / (sqrtf(square) + c.epsilon);
    m[i] = mean;
    v[i] = square;
}
