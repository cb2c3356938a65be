"""The main job, `tinydx diagnose`: from examples in classes to a trained model, its test and a report.

    diagnose.py   the one flow for every kind of data: open, build, fit, evaluate, write; and `predict`
    kind.py       Kind, what differs from kind to kind
    kinds/        the kinds, one file each: image, sound, text
    report.py     the report: one picture page, and the numbers as JSON and CSV

In flows a path, or nothing (then a program makes synthetic examples). Out flow metrics and a folder with the model, its history,
its metrics and the page. `tinydx.evaluation` computes the metrics.
"""
