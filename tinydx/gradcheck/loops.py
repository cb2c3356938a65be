"""Changes of a backward's loops and indices: where they begin and end, what they add up, which number they take.

Each kind gives `Edit`s for a `Scene`, as in changes.py.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydx.gradcheck.edits import Edit, parsed, text
from tinydx.gradcheck.scene import Scene, is_call, joined_to, with_factor
from tinydx.gradcheck.seen import is_whole

FEW = 6  # elements of which each may be meant
MOST_POSITIONS = 12  # indices that are made of loop variables


def accumulated(s: Scene) -> Iterator[Edit]:
    """= where += is meant, and the other way round; += where an index occurs twice."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and isinstance(n.targets[0], ast.Subscript | ast.Name):
            lost = f"= instead of +=: {text(n.targets[0])} is overwritten, not accumulated"
            lost += ", what a later step carries is lost" if s.loops and isinstance(n.targets[0], ast.Name) else ""
            yield Edit(lost, [p], ast.AugAssign(n.targets[0], ast.Add(), n.value), 0)
        if isinstance(n, ast.AugAssign):
            yield Edit("+= instead of =", [p], ast.Assign([n.target], n.value), 0)
        target: Any = n.target if isinstance(n, ast.AugAssign) else n.targets[0] if isinstance(n, ast.Assign) else None
        adds = isinstance(n, ast.Assign) or (isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add | ast.Sub))
        if adds and isinstance(target, ast.Subscript) and _repeats(s, target.slice):
            how = "subtract" if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Sub) else "add"
            call = parsed(f"__import__('numpy').{how}.at()")
            where = ast.Subscript(parsed("__import__('numpy').s_"), target.slice, ast.Load())
            call.args = [_loaded(target.value), where, n.value]  # type: ignore[attr-defined]
            told = f"an index that occurs several times keeps only one of them here: use np.{how}.at"
            yield Edit("repeated index: one of them is kept, not accumulated", [p], ast.Expr(call), 0, told)


def _repeats(s: Scene, index: ast.expr) -> bool:
    """Whether an index is an array of whole numbers in which one occurs twice."""
    for part in index.elts if isinstance(index, ast.Tuple) else [index]:
        value = s.seen.at.get(id(part))
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and len(np.unique(value)) < value.size:
            return True
    return False


def _loaded(node: ast.expr) -> ast.expr:
    return parsed(ast.unparse(node))


def indices(s: Scene) -> Iterator[Edit]:
    """An index off by one, a slice elsewhere, a range too short or in the other direction, a stride forgotten."""
    loops = s.loops
    for p in s.places:
        n = p.node
        moves = isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Add | ast.Sub)
        if isinstance(n, ast.Constant) and type(n.value) is int and (moves or _indexes(p)):
            array: Any = s.seen.at.get(id(p.parent.value)) if isinstance(p.parent, ast.Subscript) else None
            count = array.shape[:1] if isinstance(array, np.ndarray) else ()
            few = range(count[0]) if count and count[0] <= FEW else ()
            for new in sorted({n.value - 1, n.value + 1, *few} - {n.value}):
                inside = _off_by_one(p, n.value, new)
                yield Edit(inside, [p], ast.Constant(new), 1)
            for name in loops if _indexes(p) and not isinstance(p.parent, ast.Slice) else ():
                yield Edit(f"index {n.value} instead of {name}", [p], ast.Name(name, ast.Load()), 1)
        if is_call(n, "range"):
            yield Edit("loop in the wrong direction", [p], ast.Call(ast.Name("reversed", ast.Load()), [n], []), 0)
            for i in range(len(n.args)):
                for step in (1, -1):
                    made = [_moved(b, step) if j == i else b for j, b in enumerate(n.args)]
                    yield Edit("loop one step short or long", [p], ast.Call(n.func, made, []), 0)
        if is_call(n, "reversed") and n.args:
            yield Edit("loop in the wrong direction", [p], n.args[0], 0)
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load):
            yield Edit("flipped, or cut, where it should not be", [p], n.value, 0)
            if "::-1" in (source := ast.unparse(n)):
                yield Edit("flipped where it should not be", [p], parsed(source.replace("::-1", ":")), 0)
            for part in n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice]:
                if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub):
                    for name, extra in s.alike(n):  # hs[t - 1] at t = 0
                        whole = parsed(f"({source} if {ast.unparse(part.left)} > 0 else {name})")
                        yield Edit(f"index -1 at t = 0 instead of {name}", [p], whole, 1 + extra)
            if isinstance(n.slice, ast.Name | ast.Constant):
                yield Edit("index on the wrong axis", [p], parsed(f"{ast.unparse(n.value)}[:, {ast.unparse(n.slice)}]"), 1)
        if isinstance(n, ast.Name) and _indexes(p) and is_whole(s.seen.at.get(id(n))):
            for op in (ast.Sub(), ast.Add()):
                yield Edit("index off by one", [p], ast.BinOp(n, op, ast.Constant(1)), 1)
        if isinstance(n, ast.stmt):
            yield from _strides(s, n, loops)
    for p in s.terms():
        for flip in ("[::-1]", "[::-1, ::-1]", "[:, ::-1]", "[..., ::-1]") if s.seen.shape(p.node) else ():
            yield Edit("not flipped", [p], parsed(f"({ast.unparse(p.node)}){flip}"), 2)


