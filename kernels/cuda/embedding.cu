// Embedding lookup y[n] = table[ids[n]] with rows of D numbers, and its gradient.
//
// Repeated ids add to the same row of the gradient. Atomic additions would come in any order, and so would the
// rounding. Here the ids come sorted (stably, `order` tells where each stood): equal ones are neighbours, the thread
// that meets the first of them adds up all, in the order of the text. A row that is repeated very often is slow.

// An id that the table (V,D) does not have gives NaN, which training stops, and reads nothing out of bounds.
extern "C" __global__ void gather(const float *table, const int *ids, float *y, int count, int V, int D)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= count * D) return;
    int id = ids[thread / D];
    y[thread] = id >= 0 && id < V ? table[id * D + thread % D] : nanf("");
}

extern "C" __global__ void scatter(const float *dy, const int *sorted_ids, const int *order, float *dtable, int count,
                                   int V, int D)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= count * D) return;
    int n = thread / D, d = thread % D, id = sorted_ids[n];
    if (id < 0 || id >= V) return;
    if (n > 0 && sorted_ids[n - 1] == id) return;  // another thread has begun this run

    float sum = 0.0f;
    for (; n < count && sorted_ids[n] == id; n++) sum += dy[order[n] * D + d];
    dtable[id * D + d] = sum;
}
