"""A matrix product in tiles: what a thread fetches · 分块矩阵乘法

A GPU computes c in blocks of T x T threads. The sum over k is cut into pieces of T terms. For each piece, the threads of a
block fetch a tile of a and a tile of b into shared memory, each thread one number of each, and then every thread computes
with both tiles. The loops below simulate the GPU. Write what thread (i, j) fetches: 0 where a matrix ends.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values

T = 4


def fetch(a, b, top, left, first, i, j):
    """What thread (i,j) fetches, for the block of c that begins at (top,left) and the piece of the sum that begins at k = first.

    a (M,K), b (K,N) -> a number for tile_a[i, j], a number for tile_b[i, j]
    """
    # solution
    m, k, n = top + i, first, left + j
    of_a = a[m, k + j] if m < a.shape[0] and k + j < a.shape[1] else 0.0
    of_b = b[k + i, n] if k + i < b.shape[0] and n < b.shape[1] else 0.0
    return of_a, of_b


def tiled_product(a, b):
    """Given: a (M,K), b (K,N) -> c (M,N)"""
    c = np.zeros((a.shape[0], b.shape[1]))
    threads = [(i, j) for i in range(T) for j in range(T)]
    for top in range(0, c.shape[0], T):
        for left in range(0, c.shape[1], T):  # a block
            for first in range(0, a.shape[1], T):  # a piece of the sum
                tile_a, tile_b = np.zeros((T, T)), np.zeros((T, T))  # shared memory
                for i, j in threads:
                    tile_a[i, j], tile_b[i, j] = fetch(a, b, top, left, first, i, j)
                for i, j in threads:  # after a barrier: all threads have written
                    if top + i < c.shape[0] and left + j < c.shape[1]:
                        c[top + i, left + j] += tile_a[i] @ tile_b[:, j]
    return c


# ---- the runner's part ---------------------------------------------------------------------------------------------


def matrices(draw):
    m, k, n = draw.choice([(5, 6, 7), (6, 3, 9), (9, 5, 2)])
    return draw.array(m, k), draw.array(k, n)


EXERCISE = Exercise(
    checks=[Values(tiled_product, like=lambda a, b: a @ b, samples=matrices, names=("c",))],
    equation=r"c(m,n) = \sum_{k=1}^{K} a(m,k) \cdot b(k,n)",
    shapes="a (M,K), b (K,N) -> c (M,N)",
    source="lesson cuda_matmul",
    hints=(
        "The tile of a begins at row `top` and column `first`. Where does the tile of b begin?",
        "Thread (i, j) fetches element (i, j) of each tile: a[top + i, first + j] and b[first + i, left + j].",
        "An index beyond the end of an array is an error. Test both indices before you read.",
    ),
    bugs=[
        Bug(
            "b's tile transposed",
            "b[k + i, n] if k + i < b.shape[0] and n < b.shape[1]",
            "b[k + j, left + i] if k + j < b.shape[0] and left + i < b.shape[1]",
            "This puts b[first + j, left + i] into tile_b[i, j], but the product reads columns of tile_b.",
        ),
        Bug(
            "always the first step",
            "m, k, n = top + i, first, left + j",
            "m, k, n = top + i, 0, left + j",
            "Every piece of the sum uses the same tiles. `first` must move the tile of a to the right and the tile of b down.",
        ),
        Bug(
            "always the first block",
            "m, k, n = top + i, first, left + j",
            "m, k, n = i, first, j",
            "Every block fetches the tiles of the first block. The rows of a begin at `top`, the columns of b at `left`.",
        ),
        Bug(
            "a's tile transposed",
            "a[m, k + j] if m < a.shape[0] and k + j < a.shape[1]",
            "a[top + j, k + i] if top + j < a.shape[0] and k + i < a.shape[1]",
            "This puts a[top + j, first + i] into tile_a[i, j], but the product reads rows of tile_a.",
        ),
    ],
)
