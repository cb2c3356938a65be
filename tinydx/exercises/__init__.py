"""Exercises: the learner writes a gradient, runs one command, and is told which one is wrong, where, and why.

    catalog/       the exercises, one file each: what the learner gets, the solution, hints, wrong solutions
    exercise.py    what an exercise is, and how a file of the catalog is read
    checks.py      what is checked: gradients, values
    worker.py      the process that runs the learner's code, and nothing else
    learner.py     that process, seen from here: time limit, crashes, output
    runner.py      one check of one file, as words or data
    folder.py      a learner's folder and its progress file
    commands.py    what `tinydx exercise ...` does       watch.py   its watch mode       grade.py   many students

>>> len(all_exercises()) >= 24, find("relu").title
(True, 'ReLU: the gradient')
"""

from tinydx.exercises.checks import Gradients, Values
from tinydx.exercises.exercise import Bug, Exercise, all_exercises, find
from tinydx.exercises.runner import Result, check_file

__all__ = ["Bug", "Exercise", "Gradients", "Result", "Values", "all_exercises", "check_file", "find"]
