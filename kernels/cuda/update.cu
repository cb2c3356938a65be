// The optimizers' updates, in place: one thread, one parameter. A dozen operations for every five numbers of memory
// traffic: as fast as memory. Operations come in the order of the reference (tinydx/ops/update.py).

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
    float step = rate * g[i], velocity = mu * m[i] - step;
    p[i] += nesterov ? mu * velocity - step : velocity;
    m[i] = velocity;
}

extern "C" __global__ void rmsprop(float *p, float *v, float *a, float *m, const float *g, int size, float rate,
                                   float rho, float rest, float mu, float epsilon, int centered)
{
    EACH(i, size);
    float square = rho * v[i] + rest * g[i] * g[i];
    float average = centered ? rho * a[i] + rest * g[i] : a[i];
    float variance = centered ? square - average * average : square;
    float velocity = mu * m[i] + rate * g[i] / sqrtf(variance + epsilon);
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

// alpha: the step size with its bias correction; rest_1 = 1 - beta_1, rest_2 = 1 - beta_2
extern "C" __global__ void adam(float *p, float *m, float *v, const float *g, int size, float alpha, float rest_1,
                                float rest_2, float epsilon)
{
    EACH(i, size);
    float mean = m[i] + (g[i] - m[i]) * rest_1;
    float square = v[i] + (g[i] * g[i] - v[i]) * rest_2;
    p[i] -= alpha * mean / (sqrtf(square) + epsilon);
    m[i] = mean;
    v[i] = square;
}
