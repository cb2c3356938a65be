"""Writes the tables of docs/teaching.md, docs/teaching.zh.md and docs/exercises.md, and what lies in docs/teaching:
`python docs/make_teaching.py`.

    the lessons' docstrings ── minutes, needs, exercises, data ── the table of lessons, and the sums of the plans
    both                    ── the exercises of each lesson ─────── the table of exercises
    the exercises' checks   ── tinydx/exercises/rubric.py ────── rubric.csv, and autograding.json of the first week

A table stands in a page between the lines `<!-- made: NAME -->` and `<!-- end -->`; the rest of a page is written by hand.
tests/test_teaching.py fails where a page is not what this program makes.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from tinydx.course import lesson_of
from tinydx.exercises import all_exercises, rubric
from tinydx.exercises.rubric import PASSES, Rubric
from tinydx.language import in_chinese
from tinydx.lessons import Lesson, all_lessons, find

HERE = Path(__file__).parent
FOLDER = HERE / "teaching"
PAGES = {HERE / "teaching.md": "en", HERE / "teaching.zh.md": "zh", HERE / "exercises.md": "en"}
MADE = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Part(NamedTuple):
    """A week of the term or a half day of the course: its subject in both languages, the names of its lessons."""

    english: str
    chinese: str
    names: str

    @property
    def lessons(self) -> list[Lesson]:
        return [find(name) for name in self.names.split()]


TERM = [
    Part("a picture becomes numbers", "图像变成数", "convolution activation pooling_dense"),
    Part("the chain rule; the first network", "链式法则；第一个网络", "gradient cnn"),
    Part("more images, better steps", "更多图像，更好的步子", "augmentation optimizers initialisation"),
    Part("can the result be believed?", "结果可信吗？", "overfitting evaluation"),
    Part("networks with a memory", "有记忆的网络", "recurrence through_time"),
    Part("sounds, and words as vectors", "声音，以及用向量表示词", "heart_sounds embedding"),
    Part("writing and translating", "写作与翻译", "language_model translation"),
    Part("reading a text; attention", "读懂文本；注意力", "text_diagnosis transformer"),
    Part("why does it say so? several sources", "它为什么这样说？多种来源", "explaining fusion"),
    Part("little data, little memory", "数据少，内存少", "transfer eight_bits"),
    Part("speed on a CPU", "CPU 上的速度", "speed winograd processes"),
    Part("speed on a GPU, without one", "没有 GPU 也能学 GPU", "cuda_matmul cuda_convolution"),
]
COURSE = [
    Part("day 1, morning: a picture becomes numbers", "第一天上午：图像变成数", "convolution activation pooling_dense"),
    Part("day 1, afternoon: the network, trained", "第一天下午：训练网络", "gradient cnn augmentation"),
    Part("day 2, morning: sounds and texts", "第二天上午：声音与文本", "recurrence heart_sounds embedding"),
    Part("day 2, afternoon: can it be believed?", "第二天下午：能相信吗？", "evaluation explaining"),
]
WORDS = {
    "en": ("lesson", "minutes", "needs", "exercises", "own data", "subject", "lessons", "together"),
    "zh": ("课程", "分钟", "需要", "练习", "自己的数据", "内容", "课程", "合计"),
}


# ---- the tables ------------------------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _minutes(lessons: list[Lesson]) -> int:
    return sum(one.minutes for one in lessons)


def _exercises(lessons: list[Lesson]) -> list[str]:
    return [name for one in lessons for name in one.exercises]


def lessons_table(language: str) -> str:
    """All lessons: what each takes."""
    lesson, minutes, needs, exercises, data, *_, together = WORDS[language]
    rows: list[list[object]] = []
    for one in all_lessons():
        title, own = (one.chinese, one.data_chinese) if language == "zh" else (one.title, one.data)
        packages = ", ".join(f"`{name}`" for name in one.needs)
        rows.append([one.number, title, one.minutes, packages, ", ".join(f"`{name}`" for name in one.exercises), own])
    every = list(all_lessons())
    rows.append(["", f"**{together}**", _minutes(every), "", len(_exercises(every)), ""])
    return table(["", lesson, minutes, needs, exercises, data], rows)


def plan_table(parts: list[Part], language: str) -> str:
    """A plan: the lessons of each part, their minutes, and how many exercises."""
    _, minutes, _, exercises, _, subject, lessons, together = WORDS[language]
    rows: list[list[object]] = []
    for k, part in enumerate(parts, 1):
        numbers = ", ".join(str(one.number) for one in part.lessons)
        title = part.chinese if language == "zh" else part.english
        rows.append([k, title, numbers, _minutes(part.lessons), len(_exercises(part.lessons))])
    every = [one for part in parts for one in part.lessons]
    rows.append(["", f"**{together}**", len(every), _minutes(every), len(_exercises(every))])
    return table(["", subject, lessons, minutes, exercises], rows)


def exercises_table() -> str:
    """All exercises, and the lesson that each belongs to, in both languages."""
    rows: list[list[object]] = []
    for one in all_exercises():
        lesson, title = lesson_of(one.name), f"{one.title} · {in_chinese(one.title)}"
        rows.append([one.number, f"`{one.name}`", title, f"{lesson.number} {lesson.title} · {lesson.chinese}"])
    return table(["", "exercise", "what it asks", "lesson"], rows)


def made(name: str, language: str) -> str:
    """The table of this name: lessons, exercises, term or course."""
    if name == "lessons":
        return lessons_table(language)
    if name == "exercises":
        return exercises_table()
    return plan_table({"term": TERM, "course": COURSE}[name], language)


def page(text: str, language: str) -> str:
    """A page with its tables as they are now."""
    return MADE.sub(lambda found: f"{found[1]}{made(found[2], language)}{found[3]}", text)


# ---- docs/teaching ---------------------------------------------------------------------------------------------------


def autograding(points: Rubric, names: list[str]) -> str:
    """GitHub Classroom's .github/classroom/autograding.json: an exercise passes where its command's exit status is 0."""
    tests = [
        {
            "name": name,
            "setup": "",
            "run": f"tinydx exercise check {name}",
            "input": "",
            "output": "",
            "comparison": "included",
            "timeout": 2,
            "points": int(points.points[name, PASSES]),
        }
        for name in names
    ]
    return json.dumps({"tests": tests}, indent=1) + "\n"


def files() -> dict[Path, str]:
    """Everything that this program writes."""
    points = rubric.default()
    first = autograding(rubric.parse(points, "rubric.csv"), _exercises(TERM[0].lessons))
    pages = {path: page(path.read_text("utf-8"), language) for path, language in PAGES.items()}
    return {FOLDER / "rubric.csv": points, FOLDER / "autograding.json": first, **pages}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
