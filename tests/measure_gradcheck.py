"""Figures of the gradient checker: python tests/measure_gradcheck.py CORPUS [-v] [-u], of dev, more, ... round8, sealed8, right.

A name is right if it fits the pattern of the mistake, wrong if it does not, and in the newer corpora also if it fits the pattern
of names that mislead. FACTS only say what a gradient looks like (its shape, a constant factor with its value, zeros): they name
no cause, and count as no name. Every miss is printed; -v prints all; with -u no source can be read. `right` prints the right
backwards that are blamed.
"""

import linecache
import re
import sys
import time

import numpy as np
import public_right
import public_right_fresh
import public_right_round6
import public_right_round7
import public_right_round8
from public_mistakes import DEV, HELD, cases, made
from public_mistakes_fresh import FRESH
from public_mistakes_kept import KEPT
from public_mistakes_last import LAST
from public_mistakes_more import MORE
from public_mistakes_reserve import RESERVE
from public_mistakes_round5 import ROUND5
from public_mistakes_round6 import ROUND6
from public_mistakes_round7 import ROUND7
from public_mistakes_round8 import ROUND8
from public_mistakes_sealed8 import SEALED8

from tinydx import gradcheck

CORPORA = {"dev": DEV, "more": MORE, "held": HELD, "kept": KEPT}
# By kinds that the names were not written for.
UNSEEN = {"fresh": FRESH, "last": LAST, "reserve": RESERVE, "round5": ROUND5, "round6": ROUND6, "round7": ROUND7}
UNSEEN |= {"round8": ROUND8, "sealed8": SEALED8}
FACTS = re.compile(
    "^(wrong shape|constant factor|part left at zero|one index only|almost right|a factor for each index|a common term"
    "|right numbers in wrong places|zero|zero in, not zero out|not linear in dy|several explanations)$"
)


def judged(code, title, inputs, pattern, never=None, unread=False):
    """What a wrong backward's report is worth: its verdict, its names, and "right", "wrong" or "none".

    With `never`, the pattern of names that mislead whatever stands beside them, a fact counts only if `pattern` has it in full.
    With `unread`, the source cannot be read.
    """
    pair = made(code, title)
    if unread:
        linecache.cache.pop(pair[0].__code__.co_filename)
    with np.errstate(all="ignore"):
        report = gradcheck(pair, *inputs, seed=1)
    names = [*filter(None, report.mistakes.values()), *(p.name for p in report.problems)]
    causes = [n for n in names if not FACTS.match(n)]
    if never is None:
        fits, misleads = any(re.search(pattern, n) for n in names), False
    else:
        fits = any(re.search(pattern, n) for n in causes) or set(names) & set(pattern.split("|"))
        misleads = any(re.search(never, n) for n in causes)
    return report.verdict, names, "wrong" if misleads else "right" if fits else "wrong" if causes else "none"


def blamed_though_right():
    """Names and verdicts of the right backwards that are not called right."""
    corpora = [(public_right, public_right.SEEN | public_right.KEPT), (public_right_fresh, public_right_fresh.FRESH)]
    corpora += [(public_right_round6, public_right_round6.ROUND6), (public_right_round7, public_right_round7.ROUND7)]
    corpora += [(public_right_round8, public_right_round8.ROUND8 | public_right_round8.SEALED8)]
    for module, corpus in corpora:
        for name, (code, shapes) in corpus.items():
            with np.errstate(all="ignore"):
                report = gradcheck(made(code, name), *module.inputs(name, shapes), seed=0)
            if report.verdict != "right":
                yield name, report.verdict


def main(which, everything, unread):
    if which == "right":
        print(*blamed_though_right(), sep="\n")
        return
    families = (CORPORA | UNSEEN)[which]
    counts = dict.fromkeys(("cases", "caught", "right", "wrong", "none"), 0)
    blamed = [name for name, family in families.items() if not gradcheck(made(family.code, name), *family.inputs, seed=1)]
    for name, i, code, inputs, pattern in cases(families):
        start = time.process_time()
        never = getattr(families[name].changes[i], "never", None)
        verdict, names, worth = judged(code, f"{name} {i}", inputs, pattern, never, unread)
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
