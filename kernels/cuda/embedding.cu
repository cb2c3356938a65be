// Embedding lookup y[n] = table[ids[n]] with rows of D numbers, and its gradient.
//
// Repeated ids add to the same row of the gradient. Atomic additions would come in any order, and round differently each
// time. So the ids come sorted (stably; `order` tells where each stood): equal ids are neighbours, and the thread of the
// first one adds up all of them, in the order of the text. A row that is repeated very often is slow.

// An id outside of the table (V,D) gives NaN, which stops training, and reads nothing out of bounds.
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
    if (n > 0 && sorted_ids[n - 1] == id) return;  // another thread adds up this id

    float sum = 0.0f;
    for (; n < count && sorted_ids[n] == id; n++) sum += dy[order[n] * D + d];
    dtable[id * D + d] = sum;
}
