"""Exercises: the learner writes a gradient, runs one command, and is told which gradient is wrong, where, and why.

    catalog/       the exercises, one file each: the learner's part, the solution, hints, wrong solutions
    exercise.py    what an exercise is, and how a file of the catalog is read
    checks.py      what is checked: gradients or values; values.py, patterns of wrong values; honest.py, what is refused
    worker.py      the process that runs the learner's code, and nothing else
    learner.py     starts and watches that process: time limit, crashes, output
    runner.py      checks one file; the result as text or data
    folder.py      a learner's folder and its progress file
    milestones/    engines assembled from the exercises that passed
    commands.py    the actions of `tinydx exercise`; watch.py its watch mode
    grade.py       grades many students, each file by cell.py in the place that sandbox.py makes
    rubric.py      points for its table
    terminal.py    what these print

>>> len(all_exercises()) >= 24, find("relu").title
(True, 'ReLU: the gradient')
"""

from tinydx.exercises.checks import Gradients, Values
from tinydx.exercises.exercise import Bug, Exercise, all_exercises, find
from tinydx.exercises.runner import Result, check_file

__all__ = ["Bug", "Exercise", "Gradients", "Result", "Values", "all_exercises", "check_file", "find"]
