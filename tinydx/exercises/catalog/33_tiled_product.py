"""A matrix product in tiles: what a thread fetches · 分块矩阵乘法

A GPU computes c in blocks of T x T threads. In each step of the sum the threads of a block fetch a tile of a and a tile
of b into memory that they share, each thread one number of either; then each computes with the whole tiles. Below, the
loops play the GPU. Write what thread (i, j) fetches. Where a matrix ends, it fetches 0, which adds nothing.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values

T = 4


def fetch(a, b, top, left, first, i, j):
    """What thread (i,j) fetches for the block whose c begins at (top,left), in the step that begins at k = first.

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
            for first in range(0, a.shape[1], T):  # a step of the sum
                tile_a, tile_b = np.zeros((T, T)), np.zeros((T, T))  # shared memory
                for i, j in threads:
                    tile_a[i, j], tile_b[i, j] = fetch(a, b, top, left, first, i, j)
                for i, j in threads:  # after a barrier: all have written
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
    source="lesson 20",
    hints=(
        "The tile of a begins at row `top` and column `first`. Where does the tile of b begin?",
        "Thread (i, j) fetches the number at place (i, j) of either tile: a[top + i, first + j] and b[first + i, left + j].",
        "An index beyond the end is an error, and a negative one is worse, it is silent. Ask for both indices before you read.",
    ),
    bugs=[
        Bug(
            "b's tile transposed",
            "b[k + i, n] if k + i < b.shape[0] and n < b.shape[1]",
            "b[k + j, left + i] if k + j < b.shape[0] and left + i < b.shape[1]",
            "That puts b[first + j, left + i] into tile_b[i, j]: the product reads columns of tile_b.",
        ),
        Bug(
            "always the first step",
            "m, k, n = top + i, first, left + j",
            "m, k, n = top + i, 0, left + j",
            "Every step fetches the same tiles: the tile of a moves to the right by `first`, that of b down.",
        ),
        Bug(
            "always the first block",
            "m, k, n = top + i, first, left + j",
            "m, k, n = i, first, j",
            "Every block fetches the tiles of the first one: the rows of a begin at `top`, the columns of b at `left`.",
        ),
        Bug(
            "a's tile transposed",
            "a[m, k + j] if m < a.shape[0] and k + j < a.shape[1]",
            "a[top + j, k + i] if top + j < a.shape[0] and k + i < a.shape[1]",
            "That puts a[top + j, first + i] into tile_a[i, j]: the product reads rows of tile_a.",
        ),
    ],
)
