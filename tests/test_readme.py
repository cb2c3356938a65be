"""README's words are code: its Python runs, in its order, and prints what it says there."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_engine_examples_run_and_print_what_they_say(capsys):
    names: dict = {}
    for block in BLOCKS[1:]:  # the first is the document's program, which tests/test_document.py runs
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("(3, 3, 3, 4)\n") and "conv2d · document, 1.2" in printed
    said = README.split("prints\n\n```\n")[1].split("```")[0]
    told, expected = printed[printed.index("conv2d · 1 of 2") :].splitlines(), said.splitlines()
    assert told[0] == expected[0] and told[2:] == expected[2:]  # but for the size of the rounding in dx


def test_the_two_commands_are_there():
    assert "    pip install . && tinydx diagnose\n" in README
    assert "    pip install -e '.[test]' && pytest\n" in README


def test_every_command_that_it_names_exists():
    from tinydx import cli

    helps = cli.build_parser().format_help()
    for command in set(re.findall(r"^    (?:.*&& )?tinydx (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^    {command}\s", helps, re.MULTILINE), command
