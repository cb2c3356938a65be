"""The document's tasks, worked end to end: each file is a command that prints its figures beside simple baselines.

    python -m tinydx.tasks.icd_chapters        a diagnosis's name -> the chapter of ICD-10-CM it belongs to
"""