def _off_by_one(p: Any, old: int, new: int) -> str:
    """What an index is called that should be the next one; an array's size along another axis is no such index."""
    if isinstance(p.parent, ast.Subscript) and isinstance(p.parent.value, ast.Attribute) and p.parent.value.attr == "shape":
        return f"size of the wrong axis: shape[{old}] instead of shape[{new}]"
    if _indexes(p) and abs(new - old) > 1:
        return f"index {old} instead of {new}"
    return "index off by one" if _indexes(p) else f"index {text(p.parent)}: off by one"


def _moved(bound: Any, step: int) -> ast.expr:
    """The bound, further by a step."""
    if isinstance(bound, ast.Constant) and isinstance(bound.value, int):
        return ast.Constant(bound.value + step)
    return ast.BinOp(bound, ast.Add() if step > 0 else ast.Sub(), ast.Constant(1))


def places_in_loops(s: Scene) -> Iterator[Edit]:
    """Inside loops: another position, the start of a window forgotten, an index forgotten, another length of the loop."""
    positions = _positions(s)
    for p in s.places if s.loops else ():
        n = p.node
        if isinstance(n, ast.expr) and _indexes(p) and not isinstance(n, ast.Slice | ast.Tuple):
            for new in positions:
                if new != (old := ast.unparse(n)):
                    yield Edit(f"index {old} instead of {new}", [p], parsed(new), 2, f"the index `{old}` should be `{new}`")
        if isinstance(p.parent, ast.Assign) and p.field == "value" and is_whole(s.seen.at.get(id(n))):
            for name in s.loops:
                yield Edit(f"index: offset {name} forgotten", [p], joined_to(ast.Add(), name), 1, f"add {name}: it starts there")
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load):
            parts = n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice]
            for name in s.loops:
                if name not in {m.id for m in ast.walk(n.slice) if isinstance(m, ast.Name)}:
                    longer = ast.Tuple([*parts, ast.Name(name, ast.Load())], ast.Load())
                    yield Edit(f"index {name} forgotten", [p], ast.Subscript(n.value, longer, ast.Load()), 1)
            plain = [i for i, part in enumerate(parts) if not isinstance(part, ast.Slice)]
            for i, j in itertools.combinations(plain, 2):
                order = [parts[{i: j, j: i}.get(k, k)] for k in range(len(parts))]
                exchanged = ast.Subscript(n.value, ast.Tuple(order, ast.Load()), ast.Load())
                yield Edit("indices exchanged: axes in another order", [p], exchanged, 0)
            for name in s.loops:  # w[k - 1 - i] for w[i], on all axes at once
                straight = re.sub(r"\b\w+(?:\.shape\[\d\])? - 1 - (\w+)|-1 - (\w+)", lambda m: m[1] or m[2], ast.unparse(n))
                if straight != ast.unparse(n) and name == s.loops[0]:
                    yield Edit("flipped, or rotated, where it should not be", [p], parsed(straight), 0)
        if isinstance(p.parent, ast.AugAssign) and p.field == "value":
            for factor in [*s.loops, *_elements(s)]:
                told = f"multiply by {factor}"
                yield Edit(f"factor {factor} forgotten", [p], with_factor(parsed(factor)), 1, told)
        if is_call(p.parent, "range") and p.field == "args" and p.at == len(p.parent.args) - 1:  # type: ignore[attr-defined]
            for count, ways in s.sizes():
                for way in ways if count != s.seen.at.get(id(n)) else ():
                    yield Edit(f"loop over {text(n)} instead of {way}", [p], parsed(way), 2)


