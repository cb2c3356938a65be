"""Single changes of a backward's source that would put right what people write wrong.

Each is an `Edit`: the name of the mistake that it undoes, the place in the syntax tree, and what stands there instead.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

REDUCTIONS = ("sum", "mean", "max", "min", "prod")
AXES = (0, 1, -1, 2, None, (0, 1), (1, 2), (0, 2), (0, 1, 2), (0, 2, 3), (2, 3))
SLOPES = (  # what may be forgotten or be too many, in a name that stands for an activation's output (or input)
    ("slope of tanh, 1 - {0}**2,", "1 - {0} ** 2"),
    ("slope of sigmoid, {0} (1 - {0}),", "{0} * (1 - {0})"),
    ("gate {0} > 0", "{0} > 0"),
    ("factor {0}", "{0}"),
    ("factor 1 - {0}", "1 - {0}"),
)


class Place(NamedTuple):
    """Where a node hangs in the tree."""

    parent: ast.AST
    field: str
    at: int | None  # in a list of nodes
    node: Any

    def put(self, new: Any) -> None:
        """Hang another node here."""
        if self.at is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.at] = new


class Edit(NamedTuple):
    """One change: the mistake's name, what to put where, and a sentence that says it."""

    name: str
    places: Sequence[Place]
    new: Any
    told: str = ""

    @property
    def advice(self) -> str:
        """What the line says now, and what it would say."""
        if self.told:
            return self.told
        line = getattr(self.places[0].node, "lineno", 0)
        return f"line {line}: `{_text(self.places[0].node)}` should be `{_text(self.new)}`"


def _text(node: Any) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split()) if isinstance(node, ast.AST) else str(node)
    return text if len(text) <= 70 else text[:67] + "..."


def edits(function: ast.FunctionDef | ast.Lambda, offered: Sequence[str], wrong: Collection[int]) -> Iterator[Edit]:
    """All changes of a function, of each kind in turn.

    Arguments: function; offered, names of arrays that it could have used, such as "y"; wrong, the places of the wrong gradients
    in what it returns: statements that feed none of them are left alone.
    """
    unconcerned = _unconcerned(function, wrong)
    places = list(_places(function, unconcerned))
    names = _names(function, offered)
    kinds = precedence, signs, other_names, transposes, axes, dropped, scaled, powers, accumulated, indices, orders, terms
    waiting = [kind(places, names) for kind in kinds]
    while waiting:
        for kind in list(waiting):
            found = next(kind, None)
            if found is None:
                waiting.remove(kind)
            else:
                yield found


def _unconcerned(function: ast.FunctionDef | ast.Lambda, wrong: Collection[int]) -> set[int]:
    """The ids of assignments that feed none of the wrong gradients."""
    returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
    if len(returned) != 1 or not isinstance(returned[0], ast.Tuple):
        return set()
    parts = returned[0].elts
    if any(isinstance(e, ast.Starred) for e in parts) or not all(k < len(parts) for k in wrong):
        return set()
    needed = {n.id for k in wrong for n in ast.walk(parts[k]) if isinstance(n, ast.Name)}
    stores = [n for n in ast.walk(function) if isinstance(n, ast.Assign | ast.AugAssign)]
    for _ in stores:  # as often as names can feed names
        for s in stores:
            if _targets(s) & needed:
                needed |= {n.id for n in ast.walk(s) if isinstance(n, ast.Name)}
    return {id(s) for s in stores if not _targets(s) & needed} | {id(e) for k, e in enumerate(parts) if k not in wrong}


