"""The document's tasks, worked end to end: each file is a command that prints its figures beside simple baselines.

    python -m tinydx.tasks.heart_sounds        a recording of a heart -> normal or abnormal
"""
