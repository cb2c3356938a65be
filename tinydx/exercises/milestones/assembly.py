"""Assemble a milestone's engine from a learner's folder: check, put in one after the other, train; the outcome as text or data.

    check all files -- passed --> train with one learner's exercise more, until all are in
                    -- not    --> tinydx's own code stays, and the outcome says why

After each exercise the losses and the answers must be those of tinydx alone, up to rounding. An exercise with which they
are not, or whose code fails or takes too long inside the engine, is left out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinydx.exercises.exercise import Exercise
from tinydx.exercises.folder import Folder
from tinydx.exercises.learner import Learner, LearnerError
from tinydx.exercises.milestones.engine import Calls, Engine, EngineError
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import Run
from tinydx.exercises.runner import SECONDS, Result, check_all
from tinydx.language import sentence
from tinydx.names import line

CLOSE = 1e-6  # largest gap to the numbers of tinydx alone, relative to the largest: rounding grows from step to step


@dataclass
class Stage:
    """One training: the exercise that went in before it (None: tinydx alone), its run, the gap of its numbers."""

    exercise: Exercise | None
    run: Run
    gap: float
    seconds: float
    calls: list[Calls]


@dataclass
class Outcome:
    """What came of a milestone: results of the checks; stages; left, why an exercise is not in, by name."""

    milestone: Milestone
    results: dict[str, Result]
    stages: list[Stage] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def yours(self) -> list[Exercise]:
        """The exercises whose code ran in the last training."""
        return [e for e in self.milestone.exercises if e.name not in self.left]

    @property
    def done(self) -> bool:
        return not self.left

    def as_dict(self) -> dict[str, Any]:
        """The outcome as data for JSON."""
        return {
            "milestone": self.milestone.number,
            "name": self.milestone.name,
            "title": self.milestone.title,
            "done": self.done,
            "yours": [e.name for e in self.yours],
            "tinydx": [{"exercise": name, "why": str(why)} for name, why in self.left.items()],
            "stages": [
                {
                    "exercise": stage.exercise and stage.exercise.name,
                    "losses": stage.run.losses,
                    "accuracy": stage.run.accuracy,
                    "figures": {str(name): value for name, value in stage.run.figures.items()},
                    "gap": stage.gap,
                    "seconds": round(stage.seconds, 3),
                }
                for stage in self.stages
            ],
            "functions": [
                {
                    "exercise": c.exercise.name,
                    "function": c.function,
                    "whose": "yours" if c.yours else "tinydx",
                    "calls": c.n,
                    "seconds": round(c.seconds, 3),
                }
                for c in self.stages[-1].calls
            ],
        }


def assemble(milestone: Milestone, folder: Folder, seconds: float, tell: Callable[[Stage | str], None]) -> Outcome:
    """Check the exercises of a milestone, put those that pass into the engine one after the other, and train each time.

    Arguments: milestone; folder of the learner, whose progress is recorded; seconds of computing for the code of each
    exercise, all its calls in this milestone together; tell, called with each stage, and with a sentence where an exercise is
    left out.
    """
    results = {r.exercise.name: r for r in check_all(milestone.exercises, folder.file, SECONDS)}
    outcome = Outcome(milestone, results)
    for result in results.values():
        folder.mark(result.exercise, result.ok)
        if not result.ok:
            outcome.left[result.exercise.name] = why(result)
    alone = _train(milestone, None, {}, None)
    outcome.stages.append(alone)
    tell(alone)
    learners: dict[str, Learner] = {}
    with ExitStack() as running:
        for exercise in outcome.yours:
            try:
                learners[exercise.name] = running.enter_context(Learner(folder.file(exercise), seconds))
            except LearnerError as error:
                outcome.left[exercise.name] = error.args[0]
                continue
            for told in _with(milestone, exercise, learners, alone, outcome):
                tell(told)
    folder.reached(milestone.name, outcome.done)
    return outcome


def _with(
    milestone: Milestone, exercise: Exercise, learners: dict[str, Learner], alone: Stage, outcome: Outcome
) -> Iterator[Stage | str]:
    """The training with one exercise more; whose code fails in it leaves the engine, and the others train again."""
    while exercise.name in learners:
        try:
            stage = _train(milestone, exercise, learners, alone)
        except EngineError as error:
            failed, told = error.exercise, error.args[0]
        except (ValueError, TypeError, LookupError) as error:  # tinydx's own code got what it cannot use
            failed, told = exercise, sentence("with it the engine stops: {error}", error=line(error, 200))
        else:
            if stage.gap < CLOSE:
                outcome.stages.append(stage)
                yield stage
                return
            failed, told = exercise, _differs(stage.run, alone.run)
        del learners[failed.name]
        outcome.left[failed.name] = told
        yield sentence("{file}: {told}", file=failed.file, told=told)


def _train(milestone: Milestone, exercise: Exercise | None, learners: Mapping[str, Learner], alone: Stage | None) -> Stage:
    engine, began = Engine(learners), time.perf_counter()
    with np.errstate(all="ignore"):  # what a wrong function computes is judged by the losses
        run = milestone.train(engine)
    own = (alone.run if alone else run).numbers
    gap = float(np.max(np.nan_to_num(np.abs(run.numbers - own), nan=np.inf)) / np.abs(own).max())
    return Stage(exercise, run, gap, time.perf_counter() - began, list(engine.calls.values()))


def _differs(run: Run, alone: Run) -> str:
    """Where a training first gives another number than tinydx alone."""
    apart = ~(np.abs(run.numbers - alone.numbers) < CLOSE * np.abs(alone.numbers).max())
    step = int(np.argmax(apart))
    if step >= len(run.losses):
        return sentence("with it the trained network answers otherwise than with tinydx's own")
    told = "with it the loss of step {step} is {loss:.6g}, with tinydx's own {alone:.6g}"
    return sentence(told, step=step + 1, loss=run.losses[step], alone=alone.losses[step])


def why(result: Result) -> str:
    """Why an exercise that did not pass is not in, in one sentence: the runner's, or the names of the mistakes."""
    if result.message:
        return result.message
    names = dict.fromkeys(m or sentence("no known mistake") for m in result.mistakes)
    found = sentence("wrong: {first}", first=sentence(next(iter(names))))
    return found if len(names) == 1 else sentence("{found}, and more", found=found)


def verdict(outcome: Outcome) -> str:
    """One sentence: how much of the engine is the learner's, and how well it does."""
    run, alone = outcome.stages[-1].run, outcome.stages[0].run
    values = {"n": len(outcome.yours), "of": len(outcome.milestone.names), "share": run.accuracy, "alone": alone.accuracy}
    told = (
        "{n} of {of} exercises are yours, tinydx's own code stands in for the others: {share:.0%} of the test patients are right."
    )
    if outcome.done:
        told = "All {n} exercises are yours: your engine gets {share:.0%} of the test patients right, tinydx alone {alone:.0%}."
    elif not outcome.yours:
        told = "None of {of} exercises is yours yet: tinydx's own code ran, and {share:.0%} of the test patients are right."
    return sentence(told, **values)