def _targets(statement: ast.Assign | ast.AugAssign) -> set[str]:
    """The names whose value an assignment changes."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    found = set()
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            while isinstance(part, ast.Subscript | ast.Attribute | ast.Starred):
                part = part.value
            found |= {part.id} if isinstance(part, ast.Name) else set()
    return found


def _places(function: ast.FunctionDef | ast.Lambda, unconcerned: Collection[int]) -> Iterator[Place]:
    """Every expression and statement of the body but those left alone."""
    todo: list[ast.AST] = [function]
    while todo:
        parent = todo.pop(0)
        for field, value in ast.iter_fields(parent):
            if parent is function and field not in ("body",):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if id(node) in unconcerned:
                    continue
                if isinstance(node, ast.expr | ast.stmt | ast.slice | ast.keyword | ast.comprehension):
                    yield Place(parent, field, index, node)
                    todo.append(node)


def _names(function: ast.FunctionDef | ast.Lambda, offered: Sequence[str]) -> list[str]:
    """Names that hold arrays, as far as one can see: parameters and what is assigned; then what was offered."""
    a = function.args
    found = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    found += [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return list(dict.fromkeys([*found, *offered]))[:14]


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _times(node: ast.expr, factor: ast.expr) -> ast.BinOp:
    return ast.BinOp(node, ast.Mult(), factor)


def _values(places: Sequence[Place]) -> list[Place]:
    """What is assigned, added or returned: whole values, where a factor or a term may be missing."""
    found = []
    whole = {
        id(p.node) for p in places if isinstance(p.parent, ast.Return | ast.Lambda | ast.Assign) and p.field in ("value", "body")
    }
    for p in places:
        is_value = isinstance(p.parent, ast.Assign | ast.AugAssign) and p.field == "value"
        of_tuple = isinstance(p.parent, ast.Tuple) and p.field == "elts" and id(p.parent) in whole
        returned = isinstance(p.parent, ast.Return | ast.Lambda) and p.field in ("value", "body")
        if (
            (is_value or returned or of_tuple)
            and isinstance(p.node, ast.expr)
            and not isinstance(p.node, ast.Tuple | ast.Starred)
        ):
            found.append(p)
    return found


def precedence(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """`dy * x > 0` compares the product."""
    for p in places:
        n = p.node
        if isinstance(n, ast.Compare) and isinstance(n.left, ast.BinOp) and isinstance(n.left.op, ast.Mult):
            inner = ast.Compare(n.left.right, n.ops, n.comparators)
            yield Edit("parentheses of the comparison", [p], _times(n.left.left, inner))
    for p in places:
        if isinstance(n := p.node, ast.Compare) and len(n.ops) == 1:
            for op in (ast.Gt(), ast.Lt(), ast.GtE(), ast.LtE()):
                if type(op) is not type(n.ops[0]):
                    yield Edit("comparison the wrong way round", [p], ast.Compare(n.left, [op], n.comparators))


def signs(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A plus for a minus, of one term."""
    for p in places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub):
            other = ast.Sub() if isinstance(n.op, ast.Add) else ast.Add()
            yield Edit("sign of one term", [p], ast.BinOp(n.left, other, n.right))
        if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add | ast.Sub):
            other = ast.Sub() if isinstance(n.op, ast.Add) else ast.Add()
            yield Edit("sign of one term", [p], ast.AugAssign(n.target, other, n.value))
        if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.USub) and not isinstance(n.operand, ast.Constant):
            yield Edit("sign", [p], n.operand)
    for p in _values(places):
        yield Edit("sign", [p], ast.UnaryOp(ast.USub(), p.node))


def other_names(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """Another array in this place, once, in one statement, or throughout."""
    uses = [p for p in places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Load) and p.node.id in names]
    uses = [p for p in uses if not (isinstance(p.parent, ast.Call) and p.field == "func")]
    for old in dict.fromkeys(p.node.id for p in uses):
        together = [p for p in uses if p.node.id == old]
        for new in names:
            if new != old and len(together) > 1:
                yield Edit(f"{old} instead of {new}", together, _load(new), f"`{old}` should be `{new}` throughout")
    for p in uses:
        for new in names:
            if new != p.node.id:
                yield Edit(f"{p.node.id} instead of {new}", [p], _load(new), _in(p, places, f"`{p.node.id}` should be `{new}`"))
    for old, block in _blocks(uses, places):
        for new in names:
            if new != old and len(block) > 1:
                yield Edit(f"{old} instead of {new}", block, _load(new), _in(block[0], places, f"`{old}` should be `{new}`"))


def _in(p: Place, places: Sequence[Place], told: str) -> str:
    return f"line {p.node.lineno}: {told}"


def _blocks(uses: Sequence[Place], places: Sequence[Place]) -> Iterator[tuple[str, list[Place]]]:
    """Uses of one name in one line, or in one product of it."""
    for line in dict.fromkeys(p.node.lineno for p in uses):
        here = [p for p in uses if p.node.lineno == line]
        for old in dict.fromkeys(p.node.id for p in here):
            block = [p for p in here if p.node.id == old]
            yield old, block
            if len(block) > 2:
                yield from ((old, list(pair)) for pair in itertools.combinations(block, 2))


