"""Where the finding went · 仿射变换

Augmentation rotates and shifts an image, and an expert's marks in it must move with it. The pixel at (r, c) of the new
image was taken from (u, v) of the old one. The marks are given in the old image: return their places in the new image.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def moved_points(points, matrix, offset):
    """points (K,2) rows (u,v) in the old image, matrix (2,2), offset (2,) -> (K,2) rows (r,c) in the new one"""
    # solution
    return (points - offset) @ np.linalg.inv(matrix).T


# ---- the runner's part ---------------------------------------------------------------------------------------------


def by_cramer(points, matrix, offset):
    (a, b), (c, d) = matrix
    u, v = (points - offset).T
    return np.stack([d * u - b * v, a * v - c * u], axis=-1) / (a * d - b * c)


def marks(draw):
    matrix = draw.array(2, 2)
    return 40 * draw.array(draw.integer(3, 5), 2), matrix + np.sign(matrix[0, 0]) * 2 * np.eye(2), 10 * draw.array(2)


EXERCISE = Exercise(
    checks=[Values(moved_points, like=by_cramer, samples=marks, names=("points",))],
    equation=r"u = m_{11} r + m_{12} c + o_1, \quad v = m_{21} r + m_{22} c + o_2",
    shapes="matrix (2,2), offset (2,)",
    source="Keras, ImageDataGenerator",
    hints=(
        "The equations map the new image to the old one. You know (u, v) and want (r, c): solve for r and c.",
        "With vectors: old = M new + o. So new = M^-1 (old - o).",
        "points has one point in each row, so multiply it from the right with the transposed matrix: (points - offset) @ M^-1.T.",
    ),
    bugs=[
        Bug(
            "the wrong direction",
            "(points - offset) @ np.linalg.inv(matrix).T",
            "points @ matrix.T + offset",
            "This maps the new image to the old one, which is how its pixels are read. A mark goes the other way: invert the map.",
        ),
        Bug(
            "offset added",
            "points - offset",
            "points + offset",
            "The map adds the offset last, so its inverse subtracts it first.",
        ),
        Bug(
            "offset taken away last",
            "(points - offset) @ np.linalg.inv(matrix).T",
            "points @ np.linalg.inv(matrix).T - offset",
            "The last operation is undone first: subtract the offset, then multiply by the inverse.",
        ),
        Bug(
            "rows and columns of the matrix swapped",
            "np.linalg.inv(matrix).T",
            "np.linalg.inv(matrix)",
            "The points are rows, so the matrix on their right must be transposed.",
        ),
        Bug(
            "transposed instead of inverted",
            "np.linalg.inv(matrix).T",
            "matrix",
            "The transpose is the inverse for a pure rotation only, not with a zoom or a shear.",
        ),
    ],
)