def looked_up(s: Scene) -> Iterator[Edit]:
    """A position that is no index yet: ids[position] is one; an index of each column that was forgotten."""
    whole = [(n, v) for n, v, _ in s.names() if isinstance(v, np.ndarray) and v.dtype.kind in "iu" and v.ndim]
    for p in s.places:
        n = p.node
        value: Any = s.seen.at.get(id(n))
        if isinstance(n, ast.Name | ast.Subscript) and (_indexes(p) or isinstance(p.parent, ast.Assign)) and _counts(value):
            for name, v in whole:
                for where in ("", *(f"{i}, " for i in s.loops)) if np.max(value) < v.shape[-1] and name not in text(n) else ():
                    new = f"{name}[{where}{text(n)}]"
                    told = f"index {text(n)} instead of {new}: a position is not looked up"
                    if v.ndim == (2 if where else 1):
                        yield Edit(told, [p], parsed(new), 1)
        of: Any = s.seen.at.get(id(n.slice)) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Name) else None
        if np.ndim(of):
            for name, v in whole:
                if v.shape == np.shape(of) and name != n.slice.id and s.known(name, n):
                    longer = ast.Tuple([n.slice, ast.Name(name, ast.Load())], ast.Load())
                    yield Edit(f"index {name} forgotten", [p], ast.Subscript(n.value, longer, n.ctx), 1)


def _counts(value: Any) -> bool:
    """Whether this is an index, or an array of indices."""
    return is_whole(value) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size > 0)


def _elements(s: Scene) -> list[str]:
    """The number of each vector at a loop's index."""
    vectors = [n for n, v, extra in s.names() if isinstance(v, np.ndarray) and v.dtype.kind == "f" and v.ndim == 1 and not extra]
    made = [f"{n}[{i}]" for n in vectors for i in s.loops if s.seen.degree_of(n) == 0]
    return made[:MOST_POSITIONS]


def _positions(s: Scene) -> list[str]:
    """Indices made of loop variables: one, the sum of two, and what an array of indices has there."""
    made = [*s.loops, *(f"{a} + {b}" for a, b in itertools.combinations(s.loops, 2)), *(f"-1 - {a}" for a in s.loops)]
    made += [f"{a} - {b}" for a, b in itertools.permutations(s.loops[-2:], 2)]
    for name, value, _ in s.names():
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and 0 < value.ndim <= len(s.loops):
            made += [f"{name}[{', '.join(chosen)}]" for chosen in itertools.permutations(s.loops, value.ndim)]
    return list(dict.fromkeys(made))[:MOST_POSITIONS]


def ends_of_loops(s: Scene) -> Iterator[Edit]:
    """A statement behind a loop that belongs in it, and the other way round."""
    for p in s.places:
        if not isinstance(p.node, ast.For) or p.at is None:
            continue
        behind = [q for q in s.places if q.parent is p.parent and q.field == p.field and q.at == p.at + 1]
        for q in [q for q in behind if not isinstance(q.node, ast.Return)]:
            told = f"`{text(q.node)}` belongs in the loop"
            yield Edit("behind the loop instead of in it", [q, p], functools.partial(_into_loop, q.node), 1, told)
        if len(p.node.body) > 1:
            told = f"`{text(p.node.body[-1])}` belongs behind the loop"
            yield Edit("in the loop instead of behind it", [p], _out_of_loop, 1, told)