def transposes(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A matrix transposed or not, and the order of a product's operands."""
    for p in places:
        n = p.node
        if isinstance(n, ast.Attribute) and n.attr == "T":
            yield Edit("transposed one matrix too many", [p], n.value)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult):
            yield Edit("operands in the wrong order", [p], ast.BinOp(n.right, n.op, n.left))
            for left, right in (("T", ""), ("", "T"), ("T", "T")):
                new = ast.BinOp(_t(n.left) if left else n.left, n.op, _t(n.right) if right else n.right)
                yield Edit("not transposed", [p], new)
        if _is_call(n, "dot", "matmul") and len(n.args) == 2:
            for i in (0, 1):
                yield Edit("not transposed", [p], ast.Call(n.func, [_t(a) if j == i else a for j, a in enumerate(n.args)], []))
            yield Edit("operands in the wrong order", [p], ast.Call(n.func, n.args[::-1], []))
        if isinstance(n, ast.Attribute) and n.attr == "T":
            yield Edit(".T on a stack", [p], _parsed(f"({ast.unparse(n.value)}).swapaxes(-1, -2)"))
    for p in _values(places):
        yield Edit("not transposed", [p], _t(p.node))
        yield Edit("not transposed", [p], _parsed(f"({ast.unparse(p.node)}).swapaxes(-1, -2)"))


def _t(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Attribute) and node.attr == "T" else ast.Attribute(node, "T", ast.Load())


def _is_call(node: Any, *names: str) -> bool:
    """Whether the node calls a function or method of one of these names."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    return name in names


def axes(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """Another axis, keepdims, a mean for a sum."""
    for p in places:
        n = p.node
        if not _is_call(n, *REDUCTIONS):
            continue
        of_module = (
            isinstance(n.func, ast.Attribute) and isinstance(n.func.value, ast.Name) and n.func.value.id in ("np", "numpy")
        )
        first = n.args[:1] if of_module else []
        keywords = {k.arg: k.value for k in n.keywords}
        given: Any = keywords.get("axis", n.args[len(first)] if len(n.args) > len(first) else ast.Constant(None))
        rest = [k for k in n.keywords if k.arg not in ("axis", "keepdims")]
        for keep in (True, False):
            for new in (given, *map(_constant, AXES)):
                made = [*rest, ast.keyword("axis", new), *([ast.keyword("keepdims", ast.Constant(True))] if keep else [])]
                name = "sum over the wrong axis" if new is not given else "keepdims"
                yield Edit(name, [p], ast.Call(n.func, first, made))
        other = {"sum": "mean", "mean": "sum", "max": "sum"}.get(n.func.attr if isinstance(n.func, ast.Attribute) else "")
        if other and isinstance(n.func, ast.Attribute):
            name = f"{n.func.attr} instead of {other}"
            yield Edit(name, [p], ast.Call(ast.Attribute(n.func.value, other, ast.Load()), n.args, n.keywords))
    for p in _values(places):
        for axis in (-1, 0, 1, (0, 1), (0, 1, 2)):
            summed = _parsed(f"({ast.unparse(p.node)}).sum({axis!r}, keepdims=True)")
            yield Edit("sum forgotten", [p], summed)


def _constant(value: Any) -> ast.expr:
    return _parsed(repr(value))


def dropped(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A factor, a divisor, a term or a function that should not be there."""
    for p in places:
        n = p.node
        if isinstance(n, ast.BinOp):
            if isinstance(n.op, ast.Mult):
                yield Edit(f"factor {_text(n.right)} too many", [p], n.left)
                yield Edit(f"factor {_text(n.left)} too many", [p], n.right)
                if isinstance(n.left, ast.BinOp) and isinstance(n.left.op, ast.Mult):
                    yield Edit(f"factor {_text(n.left.right)} * {_text(n.right)} too many", [p], n.left.left)
                yield Edit(f"multiplied by {_text(n.right)} instead of divided", [p], ast.BinOp(n.left, ast.Div(), n.right))
            elif isinstance(n.op, ast.Div):
                yield Edit(f"division by {_text(n.right)} too many", [p], n.left)
                yield Edit(f"divided by {_text(n.right)} instead of multiplied", [p], _times(n.left, n.right))
            elif isinstance(n.op, ast.Add | ast.Sub):
                yield Edit(f"term {_text(n.right)} too many", [p], n.left)
                yield Edit(f"term {_text(n.left)} too many", [p], n.right)
        if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords:
            yield Edit(f"{_text(n.func)} too many", [p], n.args[0])
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and _is_call(n, *REDUCTIONS, "copy", "clip"):
            yield Edit(f"{n.func.attr} too many", [p], n.func.value)
        if isinstance(n, ast.AugAssign):
            yield Edit(f"`{_text(n)}` too many", [p], ast.Pass())


