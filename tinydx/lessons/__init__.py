"""The course: how a lesson is opened, checked and printed. The lessons themselves are in lessons/; `course.py` knows them.

    lessons/NN_name.py      a marimo notebook in plain Python: text, an interactive figure, assertions
    lessons/glossary.tsv    the terms in English, in Chinese, and as the code writes them

    page.py        the functions that notebooks call: head, card, canvas, show, term, foot
    handout.py     the outputs of a lesson as one self-contained HTML file, and an index of all handouts
    slides.py      the same outputs as slides
    solutions.py   the exercises' solutions and why they are right, for teachers
    glossary.py    the terms, and docs/glossary.md
    commands.py    what `tinydx lesson ...` does

A lesson copies no code of the engine: it shows the card of an op, and calls the op. It computes every number in its text
and asserts what the text claims, so `tinydx lesson --check` fails where engine and text disagree; what a training, a seed or a
clock gives it does not assert, but chooses its sentence from what came out.

>>> [lesson.number for lesson in all_lessons()][:3]
[1, 2, 3]
>>> find("convolution").exercises
('conv_sum',)
"""

from tinydx.course import Lesson, all_lessons, find

__all__ = ["Lesson", "all_lessons", "find"]
