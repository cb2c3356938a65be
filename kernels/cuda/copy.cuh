// Copies a tile of a matrix into shared memory while the threads go on computing (cp.async).
#pragma once
#include "ptx.cuh"

// Start to copy rows x columns floats of matrix (height, width), from (row0, column0) on; zeros beyond its edges.
// tile_line: floats from a row of the tile to the next. A copy has 16 bytes, or 4 where the rows are not aligned.
__device__ inline void copy_tile(float *tile, int tile_line, int rows, int columns, const float *matrix, int height,
                                 int width, int row0, int column0)
{
    for (int i = threadIdx.x; i < rows * columns / 4; i += blockDim.x) {
        int r = i / (columns / 4), c = i % (columns / 4) * 4, row = row0 + r, column = column0 + c;
        float *to = tile + r * tile_line + c;
        if (width % 4 == 0) {
            bool inside = row < height && column < width;
            cp_async_16_or_zero(to, inside ? matrix + row * width + column : matrix, inside);
        } else {
            for (int e = 0; e < 4; e++) {
                bool inside = row < height && column + e < width;
                cp_async_4_or_zero(to + e, inside ? matrix + row * width + column + e : matrix, inside);
            }
        }
    }
}