def scaled(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A factor or slope that was forgotten, in a value or wherever dy is used."""
    yield from _other_slopes(places, names)
    values = _values(places)
    gradients = [p for p in places if isinstance(p.node, ast.Name) and isinstance(p.node.ctx, ast.Load) and p.node.id == names[0]]
    for sites in (*([v] for v in values), *([g] for g in gradients), *([gradients] if len(gradients) > 1 else [])):
        for name in names:
            for told, text in SLOPES:
                factor = _parsed("(" + text.format(name) + ")")
                line = f"line {sites[0].node.lineno}: multiply `{_text(sites[0].node)}` by `{_text(factor)}`"
                yield Edit(told.format(name) + " forgotten", sites, _times(sites[0].node, factor), line)
            line = f"line {sites[0].node.lineno}: divide `{_text(sites[0].node)}` by `{name}`"
            yield Edit(f"division by {name} forgotten", sites, ast.BinOp(sites[0].node, ast.Div(), _load(name)), line)
    divisors = {
        ast.dump(p.node.right): p.node.right for p in places if isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Div)
    }
    products = [p for p in places if isinstance(p.node, ast.Name) and isinstance(p.parent, ast.BinOp) and p.node.id in names]
    for p in [*values, *products]:
        for divisor in divisors.values():
            yield Edit(f"division by {_text(divisor)} forgotten", [p], ast.BinOp(p.node, ast.Div(), divisor))
    for p in places:
        if isinstance(p.parent, ast.Call) and p.field == "args" and isinstance(p.node, ast.Name) and p.node.id in names:
            for name in names:
                yield Edit(f"{name} forgotten", [p], ast.BinOp(p.node, ast.Add(), _load(name)))
    for p in values:
        for name in names:
            for count in (f"len({name})", f"{name}.size", f"{name}.shape[1]", f"{name}.shape[-1] ** 0.5"):
                yield Edit(f"division by {count} forgotten", [p], ast.BinOp(p.node, ast.Div(), _parsed(count)))
        for text, name in (("2", "factor 2 forgotten"), ("0.5", "factor 2 too many")):
            yield Edit(name, [p], _times(p.node, _parsed(text)))


def _other_slopes(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """Another activation's slope: in a product, all that follows the first factor."""
    for p in _values(places):
        first = p.node
        while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mult):
            first = first.left
        if first is not p.node:
            for name in names:
                for told, text in SLOPES[:3]:
                    made = _times(first, _parsed("(" + text.format(name) + ")"))
                    yield Edit(f"another factor instead of the {told.format(name).rstrip(',')}", [p], made)


