"""Naming a mistake: what does this wrong gradient look like?

First the op's own slips: each is a wrong backward, run on the same data; a slip whose gradient equals the user's names the
mistake. Then patterns that any gradient can show: a factor, a sign, a flip, a missing sum. Many patterns need no guess at
the code: the rows of the Jacobian give what the right backward would return for another dy (ones, one example alone).

Two mistakes in one gradient match nothing, and the report says so.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.evidence import Evidence, Pattern
from tinydx.gradcheck.factors import (
    another_factor,
    constant_factor,
    elementwise,
    factor,
    only_slope,
    ratio,
    same_factor,
    slope_of_output,
)
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.shapes import SHAPE_PATTERNS, another_argument, not_transposed_back
from tinydx.gradcheck.sizes import Resized
from tinydx.gradcheck.source import definition
from tinydx.gradcheck.subject import Subject, slip_gradients
from tinydx.language import sentence
from tinydx.op import Slip

FEW = 3  # if more slips than this fit, none of them names the mistake


def clear_names(e: Evidence) -> list[Diagnosis]:
    """Names that tell what to do, the most specific first."""
    if e.got is None:
        return [
            Diagnosis("None", sentence("{label} is None: return an array for it, zeros if it has no influence.", label=e.label))
        ]
    with np.errstate(all="ignore"):
        if e.got.shape != e.true.shape:
            return [d for pattern in (slips, *SHAPE_PATTERNS) for d in pattern(e)]
        ties_only = e.equal().flat[e.at].all()
        return [d for pattern in (not_finite, slips, *(() if ties_only else CLEAR)) for d in pattern(e)]


def vague_names(e: Evidence) -> list[Diagnosis]:
    """Names that say only what a gradient looks like."""
    if e.got is None:
        return []
    if e.got.shape != e.true.shape:
        expected = sentence(
            "{label} has shape {got}, expected {true}, as {array} has.",
            label=e.label,
            got=e.got.shape,
            true=e.true.shape,
            array=e.subject.names[e.k],
        )
        return [Diagnosis("wrong shape", expected)]
    with np.errstate(all="ignore"):
        return [] if e.equal().flat[e.at].all() else [d for pattern in VAGUE for d in pattern(e)]


# ---- the op's own slips --------------------------------------------------------------------------------------------


def slips(e: Evidence) -> Iterator[Diagnosis]:
    """Wrong backwards that people write for this op, on the same data.

    Slips share parts with the op's own backward. If that is wrong itself, many slips share its mistake, and then their
    names say nothing.
    """
    answers = [(slip, gradients[e.k]) for slip, gradients in e.slips if e.k < len(gradients)]
    found = [slip for slip, gradient in answers if gradient is not None and e.looks_like(gradient)]
    if found and np.isfinite(c := ratio(e)) and abs(c + 1) > 1e-9:  # a mere number: what explains it at all sizes?
        found = [slip for slip in found if all(_holds(slip, e.k, r) for r in e.resized)]
    if len({slip.name for slip in found}) <= FEW:
        yield from (Diagnosis(slip.name, slip.advice, "slip") for slip in found)


def _holds(slip: Slip, k: int, other: Resized) -> bool:
    """Whether the slip gives the learner's gradient at other sizes, too."""
    if np.isnan(other.ratio(k)):
        return True
    try:
        gradient = slip_gradients(other.subject.ops[0], slip, other.subject, other.dys)[k]
    except Exception:  # it does not apply to these sizes
        return True
    return gradient is None or _equals(np.asarray(gradient, float), np.asarray(other.claimed[k], float))


def run_slips(
    subject: Subject, dys: Sequence[np.ndarray], claimed: Mapping[int, Any], right: Collection[int]
) -> list[tuple[Slip, list[Any]]]:
    """Every slip with its gradients, sorted by the number of arguments in which it agrees with the user's gradients.

    Arguments: claimed, the user's gradients by index; right, the indices of the right gradients; a slip that
    changes none of these agrees with them.
    """
    answers = []
    for op in subject.ops:
        for slip in op.slips:
            try:
                with np.errstate(all="ignore"):
                    raw = slip_gradients(op, slip, subject, dys)
                gradients = [None if g is None else np.asarray(g, float) for g in raw]
            except Exception:  # a slip that does not apply to these shapes
                continue
            agree = sum(k in right if g is None else _equals(g, claimed.get(k)) for k, g in enumerate(gradients))
            answers.append((agree, slip, gradients))
    return [(slip, gradients) for _, slip, gradients in sorted(answers, key=lambda answer: -answer[0])]


