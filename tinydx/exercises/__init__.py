"""Exercises: the learner writes a gradient, runs one command, and is told which one is wrong, where, and why.

    catalog/       the exercises, one file each: what the learner gets, the solution, hints, wrong solutions
    exercise.py    what an exercise is, how a file of the catalog is read, the kinds of checks
    worker.py      the process that runs the learner's code, and nothing else
    learner.py     that process, seen from here: time limit, crashes, output
    runner.py      one check of one file, as words or data
    folder.py      a learner's folder and its progress file
    commands.py    what `tinydx exercise ...` does       watch.py   its watch mode       grade.py   many students

>>> from tinydx.exercises import catalog, check_file, find
>>> len(catalog()) >= 24, find("relu").title
(True, 'ReLU: the gradient')
"""

from tinydx.exercises.exercise import Bug, Exercise, Gradients, Values, catalog, find
from tinydx.exercises.runner import Result, check_file

__all__ = ["Bug", "Exercise", "Gradients", "Result", "Values", "catalog", "check_file", "find"]
