"""Whose code runs: tinydx's tape, with the learner's functions in the places of tinydx's.

A training asks the engine for an op or a function by the name of the exercise that is about it. The engine's op computes y
as tinydx does; going back, it calls the learner's backward in the learner's own process (`Learner`), where that exercise is
in, else tinydx's. So a training is written once, and the same lines run with nobody's exercise in or with all of them.

    training -- engine.op("relu") --> an Op: forward tinydx's, backward relu_backward of 02_relu.py, or tinydx's own
             -- engine.call("adam", p, m, v, g, ...) --> adam of 16_adam.py, or tinydx's own
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinydx.dispatch import gradients_of
from tinydx.exercises.checks import Gradients, Values, WrongType, as_arrays, copies
from tinydx.exercises.exercise import Exercise, find
from tinydx.exercises.learner import Learner, LearnerError
from tinydx.language import sentence
from tinydx.op import Op


class EngineError(Exception):
    """A learner's function failed inside the engine; exercise says which, the message where and on what."""

    def __init__(self, exercise: Exercise, message: str):
        super().__init__(message)
        self.exercise = exercise


@dataclass
class Calls:
    """What ran under the name of a function: whether it was the learner's, how often, how many seconds."""

    exercise: Exercise
    function: str
    yours: bool
    n: int = 0
    seconds: float = 0.0


class Engine:
    """tinydx's tape with some functions replaced.

    Arguments: learners, the learner's loaded files by the exercise's name; of every other exercise tinydx's own code runs.

    >>> engine = Engine({})
    >>> engine.call("roc_area", np.array([True, False]), np.array([0.9, 0.2])), [c.yours for c in engine.calls.values()]
    (array(1.), [False])
    """

    def __init__(self, learners: Mapping[str, Learner]):
        self.learners = learners
        self.calls: dict[tuple[str, str], Calls] = {}
        self.op = functools.cache(self._op)

    def call(self, name: str, *arguments: Any, function: str = "") -> Any:
        """Call a function of an exercise about values.

        Arguments: name of the exercise; the function's arguments; function names it where the exercise has several.
        Returns: an array, or a tuple of them.
        """
        check = _check(find(name), Values, function)
        return self._run(find(name), check, check.like, arguments)

    def _op(self, name: str, function: str = "") -> Op:
        """The op of an exercise about gradients; function names the one that is meant where the exercise has several."""
        check = _check(find(name), Gradients, function)
        op = check.of

        @functools.wraps(op.forward)
        def forward(*arrays: Any, **constants: Any) -> tuple:
            y, saved = op.forward(*arrays, **constants)
            return y, (arrays, constants, y, saved)

        def backward(dy: Any, saved: tuple) -> tuple:
            arrays, constants, y, saved = saved

            def own(*arguments: Any) -> Any:
                if op.backward is None:  # an op that only the exercise has
                    return check.function(*arguments)
                return gradients_of(op.reference, dy, saved, (True,) * len(arrays))

            def run(*arguments: Any) -> tuple:
                found = self._run(find(name), check, own, arguments)
                gradients = found if isinstance(found, tuple) else (found,)
                shapes, true = ([np.shape(g) for g in some] for some in (gradients, arrays))
                if shapes != true:
                    told = "the gradients have the shapes {got}, expected {true}"
                    got, expected = (", ".join(map(str, some)) for some in (shapes, true))
                    raise EngineError(find(name), _at(check, arguments, sentence(told, got=got, true=expected)))
                return tuple(np.asarray(g, float) for g in gradients)

            return check.as_backward(run)(dy, None, **dict(zip(op.arrays, arrays, strict=True)), **constants, y=y)

        return replace(op, forward=forward, backward=backward, kernels={})

    def _run(self, exercise: Exercise, check: Any, own: Callable, arguments: Sequence[Any]) -> Any:
        """The result of the learner's function where the exercise is in, else that of tinydx's `own`."""
        learner, function = self.learners.get(exercise.name), check.function.__name__
        calls = self.calls.setdefault((exercise.name, function), Calls(exercise, function, learner is not None))
        began = time.perf_counter()
        try:
            if learner is None:
                return as_arrays(own(*copies(arguments)), check.names, function)
            return check.run(learner, *copies(arguments))
        except (LearnerError, WrongType) as error:
            told: str = error.args[0]
            if getattr(error, "status", "") == "timeout" and learner is not None:
                slow = "its calls take more than {seconds:g} seconds in all: fewer loops, or more time with --seconds"
                told = sentence(slow, seconds=learner.seconds)
            raise EngineError(exercise, _at(check, arguments, told)) from error
        finally:
            calls.n += 1
            calls.seconds += time.perf_counter() - began


def _at(check: Any, arguments: Sequence[Any], told: str) -> str:
    """An error's message behind its place: the function, and the shapes that it was given."""
    names = inspect.signature(check.function).parameters
    shapes = [f"{n} {a.shape if isinstance(a, np.ndarray) else a}" for n, a in zip(names, arguments, strict=False)]
    return sentence("{function}({shapes}): {told}", function=check.function.__name__, shapes=", ".join(shapes), told=told)


def _check(exercise: Exercise, kind: type, function: str) -> Any:
    """The exercise's check of this kind and function; the first where no function is named."""
    return next(c for c in exercise.checks if isinstance(c, kind) and function in ("", c.function.__name__))