def _equals(a: np.ndarray, b: Any) -> bool:
    """Whether b has a's shape and, up to rounding, its numbers."""
    size = np.max(np.abs(a), initial=1e-300)
    return b is not None and np.shape(b) == a.shape and bool(np.max(np.abs(a - b), initial=0) <= 1e-8 * size)


# ---- right shape, wrong numbers ------------------------------------------------------------------------------------


def not_finite(e: Evidence) -> Iterator[Diagnosis]:
    """NaN or infinite where the true gradient is finite."""
    for name, bad in ((sentence("NaN"), np.isnan(e.got)), (sentence("infinite"), np.isinf(e.got))):
        bad &= np.isfinite(e.true)
        if bad.any():
            yield Diagnosis(
                name,
                sentence(
                    "{bad} of {size} numbers of {label} are {name}: look for a division by zero, a logarithm of zero"
                    " or an overflowing exponential.",
                    bad=bad.sum(),
                    size=bad.size,
                    label=e.label,
                    name=name,
                ),
            )


def zero(e: Evidence) -> Iterator[Diagnosis]:
    """Zero everywhere."""
    if not e.got.any():
        cut = sentence(" Was the tape cut (.data, .numpy(), no_grad)?")
        hint = cut if e.subject.tape else sentence(" Was it ever filled?")
        yield Diagnosis("zero", sentence("{label} is zero everywhere, the true gradient is not.{hint}", label=e.label, hint=hint))


