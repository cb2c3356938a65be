"""Figures of the gradient checker on the corpus of public mistakes: python tests/measure_gradcheck.py [dev|held]."""

import re
import sys
import time

import numpy as np
from public_mistakes import DEV, HELD, cases, made

from tinydx import gradcheck


def main(which):
    families = {"dev": DEV, "held": HELD}[which]
    counts = dict.fromkeys(("wrong", "caught", "named", "right names"), 0)
    blamed = 0
    for name, family in families.items():
        blamed += not gradcheck(made(family.code, name), *family.inputs, seed=1)
    for name, i, code, inputs, pattern in cases(families):
        start = time.process_time()
        with np.errstate(all="ignore"):
            report = gradcheck(made(code, f"{name} {i}"), *inputs, seed=1)
        names = [*filter(None, report.mistakes.values()), *(p.name for p in report.problems)]
        counts["wrong"] += 1
        counts["caught"] += report.verdict != "right"
        counts["named"] += bool(names)
        fits = any(re.search(pattern, n) for n in names)
        counts["right names"] += fits
        if not fits:
            print(f"{name} {i}: {report.verdict} {list(report.mistakes.values())} {names[-1:]}, expected {pattern}")
        if time.process_time() - start > 1:
            print(f"{name} {i}: {time.process_time() - start:.1f} s")
    print(counts, "right ones blamed:", blamed, "of", len(families))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev")