def _into_loop(statement: ast.stmt, node: Any) -> ast.stmt:
    """The loop with the statement at its end; nothing where the statement stood."""
    if node is statement:
        return ast.Pass()
    return ast.For(node.target, node.iter, [*node.body, statement], node.orelse)


def _out_of_loop(node: Any) -> ast.stmt:
    """The loop, with its last statement behind it."""
    return ast.If(ast.Constant(True), [ast.For(node.target, node.iter, node.body[:-1], []), node.body[-1]], [])


def _indexes(p: Any) -> bool:
    """Whether the place is an index, or one of several."""
    return isinstance(p.parent, ast.Subscript | ast.Slice) or (isinstance(p.parent, ast.Tuple) and p.field == "elts")


def slices(s: Scene) -> Iterator[Edit]:
    """The same slice at the other end, or further on by a size; all slices of one index that are alike move together."""
    found: dict[tuple[int, str], list[Any]] = {}
    for p in s.places:
        if isinstance(p.node, ast.Slice) and p.node.step is None and (p.node.lower or p.node.upper):
            found.setdefault((id(p.parent), ast.unparse(p.node)), []).append(p)
    for places in found.values():
        n = places[0].node
        low, high = (ast.unparse(b) if b else "" for b in (n.lower, n.upper))
        new = _other_ends(low, high)
        new += [f"({low}) + {by} : ({high}) + {by}" if high else f"({low}) + {by}:" for by in ("1", "-1") if low]
        for size, value, extra in s.names():
            if is_whole(value) and not extra:
                new += [f"({low or 0}) + {size} : ({high}) + {size}" if high else f"({low}) + {size} :"]
                new += [f"({low}) + {size} :"] if low and high else []
        for source in dict.fromkeys(new):
            made = parsed(f"x[{source}]").slice  # type: ignore[attr-defined]
            yield Edit("slice in the wrong position, shifted", places, made, 2, f"`{low}:{high}` should be `{source}`")


def _other_ends(low: str, high: str) -> list[str]:
    """Slices of the same length at the other end, or in the middle."""
    if high.startswith("-") and not low:
        return [f"{high[1:]}:", f"({high[1:]}) // 2 : -(({high[1:]}) // 2)"]
    if low and not high:
        return [f":-({low})", f":{low}"]
    return [f"-({high}):", f"{high}:"] if high and not low else []


def _strides(s: Scene, statement: ast.stmt, loops: list[str]) -> Iterator[Edit]:
    """Loop variables of one statement that should be multiplied by a stride, or by a size."""
    uses = [p for p in s.loads() if p.home == id(statement) and p.node.id in loops and not isinstance(p.parent, ast.Compare)]
    uses = [p for p in uses if not (isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Mult))]
    strides = [n for n, v, extra in s.names() if is_whole(v) and n not in loops and not extra and v > 1]
    for name in [*strides, *(str(v) for v in s.numbers if is_whole(v))]:
        if loops:
            for chosen in {tuple(x) for x in itertools.combinations([p.node.id for p in uses], 2)} | {tuple(loops[-2:])}:
                some = [p for p in uses if p.node.id in chosen]
                if some:
                    told = f"multiply {' and '.join(sorted(set(chosen)))} by {name}"
                    yield Edit(f"step {name} (stride, dilation) forgotten", some, with_factor(parsed(name)), 2, told)


