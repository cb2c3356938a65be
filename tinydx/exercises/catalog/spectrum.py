"""The spectrum of every frame · 频谱

The features that a network gets from a sound. Cut the samples into overlapping frames. Multiply each frame by the window,
which fades it in and out: abrupt ends would spread over all frequencies. Return the power of each frequency in decibels,
10 log10 of |X|^2, where |X|^2 is at least 1e-10.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values
from tinydx.preprocessing.sound import power_to_db, stft


def spectrum(x, n, hop):
    """x (L,), n samples in a frame, hop samples from one frame to the next -> S (T,1+n//2) in dB, T = 1 + (L-n) // hop"""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    # solution
    frames = np.array([x[start : start + n] for start in range(0, len(x) - n + 1, hop)])
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return 10 * np.log10(np.maximum(power, 1e-10))


# ---- the runner's part ---------------------------------------------------------------------------------------------


def engine(x, n, hop):
    return power_to_db(np.abs(stft(x, n_fft=n, hop=hop, center=False)) ** 2, top_db=None)


def sounds(draw):
    n, hop = draw.choice([8, 16]), draw.choice([3, 4])
    x = draw.array(n + draw.integer(2, 5) * hop + draw.integer(1, 2))
    x[:n] = 0  # a frame of silence, whose power is raised to 1e-10
    x[n : n + hop] *= 1e-5  # and a quiet one, whose power is below 1e-10, too
    return x, n, hop


EXERCISE = Exercise(
    checks=[Values(spectrum, like=engine, samples=sounds, names=("S",))],
    hints=(
        "The first frame is x[0:n], the next x[hop:hop+n], and so on. The last one still lies within x. What does np.fft.rfft do with a matrix?",
        "np.fft.rfft transforms each row separately. Multiply the frames by the window before it. The power is the square of np.abs of the result.",
        "S = 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frames * window)) ** 2, 1e-10)), with the frames as rows.",
    ),
    equation=r"S(t,k) = 10 \log_{10} |\sum_{n} x(tH+n) u(n) e^{-i 2 \pi k n / N}|^2",
    shapes="x (L,) -> S (T,1+N//2)",
    source="short-time Fourier transform",
    bugs=[
        Bug(
            "window forgotten",
            "frames * window",
            "frames",
            "Multiply each frame by the window before the transform.",
        ),
        Bug(
            "amplitude instead of power",
            " ** 2",
            "",
            "Decibels measure power: square the absolute values, or take 20 log10 of them.",
        ),
        Bug(
            "floor forgotten",
            "np.maximum(power, 1e-10)",
            "power",
            "Silence has no power, and the logarithm of 0 is infinite: take at least 1e-10.",
        ),
        Bug("natural logarithm", "np.log10", "np.log", "A decibel value is ten times the logarithm to base 10: np.log10."),
        Bug(
            "last frame left out",
            "len(x) - n + 1",
            "len(x) - n - hop + 1",
            "The last frame may end at the last sample: T = 1 + (L - n) // hop.",
        ),
        Bug(
            "symmetric window",
            "frames * window",
            "frames * np.hanning(n)",
            "np.hanning ends with 0 at both ends. The given window repeats after n samples: use it.",
        ),
        Bug(
            "floor added",
            "np.maximum(power, 1e-10)",
            "(power + 1e-10)",
            "Take the larger of power and 1e-10. Adding 1e-10 changes every number a little.",
        ),
    ],
)
