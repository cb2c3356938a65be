"""The exercises, one file each; `tinydx/exercises/exercise.py` describes their format."""