def powers(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A square or root that is forgotten or too many, and other numbers."""
    for p in places:
        n = p.node
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow):
            yield Edit("wrong power", [p], n.left)
            for power in (2, 3, -1, -2, 0.5, -0.5, 1.5, -1.5):
                yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, _constant(power)))
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in names:
            yield Edit("square forgotten", [p], ast.BinOp(n, ast.Pow(), ast.Constant(2)))
            for f in ("exp", "tanh", "log", "sqrt", "cos", "sin"):
                yield Edit(f"{f} forgotten", [p], _parsed(f"__import__('numpy').{f}({n.id})"), f"line {n.lineno}: {f}({n.id})")
            yield Edit(
                "sigmoid forgotten", [p], _parsed(f"(1 / (1 + __import__('numpy').exp(-{n.id})))"), "take the sigmoid first"
            )
            yield Edit(f"1 - {n.id} instead of {n.id}", [p], _parsed(f"(1 - {n.id})"))
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div):
            yield Edit("wrong power", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(2))))
            yield Edit("root forgotten", [p], ast.BinOp(n.left, n.op, ast.BinOp(n.right, ast.Pow(), ast.Constant(0.5))))
        value: Any = n.value if isinstance(n, ast.Constant) else None
        if type(value) in (int, float) and value:
            for new in (1, 2, 0.5, 3, value * 2, value / 2):
                if new != value and not isinstance(p.parent, ast.Subscript | ast.Slice):
                    yield Edit(f"{value} instead of {new:g}", [p], ast.Constant(new))


def accumulated(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """= where += is meant, and the other way round."""
    for p in places:
        n = p.node
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and isinstance(n.targets[0], ast.Subscript | ast.Name):
            yield Edit("= instead of +=", [p], ast.AugAssign(n.targets[0], ast.Add(), n.value))
        if isinstance(n, ast.AugAssign):
            yield Edit("+= instead of =", [p], ast.Assign([n.target], n.value))


def indices(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """An index off by one, a range too short or in the other direction, a flip."""
    for p in places:
        n = p.node
        moves = isinstance(p.parent, ast.BinOp) and isinstance(p.parent.op, ast.Add | ast.Sub)
        if isinstance(n, ast.Constant) and type(n.value) is int and (moves or isinstance(p.parent, ast.Subscript | ast.Slice)):
            for new in (n.value - 1, n.value + 1):
                yield Edit("index off by one", [p], ast.Constant(new))
        if _is_call(n, "range"):
            yield Edit("loop in the wrong direction", [p], ast.Call(_load("reversed"), [n], []))
            for i in range(len(n.args)):
                for op in (ast.Add(), ast.Sub()):
                    made = [ast.BinOp(b, op, ast.Constant(1)) if j == i else b for j, b in enumerate(n.args)]
                    yield Edit("loop one step short or long", [p], ast.Call(n.func, made, []))
        if _is_call(n, "reversed") and n.args:
            yield Edit("loop in the wrong direction", [p], n.args[0])
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load):
            yield Edit("flipped, or cut, where it should not be", [p], n.value)
            if isinstance(n.slice, ast.Name):
                for op in (ast.Sub(), ast.Add()):
                    moved = ast.BinOp(n.slice, op, ast.Constant(1))
                    yield Edit("index off by one", [p], ast.Subscript(n.value, moved, ast.Load()))
            if isinstance(n.slice, ast.Tuple):
                for i, part in enumerate(n.slice.elts):
                    for op in (ast.Sub(), ast.Add()) if isinstance(part, ast.Name) else ():
                        parts = [ast.BinOp(b, op, ast.Constant(1)) if j == i else b for j, b in enumerate(n.slice.elts)]
                        yield Edit("index off by one", [p], ast.Subscript(n.value, ast.Tuple(parts, ast.Load()), ast.Load()))
    for p in [*_values(places), *(u for u in places if isinstance(u.node, ast.Name) and isinstance(u.node.ctx, ast.Load))]:
        if (isinstance(p.parent, ast.Call) and p.field == "func") or (isinstance(p.node, ast.Name) and p.node.id not in names):
            continue
        for flip in ("[::-1]", "[::-1, ::-1]", "[:, ::-1]", "[..., ::-1]"):
            yield Edit("not flipped", [p], _parsed(f"({ast.unparse(p.node)}){flip}"))


def orders(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """Axes of a transpose, parts of a concatenation, gradients of a return in another order."""
    for p in places:
        n = p.node
        joined = _is_call(p.parent, "concatenate", "hstack", "vstack", "stack", "column_stack", "transpose", "tensordot", "sum")
        ordered = joined or isinstance(p.parent, ast.Return | ast.Lambda | ast.keyword)
        if ordered and isinstance(n, ast.Tuple | ast.List) and 2 <= len(n.elts) <= 4:
            numbers = all(isinstance(e, ast.Constant) for e in n.elts)
            name = "axes in another order" if numbers else "parts in the wrong order"
            for order in itertools.permutations(n.elts):
                if list(order) != n.elts:
                    yield Edit(name, [p], type(n)(list(order), n.ctx))
        if _is_call(n, "transpose") and 2 <= len(n.args) <= 4:
            for order in itertools.permutations(n.args):
                if list(order) != n.args:
                    yield Edit("axes in another order", [p], ast.Call(n.func, list(order), []))
        if isinstance(n, ast.Constant) and isinstance(n.value, bool):
            yield Edit(f"{n.value} instead of {not n.value}", [p], ast.Constant(not n.value))


def terms(places: Sequence[Place], names: Sequence[str]) -> Iterator[Edit]:
    """A term that is missing."""
    for p in _values(places):
        for name in names:
            yield Edit(f"term {name} forgotten", [p], ast.BinOp(p.node, ast.Add(), _load(name)))
            yield Edit(f"term {name} forgotten", [p], ast.BinOp(p.node, ast.Sub(), _load(name)))