def sign(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient with the opposite sign."""
    if e.looks_like(-e.true):
        yield Diagnosis("sign", sentence("{label} is the right gradient with the opposite sign.", label=e.label))


def dy_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient for a dy of ones."""
    if e.rows is not None and e.looks_like(e.backward(*(np.ones_like(dy) for dy in e.dys))):
        yield Diagnosis(
            "dy forgotten", sentence("{label} does not depend on dy: multiply by the gradient that comes in.", label=e.label)
        )


def output_forgotten(e: Evidence) -> Iterator[Diagnosis]:
    """One of several outputs, such as the cell state of an LSTM, does not hand back its gradient."""
    for i, dy in enumerate(e.dys if e.rows is not None and len(e.dys) > 1 else ()):
        if e.looks_like(e.with_dy(i, np.zeros_like(dy))):
            advice = sentence(
                "The gradient of output {i} (counted from 0) is missing in {label}: each output adds its own.", i=i, label=e.label
            )
            yield Diagnosis("one output forgotten", advice)


def part_of_dy(e: Evidence) -> Iterator[Diagnosis]:
    """Only one index of dy is used, or one is left out: the first example, the last time step."""
    left_out = []
    for i, terms in e.shares():
        dy = e.dys[i]
        others = e.true - e.spread(terms.sum(axis=tuple(range(1, terms.ndim))))  # what the other outputs give
        for axis in (a for a, n in enumerate(dy.shape) if n > 1):
            what = sentence(e.axis(dy, axis))
            shares = terms.sum(axis=tuple(a + 1 for a in range(dy.ndim) if a != axis))  # (elements, indices of the axis)
            for index, share in enumerate(shares.T):
                if e.looks_like(others + e.spread(share)) and _at_all_sizes(e, i, axis, index, only=True):
                    advice = sentence(
                        "Only {what} {index} of dy went into {label}: sum over all of them.",
                        what=what,
                        index=index,
                        label=e.label,
                    )
                    yield Diagnosis(sentence("one {what} only", what=what), advice)
                elif e.looks_like(e.true - e.spread(share)) and _at_all_sizes(e, i, axis, index, only=False):
                    advice = sentence(
                        "{what} {index} of dy is missing in {label}: where does your loop begin and end?",
                        what=sentence(what.capitalize()),
                        index=index,
                        label=e.label,
                    )
                    left_out.append(Diagnosis(sentence("one {what} left out", what=what), advice))
    yield from left_out


def _at_all_sizes(e: Evidence, i: int, axis: int, index: int, only: bool) -> bool:
    """Of two examples, one only is one left out: whether it stays so where there are more. An index counts from either end."""
    for other in e.resized:
        n = other.dys[i].shape[axis]
        if n <= e.dys[i].shape[axis]:
            continue
        fits = []
        for there in {index, index - e.dys[i].shape[axis] + n}:
            mask = np.zeros(n) if only else np.ones(n)
            mask[there] = 1 if only else 0
            dy = other.dys[i] * mask.reshape(-1, *[1] * (other.dys[i].ndim - 1 - axis))
            fits.append(other.agrees(e.k, other.claimed[e.k], [*other.dys[:i], dy, *other.dys[i + 1 :]]))
        if not any(fits):
            return False
    return True


def moved_dy(e: Evidence) -> Iterator[Diagnosis]:
    """dy was read in reverse, or moved by one place."""
    for i, dy in enumerate(e.dys if e.rows is not None else ()):
        for axis in range(dy.ndim):
            what = sentence(e.axis(dy, axis))
            if e.looks_like(e.with_dy(i, np.flip(dy, axis))):
                advice = sentence(
                    "{label} takes dy in reversed order along axis {axis} ({what}s).", label=e.label, axis=axis, what=what
                )
                yield Diagnosis("dy read backwards", advice)
            for shift in (1, -1):
                rolled = np.roll(dy, shift, axis)
                cut = rolled.copy()
                cut[(slice(None),) * axis + (0 if shift == 1 else -1,)] = 0
                if e.looks_like(e.with_dy(i, rolled)) or e.looks_like(e.with_dy(i, cut)):
                    told = "{label} takes dy one {what} too early." if shift == 1 else "{label} takes dy one {what} too late."
                    advice = sentence(told, label=e.label, what=what)
                    yield Diagnosis("off by one", advice)


def transposed(e: Evidence) -> Iterator[Diagnosis]:
    """The axes in another order, or reshaped where they should have been transposed."""
    yield from not_transposed_back(e)
    if not e.complete:
        return
    for axes in itertools.permutations(range(e.true.ndim)):
        if axes != tuple(range(e.true.ndim)) and e.looks_like(e.true.transpose(axes).reshape(e.true.shape)):
            yield Diagnosis(
                "reshape instead of transpose",
                sentence(
                    "{label} has the right numbers in another axis's order: reshape does not swap axes, transpose does.",
                    label=e.label,
                ),
            )
            return


def flipped(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient reversed along some axes."""
    for count in range(1, e.true.ndim + 1):
        for axes in itertools.combinations(range(e.true.ndim), count):
            if e.looks_like(np.flip(e.true, axes)):
                name = sentence("rotated by 180 degrees") if count == 2 else sentence("flipped")
                yield Diagnosis(
                    name,
                    sentence(
                        "This equals the right gradient {name} (axes {axes}): is something flipped in one direction only?",
                        name=name,
                        axes=axes,
                    ),
                )
                return


def shifted(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient moved by one or two places along one or two axes."""
    if not e.complete:
        return
    n = e.true.ndim
    for shift in itertools.product(*(range(-2, 3) if n < 4 or a else (0,) for a in range(n))):
        if any(shift) and np.count_nonzero(shift) <= 2:
            there = tuple(slice(max(s, 0), m + min(s, 0)) for s, m in zip(shift, e.true.shape, strict=True))
            here = tuple(slice(max(-s, 0), m + min(-s, 0)) for s, m in zip(shift, e.true.shape, strict=True))
            part = e.true[here]
            enough = np.count_nonzero(part) > max(2, 0.4 * np.count_nonzero(e.true))
            if enough and part.std() > 0 and e.same(e.got[there], part):
                moves = ", ".join(f"{s:+d} (axis {a})" for a, s in enumerate(shift) if s)
                yield Diagnosis(
                    "shifted",
                    sentence(
                        "{label} is the right gradient moved by {moves}: an index is off, or the padding.",
                        label=e.label,
                        moves=moves,
                    ),
                )
                return


def left_at_zero(e: Evidence) -> Iterator[Diagnosis]:
    """Every number is right or zero; the advice says where the zeros are."""
    right = e.equal()
    nonzero = np.nan_to_num(e.true) != 0
    wrong = ~right & ~np.isnan(e.true)
    if not (right & nonzero).any() or e.got[wrong].any():
        return
    for axis in range(e.true.ndim):
        others = tuple(a for a in range(e.true.ndim) if a != axis)
        missing = (wrong & nonzero).any(axis=others)
        there = (right & nonzero).any(axis=others)
        if not (missing & there).any() and e.true.shape[axis] > 1:
            indices = ", ".join(map(str, np.flatnonzero(there if there.sum() == 1 else missing)[:8]))
            if there.sum() == 1:
                yield Diagnosis(
                    "one index only",
                    sentence(
                        "{label} is right at index {indices} of axis {axis} and zero elsewhere.",
                        label=e.label,
                        indices=indices,
                        axis=axis,
                    ),
                )
            else:
                yield Diagnosis(
                    "part left at zero",
                    sentence(
                        "{label} stays zero at index {indices} of axis {axis}: is it ever filled?",
                        label=e.label,
                        indices=indices,
                        axis=axis,
                    ),
                )
            return
    yield Diagnosis(
        "part left at zero",
        sentence("Where {label} is not zero it is right; {n} numbers were left at zero.", label=e.label, n=wrong.sum()),
    )


def assigned(e: Evidence) -> Iterator[Diagnosis]:
    """Where several terms should add up, only one of them is left."""
    if e.rows is None or len(e.dys) > 1 or not e.dys[0].ndim:
        return
    wrong = np.flatnonzero(~e.equal().flat[e.at])
    terms, got = next(e.shares())[1][wrong], e.got.flat[e.at][wrong]
    small = e.tolerance * np.fmax.reduce(np.abs(e.true), axis=None)
    for grouped in (terms.reshape(len(wrong), -1), terms.sum(axis=-1).reshape(len(wrong), -1)):
        several = (np.abs(grouped) > small).sum(axis=1) > 1
        one = (np.abs(grouped - got[:, None]) <= small).any(axis=1)
        if several.all() and one.all() and (np.abs(got) > small).mean() > 0.3:
            advice = sentence(
                "Where several gradients meet, {label} keeps only one of them: add them up (+=, np.add.at).", label=e.label
            )
            yield Diagnosis("= instead of +=" if _stores_parts(e) else "one of several terms only", advice)
            return


def _stores_parts(e: Evidence) -> bool:
    """Whether the backward, or a function that it calls, writes into parts of an array, or its source cannot be read."""
    made = definition(e.subject.backward)
    if made is None:
        return True
    called = {n.func.id for n in ast.walk(made) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    outside = getattr(e.subject.backward, "__globals__", {})
    helpers = filter(None, [definition(outside.get(name)) for name in called])
    nodes = [n for code in (made, *helpers) for n in ast.walk(code)]
    return any(isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) for n in nodes)


def diagonal(e: Evidence) -> Iterator[Diagnosis]:
    """Each result's own number only, where it depends on others, too, as a softmax does."""
    if e.rows is None or len(e.dys) > 1 or not e.complete or e.dys[0].shape != e.true.shape or e.true.size < 2:
        return
    if e.looks_like((np.diag(e.rows) * e.dys[0].ravel()).reshape(e.true.shape)):
        advice = sentence(
            "{label} knows how each result moves with its own number, but not with the others: sum over them, too.", label=e.label
        )
        yield Diagnosis("diagonal only", advice)


def blocks_swapped(e: Evidence) -> Iterator[Diagnosis]:
    """Blocks of the last axis, such as the gates of an LSTM or GRU, are in another order."""
    if not e.complete or not e.true.ndim:
        return
    for count in (2, 3, 4):
        if e.true.shape[-1] % count == 0 and e.true.shape[-1] > count:
            blocks = np.split(e.true, count, axis=-1)
            for order in itertools.permutations(range(count)):
                if order != tuple(range(count)) and e.looks_like(np.concatenate([blocks[i] for i in order], axis=-1)):
                    advice = sentence(
                        "Along the last axis, {count} blocks (gates?) stand in the order {order} in {label}.",
                        count=count,
                        order=order,
                        label=e.label,
                    )
                    yield Diagnosis("blocks in another order", advice)
                    return


def factor_for_each(e: Evidence) -> Iterator[Diagnosis]:
    """A different factor for each index of one axis."""
    if not e.complete:
        return
    for axis in range(e.true.ndim):
        others = tuple(a for a in range(e.true.ndim) if a != axis)
        squares = (e.true**2).sum(axis=others, keepdims=True)
        counts = np.count_nonzero(e.true, axis=others)
        if e.true.shape[axis] > 1 and counts.min(initial=2) > 1 and squares.all():
            c = (e.got * e.true).sum(axis=others, keepdims=True) / squares
            if e.looks_like(c * e.true):
                numbers = ", ".join(f"{v:.4g}" for v in c.ravel()[:5])
                yield Diagnosis(
                    "a factor for each index",
                    sentence(
                        "{label} is the right gradient times a factor for each index of axis {axis}: {numbers} ...",
                        label=e.label,
                        axis=axis,
                        numbers=numbers,
                    ),
                )
                return


def offset(e: Evidence) -> Iterator[Diagnosis]:
    """The same number added everywhere, or everywhere along one axis."""
    if not e.complete:
        return
    difference, top = e.got - e.true, np.max(np.abs(e.true))
    for axis in (None, *range(e.true.ndim)):
        if e.true.size > 2 and (axis is None or e.true.shape[axis] > 1):
            rest = difference - difference.mean(axis=axis, keepdims=True)
            if np.max(np.abs(rest)) <= e.tolerance * top:
                along = sentence("everywhere") if axis is None else sentence("along axis {axis}", axis=axis)
                yield Diagnosis(
                    "a common term",
                    sentence(
                        "{label} is off by the same amount {along}: a sum that is missing, or one too many.",
                        label=e.label,
                        along=along,
                    ),
                )
                return


def clipped(e: Evidence) -> Iterator[Diagnosis]:
    """The right gradient, limited to a range."""
    limit = np.max(np.abs(e.got))
    if not ((np.abs(e.got) < limit) & (e.got != 0)).any():  # one number with signs, in place of many
        return
    if (np.abs(e.got) == limit).sum() > 1 and e.looks_like(np.clip(e.true, -limit, limit)):
        yield Diagnosis(
            "clipped",
            sentence(
                "{label} is the right gradient clipped to ±{limit:g}: clip in the optimizer, not here.",
                label=e.label,
                limit=limit,
            ),
        )


def misplaced(e: Evidence) -> Iterator[Diagnosis]:
    """The right numbers in another order."""
    if e.complete and e.true.size > 2 and e.same(np.sort(e.got, axis=None), np.sort(e.true, axis=None)):
        yield Diagnosis(
            "right numbers in wrong places",
            sentence("{label} holds the right numbers in another order: check the axes and indices.", label=e.label),
        )


def almost(e: Evidence) -> Iterator[Diagnosis]:
    """A small relative error everywhere: the formula is right, but not the precision or a small constant."""
    top = np.fmax.reduce(np.abs(e.true), axis=None, initial=0)
    gap = np.fmax.reduce(np.abs(e.got - e.true), axis=None, initial=0) / top if top else np.inf
    if np.array_equal(e.got, e.got.astype(np.float32)) and gap < 1e-5:
        yield Diagnosis("float32", sentence("{label} has only the digits of float32: somewhere it is converted.", label=e.label))
    elif gap < 1e-3 and e.equal().flat[e.at].mean() < 0.5:
        yield Diagnosis(
            "almost right",
            sentence(
                "{label} agrees to {digits:.0f} digits: a rounded constant, a forgotten epsilon, or float32?",
                label=e.label,
                digits=-np.log10(gap),
            ),
        )


def _equal(e: Evidence) -> np.ndarray:
    """Where the user's gradient equals the true one."""
    return np.abs(e.got - e.true) <= e.tolerance * np.fmax.reduce(np.abs(e.true), axis=None, initial=0)


def copied(e: Evidence) -> Iterator[Diagnosis]:
    """An input or the result, in place of a gradient."""
    y = np.asarray(e.subject.value(e.subject.arrays)[0])
    for name, a in [*zip(e.subject.names, e.subject.arrays, strict=True), ("y", y)]:
        if e.got.shape == e.true.shape and e.got.size > 1 and np.array_equal(a, e.got):
            yield Diagnosis(
                sentence("{name} instead of a gradient", name=name),
                sentence("{label} is {name}, as it stands.", label=e.label, name=name),
            )


CLEAR: tuple[Pattern, ...] = (  # each of these tells what to do
    zero,
    sign,
    another_argument,
    dy_forgotten,
    output_forgotten,
    part_of_dy,
    moved_dy,
    factor,
    another_factor,
    slope_of_output,
    elementwise,
    copied,
    transposed,
    flipped,
    blocks_swapped,
    shifted,
    diagonal,
    assigned,
    clipped,
    same_factor,
)
VAGUE: tuple[Pattern, ...] = (
    only_slope,
    left_at_zero,
    constant_factor,
    almost,
    factor_for_each,
    offset,
    misplaced,
)  # these say only what it looks like
