"""The exercises, one file each; `tinydx/exercises/exercise.py` says how such a file is read."""
