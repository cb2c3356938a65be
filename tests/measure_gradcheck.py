"""Figures of the gradient checker on the corpora of public mistakes: python tests/measure_gradcheck.py dev|more|held|kept [-v] [-u].

A name is right if it fits the pattern of the mistake, wrong if it does not. FACTS only say what a gradient looks like (its shape,
a constant factor with its value, zeros): they name no cause, and count as no name. Every miss is printed; -v prints all; with -u the sources
cannot be read.
"""

import linecache
import re
import sys
import time

import numpy as np
from public_mistakes import DEV, HELD, cases, made
from public_mistakes_kept import KEPT
from public_mistakes_more import MORE

from tinydx import gradcheck

CORPORA = {"dev": DEV, "more": MORE, "held": HELD, "kept": KEPT}
FACTS = re.compile(
    "^(wrong shape|constant factor|part left at zero|one index only|almost right|a factor for each index|a common term"
    "|right numbers in wrong places|zero|zero in, not zero out|not linear in dy|several explanations)$"
)


def judged(code, title, inputs, pattern, unread=False):
    """What a wrong backward's report is worth: its verdict, its names, and "right", "wrong" or "none"; unread, without source."""
    pair = made(code, title)
    if unread:
        linecache.cache.pop(pair[0].__code__.co_filename)
    with np.errstate(all="ignore"):
        report = gradcheck(pair, *inputs, seed=1)
    names = [*filter(None, report.mistakes.values()), *(p.name for p in report.problems)]
    causes = [n for n in names if not FACTS.match(n)]
    fits = any(re.search(pattern, n) for n in names)
    return report.verdict, names, "right" if fits else "wrong" if causes else "none"


def main(which, everything, unread):
    families = CORPORA[which]
    counts = dict.fromkeys(("cases", "caught", "right", "wrong", "none"), 0)
    blamed = [name for name, family in families.items() if not gradcheck(made(family.code, name), *family.inputs, seed=1)]
    for name, i, code, inputs, pattern in cases(families):
        start = time.process_time()
        verdict, names, worth = judged(code, f"{name} {i}", inputs, pattern, unread)
        counts["cases"] += 1
        counts["caught"] += verdict != "right"
        counts[worth] += 1
        if worth != "right" or everything:
            print(f"{name} {i}: {verdict}, {worth}: {names}, expected {pattern}")
        if time.process_time() - start > 1:
            print(f"{name} {i}: {time.process_time() - start:.1f} s")
    print(counts, "right ones blamed:", blamed)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev", "-v" in sys.argv, "-u" in sys.argv)
