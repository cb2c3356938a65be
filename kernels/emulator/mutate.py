"""Mutation tests: how many small mistakes in a kernel do its tests notice?

Each mutant is the file with one typical mistake: a barrier removed or weakened, `<` for `<=`, `+` for `-`, x for y, two
indices swapped, a bounds check that is always true, a constant off by one. A good test fails for nearly all of them. The
survivors are printed: each is either an equivalent program or a gap in the test, which a person must decide.

    kill_rate("sgemm.cu", test, kernel="shared_tiles")

         mutant --g++--> "g++"      it does not compile: not counted
                --test-> "checker"  the emulator found a mistake
                     |-> "values"   the test's own assertion failed
                     +-> "survived"
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tinydx_kernels.emulator.findings import KernelError
from tinydx_kernels.emulator.module import Module, load_module
from tinydx_kernels.emulator.source import SourceError

_TOKEN = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | ^[ \t]*\#[^\n]* | "[^"\n]*"      # comments, directives, strings: not changed
      | [A-Za-z_]\w* | \d[\w.]* | <<=? | >>=? | [-+*/%<>=!&|^]= | && | \|\| | \+\+ | -- | -> | \S""",
    re.X | re.M | re.S,
)
_OPERATORS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=",
}  # fmt: skip
_AXES = {"x": "y", "y": "x"}
_INDICES = ("threadIdx", "blockIdx", "blockDim", "gridDim")
_TYPES = {"float", "double", "int", "unsigned", "char", "short", "long", "void", "bool", "half", "const"}
_PHRASES = (  # pattern and replacements: mistakes in more than one token
    (re.compile(r"__syncthreads\(\)"), ("", "__syncwarp()")),
    (re.compile(r"__syncwarp\(\w*\)"), ("",)),
    (re.compile(r"CP_ASYNC_WAIT\(\d\)"), ("", "CP_ASYNC_WAIT(2)")),
    (re.compile(r"\[(\w+(?: [-+] \w+)?)\]\[(\w+(?: [-+] \w+)?)\]"), (r"[\2][\1]",)),
    (re.compile(r"\bif \((.+)\) (?=return|\w+[\[(])"), ("if (true) ", "if (false) ")),
    (re.compile(r"(?<== )(.+?) \? (.+?) : (.+?)(?=;)"), (r"\2",)),
)


class Mutant(NamedTuple):
    """A changed file: its text, the line that was changed, and that line before and after."""

    text: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.before}  ->  {self.after}"


class Verdict(NamedTuple):
    """Who noticed a mutant: "g++", "checker" or "values"; or "survived"."""

    mutant: Mutant
    by: str


class Score(NamedTuple):
    """The verdicts of all mutants of a kernel."""

    verdicts: list[Verdict]

    def count(self, by: str) -> int:
        """How many mutants have that verdict."""
        return sum(v.by == by for v in self.verdicts)

    @property
    def survivors(self) -> list[Mutant]:
        """The mutants that were not noticed."""
        return [v.mutant for v in self.verdicts if v.by == "survived"]

    @property
    def rate(self) -> float:
        """The part of the mutants that were noticed, among those that compile."""
        killed = self.count("checker") + self.count("values")
        return killed / max(killed + self.count("survived"), 1)

    @property
    def summary(self) -> str:
        """The score in one line."""
        counts = ", ".join(f"{by} {self.count(by)}" for by in ("g++", "checker", "values", "survived"))
        return f"{self.rate:.1%} of the mutants were noticed ({counts})"

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {m}" for m in self.survivors)])


def mutants(text: str, kernel: str | None = None) -> list[Mutant]:
    """All mutants of a file, or of one of its kernels; each differs from the file in one place."""
    start, end = _extent(text, kernel) if kernel else (0, len(text))
    found: dict[str, Mutant] = {}
    for begin, stop, new in [*_token_changes(text), *_phrase_changes(text)]:
        if start <= begin < end and text[begin:stop] != new:
            changed = text[:begin] + new + text[stop:]
            found.setdefault(changed, _mutant(text, changed, begin))
    return sorted(found.values(), key=lambda m: m.line)


