"""The pages that a visitor reads: they are short, current and true. Their Python runs, their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

from tinydx import cli
from tinydx.op import TABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh.md"))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text(path), re.DOTALL)


def commands(path: Path) -> list[str]:
    """The indented command lines, without comments and without what only one language has."""
    lines = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", text(path), flags=re.DOTALL), re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


def run(code: str, capsys: pytest.CaptureFixture) -> str:
    """What a block prints."""
    exec(compile(code, "page", "exec"), {})
    return capsys.readouterr().out


# ---- README, in both languages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_readme_is_short_and_has_the_two_commands(path):
    assert len(text(path).splitlines()) <= 130
    assert "    pip install . && tinydx diagnose\n" in text(path)
    assert "    pip install -e '.[test]' && pytest\n" in text(path)


def test_both_readmes_say_the_same():
    """Same sections, commands, links, pictures and code; only words differ."""
    for pattern in (r"^#+ ", r"\]\(([^)]+)\)", r"^\| ", r"`[^`\n]+`"):
        english, chinese = (re.findall(pattern, text(path), re.MULTILINE) for path in (ENGLISH, CHINESE))
        without_switch = lambda found: sorted(x for x in found if x not in ("README.md", "README.zh.md"))  # noqa: E731
        assert without_switch(english) == without_switch(chinese), pattern
    assert commands(ENGLISH) == commands(CHINESE)
    code = [[re.sub(r"#.*", "", block) for block in blocks(path, "python")] for path in (ENGLISH, CHINESE)]
    assert code[0] == code[1]


def test_readmes_count_the_exercises():
    files = list((ROOT / "tinydx" / "exercises" / "catalog").glob("[!_]*.py"))
    assert f"\n{len(files)} short files" in text(ENGLISH) and f"\n{len(files)} 个短文件" in text(CHINESE)


def test_the_python_of_readme_runs(capsys):
    (code,) = blocks(ENGLISH, "python")
    assert run(code, capsys) == "(3, 3, 3, 4) True\n"


# ---- all pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text(path), flags=re.DOTALL)):
        if not link.startswith("http"):
            file, _, anchor = link.partition("#")
            target = (path.parent / file) if file else path
            assert target.exists(), link
            if anchor:
                titles = re.findall(r"^#+ (.*)$", text(target), re.MULTILINE)
                assert anchor in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_a_page_names_exist(path):
    helps = cli.build_parser().format_help()
    for command in set(re.findall(r"^    (?:.*&& )?tinydx (\w+)", text(path), re.MULTILINE)):
        assert re.search(rf"^    {command}\s", helps, re.MULTILINE), command
    for task in set(re.findall(r"python -m (tinydx(?:\.[a-z_]+)+)(?![\w.])", text(path))):
        assert importlib.util.find_spec(task), task
    for file in set(re.findall(r"(?:python|bash) ((?:tests|docs|kernels)/[\w/]+\.\w+)", text(path))):
        assert (ROOT / file).is_file(), file


def test_the_gradient_check_prints_what_its_page_says(capsys):
    page = ROOT / "docs" / "gradcheck.md"
    (code,) = blocks(page, "python")
    told = run(code, capsys).splitlines()
    expected = text(page).split("prints\n\n```\n")[1].split("```")[0].splitlines()
    assert told[0] == expected[0] and told[2:] == expected[2:]  # line 1 shows the size of dx's rounding


def test_equations_page_is_current():
    """Each formula of the document is on the page as the table has it; so is each op that the page lists."""
    pytest.importorskip("numba", reason="the page names the Numba kernels: pip install numba")
    spec = importlib.util.spec_from_file_location("make_equations", ROOT / "docs" / "make_equations.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    page, made = text(make.PAGE), make.page()
    advice = "run python docs/make_equations.py"
    listed = set(re.findall(r"^(?:\| |- op: )`(\w+)`", page, re.MULTILINE))
    assert listed >= {op.name for op in make.ops() if "document" in op.source}, advice
    assert listed <= set(TABLE), advice
    added = {op.name for op in make.ops()} - listed  # ops that a contributor has just added may be missing
    expected = [line for line in made.splitlines() if not re.match(rf"\| `({'|'.join(added) or '$'})`", line)]
    assert page.splitlines() == expected, advice


def test_the_reading_path_is_an_evening():
    """docs/reading.md counts the lines that it asks for; they are at most 2,500."""
    page = text(ROOT / "docs" / "reading.md")
    rows = re.findall(r"^\| \d+ \| \[[^]]+\]\(\.\./([^)]+)\)[^|]*\| (\d+) \|", page, re.MULTILINE)
    counted = {file: len(text(ROOT / file).splitlines()) for file, _ in rows}
    assert {file: int(lines) for file, lines in rows} == counted
    total = int(re.search(r"([\d,]+) lines in all", page)[1].replace(",", ""))
    assert total == sum(counted.values()) <= 2500


def test_the_page_on_data_lists_every_naming_scheme():
    from tinydx.datasets.naming import SCHEMES

    rows = [line for line in text(ROOT / "docs" / "data.md").splitlines() if line.startswith("| ")]
    for scheme in SCHEMES:
        assert f"| {scheme.name} | `{scheme.example}` | {scheme.means or 'not told'} |" in rows
