"""The course: what a lesson is, how it is opened, checked and printed. The lessons themselves stand in lessons/.

    lessons/NN_name.py      a marimo notebook: text, one figure to play with, assertions; plain Python
    lessons/glossary.tsv    the terms, English, Chinese and as the code writes them

    lesson.py      a notebook's own words about itself, read without running it
    page.py        what notebooks are written with: head, card, canvas, show, term, foot
    handout.py     the outputs of a run as one HTML file that needs nothing else, and an index of all
    glossary.py    the terms, and docs/glossary.md
    commands.py    what `tinydx lesson ...` does

A lesson copies no code of the engine: it shows the card of an op, and calls the op. Every number in its text is
computed by it; what it claims, it asserts, so that `tinydx lesson --check` fails when the engine and the words part.

>>> [lesson.number for lesson in all_lessons()][:3]
[1, 2, 3]
>>> find("convolution").exercises
('conv_sum',)
"""

from tinydx.lessons.lesson import Lesson, all_lessons, find

__all__ = ["Lesson", "all_lessons", "find"]