def kill_rate(
    path: str | Path,
    test: Callable[[Module], object],
    kernel: str | None = None,
    defines: Mapping[str, object] | None = None,
    every: int = 1,
) -> Score:
    """Run `test(module)` on every `every`-th mutant of a file. The test should raise KernelError or AssertionError for each.

    Arguments: path of the .cu file; test; kernel, to mutate only this one; defines, the file's macros; every.
    Raises: whatever the test raises on the unchanged file, where it must pass.
    """
    path = Path(path)
    test(load_module(path, defines))
    with copies(path) as copy:
        found = mutants(path.read_text(), kernel)[::every]
        return Score([judge(m, copy, lambda: test(load_module(copy, defines))) for m in found])


@contextmanager
def copies(path: Path) -> Iterator[Path]:
    """Copy all kernels and headers of the file's folder into a temporary folder; yields the path of the copied file."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob("*.cu*"):
            shutil.copy(file, folder)
        yield Path(folder) / path.name


def judge(mutant: Mutant, copy: Path, test: Callable[[], object]) -> Verdict:
    """Write the mutant to `copy`, run the test, and return the verdict."""
    copy.write_text(mutant.text)
    try:
        test()
    except SourceError:
        return Verdict(mutant, "g++")
    except KernelError:
        return Verdict(mutant, "checker")
    except AssertionError:
        return Verdict(mutant, "values")
    return Verdict(mutant, "survived")


def _extent(text: str, kernel: str) -> tuple[int, int]:
    """The begin and the end of a kernel's body."""
    head = re.search(rf"__global__[^;{{]*\b{kernel}\s*\([^{{]*{{", text)
    if not head:
        raise LookupError(f"no kernel {kernel!r} in the file")
    depth, at = 1, head.end()
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return head.end(), at


def _stays(token: str) -> bool:
    """Whether it is a comment, a directive or a string."""
    return token.lstrip().startswith(("//", "/*", "#", '"'))


def _token_changes(text: str) -> Iterator[tuple[int, int, str]]:
    tokens = [m for m in _TOKEN.finditer(text) if not _stays(m[0])]
    words = ["", *(m[0] for m in tokens), ""]
    for i, token in enumerate(tokens):
        before, word, after = words[i], words[i + 1], words[i + 2]
        if word in _OPERATORS and _is_binary(before, after):
            yield *token.span(), _OPERATORS[word]
        elif word in _AXES and before == "." and i >= 2 and words[i - 1] in _INDICES:
            yield *token.span(), _AXES[word]
        elif word.isdigit() and not _is_declared_size(words, i + 1):
            yield *token.span(), str(int(word) + 1)


def _is_binary(before: str, after: str) -> bool:
    """Whether an operator has two operands: it is no sign, no pointer and no dereference."""
    value_before = (before[-1:].isalnum() or before[-1:] in (")", "]", "_")) and before not in _TYPES | {"return"}
    return value_before and after not in (")", "*", ",", ">")


def _is_declared_size(words: Sequence[str], i: int) -> bool:
    """Whether a number is only a size, as in `float t[16]` or `__align__(16)`: a larger one gives the same program."""
    if words[i - 2] == "__align__":
        return True
    while i > 0 and words[i] not in (";", "{", "}", "=", "(", ")"):
        i -= 1
    return words[i] in (";", "{", "}") and all(word.isidentifier() for word in words[i + 1 : i + 3])


def _phrase_changes(text: str) -> Iterator[tuple[int, int, str]]:
    fixed = [m.span() for m in _TOKEN.finditer(text) if _stays(m[0])]
    for pattern, replacements in _PHRASES:
        for found in pattern.finditer(text):
            if not any(begin <= found.start() < end for begin, end in fixed):
                yield from ((*found.span(), found.expand(new)) for new in replacements)


def _mutant(text: str, changed: str, at: int) -> Mutant:
    line = text.count("\n", 0, at)
    return Mutant(changed, line + 1, text.split("\n")[line].strip(), changed.split("\n")[line].strip())