def rows(s: Scene) -> Iterator[Edit]:
    """d[:, labels] takes these columns of every row, d[np.arange(n), labels] one of each row."""
    for p in s.places:
        if isinstance(p.node, ast.Slice) and ast.unparse(p.node) == ":" and isinstance(p.parent, ast.Tuple):
            others = [e for e in p.parent.elts if e is not p.node]
            whole = [ast.unparse(e) for e in others if isinstance(v := s.seen.at.get(id(e)), np.ndarray) and v.dtype.kind in "iu"]
            if len(others) == len(whole) == 1:
                told = f"one column for each row is meant, not these columns of all rows: np.arange(len({whole[0]})) for `:`"
                new = parsed(f"__import__('numpy').arange(len({whole[0]}))")
                yield Edit("index of every row instead of each row's own", [p], new, 0, told)
        if isinstance(p.node, ast.AugAssign) and isinstance(p.node.target, ast.Name):
            for index in ("[0]", "[-1]", "[1:]", "[:-1]", "[:, 0]"):
                target = parsed(f"{p.node.target.id}{index}")
                target.ctx = ast.Store()  # type: ignore[attr-defined]
                new_line = ast.AugAssign(target, p.node.op, p.node.value)  # type: ignore[arg-type]
                yield Edit(f"all rows of {p.node.target.id} instead of {text(target)} only", [p], new_line, 1)


def sequence(s: Scene) -> Iterator[Edit]:
    """Two lines that follow each other in the wrong order."""
    kinds = ast.Assign | ast.AugAssign | ast.Expr
    for p in s.places:
        if isinstance(p.node, kinds) and p.at is not None:
            for q in s.places:
                if q.parent is p.parent and q.field == p.field and q.at == p.at + 1 and isinstance(q.node, kinds):
                    exchanged = functools.partial(_other_of, p.node, q.node)
                    told = f"`{text(q.node)}` belongs before `{text(p.node)}`"
                    yield Edit("lines in the wrong order", [p, q], exchanged, 1, told)


def exchanged_places(s: Scene) -> Iterator[Edit]:
    """a[:, d:] += b[:, :T - d], where each side has the other's slice."""
    for p in s.places:
        n = p.node
        if isinstance(n, ast.Assign | ast.AugAssign):
            target = n.target if isinstance(n, ast.AugAssign) else n.targets[0]
            for q in s.places:
                read = isinstance(q.node, ast.Subscript) and isinstance(q.node.ctx, ast.Load) and q.home == id(n)
                if read and isinstance(target, ast.Subscript) and ast.unparse(target.slice) != ast.unparse(q.node.slice):
                    new = functools.partial(_with_slices_exchanged, target, q.node)
                    told = f"the places of `{text(target)}` and `{text(q.node)}` should be exchanged"
                    yield Edit("shifted in the wrong direction: slices exchanged", [p], new, 1, told)


def _with_slices_exchanged(target: ast.Subscript, read: ast.Subscript, statement: Any) -> ast.stmt:
    made = copy.deepcopy(statement)
    for old, new in zip(ast.walk(statement), ast.walk(made), strict=True):
        if old is target or old is read:
            new.slice = copy.deepcopy(read.slice if old is target else target.slice)  # type: ignore[attr-defined]
    return made


def _other_of(first: ast.stmt, second: ast.stmt, node: Any) -> ast.stmt:
    return second if node is first else first


def exchanged_slices(s: Scene) -> Iterator[Edit]:
    """Two parts of the same array, each where the other belongs."""
    parts = [p for p in s.places if isinstance(p.node, ast.Subscript) and isinstance(p.node.ctx, ast.Load)]
    for p, q in itertools.combinations(parts[:24], 2):
        a, b = ast.unparse(p.node), ast.unparse(q.node)
        if a != b and ast.unparse(p.node.value) == ast.unparse(q.node.value):
            new = functools.partial(_other_part, p.node, q.node)
            yield Edit("parts exchanged: in the wrong order", [p, q], new, 0, f"`{a}` and `{b}` should be exchanged")


def _other_part(first: ast.expr, second: ast.expr, node: Any) -> ast.expr:
    return second if node is first else first


IN_LOOPS = places_in_loops, looked_up, ends_of_loops
LOOPS = accumulated, indices, *IN_LOOPS, slices, rows, sequence, exchanged_slices, exchanged_places
