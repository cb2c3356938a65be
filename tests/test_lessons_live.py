"""Lessons as a learner has them: `tinydx lesson N` in a real Chromium, where each control moves its figure.

Three lessons are tried, each at another look: as wide as a phone or a screen, light or dark. All lessons at all four,
and with each slider at both its ends (about half an hour on two cores):

    HYPOTHESIS_PROFILE=proof pytest tests/test_lessons_live.py

Here lessons multiply matrices as a machine of 2004 does, so that what they assert is tried on another than this one. The browser
reaches no host but this machine. Without it, and without what a lesson needs, tests are skipped.
"""

import os
import signal
import socket
import subprocess
import sys

import pytest
from browser import PHONE, SCREEN, until
from test_lessons import failing_lesson

from tinydx import cli
from tinydx.lessons import all_lessons
from tinydx.lessons.commands import free_port

LOOKS = [(width, dark) for dark in (False, True) for width in (PHONE, SCREEN)]
CONTROLS = "marimo-slider, marimo-dropdown, marimo-text"
FIGURES = "[...document.querySelectorAll('img.figure')].map(e => e.src)"
OLD = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"}  # vectors of 4 numbers, which every x86 processor has
VIEWPORT = "<meta name='viewport' content='width=device-width, initial-scale=1'>"  # as all pages of the course have it
SWITCH_IS_FREE = """(e => {
  const box = e.getBoundingClientRect(), y = box.top + box.height / 2;
  return [box.left + 2, box.right - 2].every(x => e.contains(document.elementFromPoint(x, y)));
})(document.querySelector('.language > summary'))"""
FAILED = "[...document.querySelectorAll('.has-error')].map(e => e.innerText)"  # "" where the page has not drawn the error yet


@pytest.fixture(scope="session")
def port():
    """One for all lessons, so that the browser keeps what marimo's page fetches."""
    return free_port()


@pytest.mark.parametrize("one", [pytest.param(one, id=one.path.stem) for one in all_lessons()])
def test_every_control_of_a_lesson_changes_a_figure(one, browser, port, proof, tmp_path):
    if one.missing:
        pytest.skip(f"not installed: {', '.join(one.missing)}")
    if one.number % 9 != 4 and not proof:
        pytest.skip("in the profile `proof`")
    browser.asked.clear()
    command = [sys.executable, "-m", "tinydx", "lesson", one.name, "--no-browser", "--port", str(port)]
    with served(command, port, tmp_path) as url:
        looks = LOOKS if proof else [LOOKS[one.number // 9]]
        browser.look(*looks[0])
        browser.open(url)
        until(lambda: browser.js("document.body.innerText.includes('Now you')"), seconds=600)
        for look in looks:
            browser.look(*look)
            assert until(lambda dark=look[1]: browser.is_dark() == dark)
            browser.js("document.querySelector('.language').scrollIntoView({block: 'center'})")
            assert until(lambda: browser.js(SWITCH_IS_FREE), seconds=10), "marimo's menu lies over the switch of the language"
            for number in range(browser.js(f"document.querySelectorAll('{CONTROLS}').length")):
                move(browser, number)
            for _ in ("English", "Chinese"):
                assert browser.cut() == []
                browser.js("document.querySelector('.language > summary').click()")
        for number in range(browser.js("document.querySelectorAll('marimo-slider').length") if proof else 0):
            move_to_its_ends(browser, number)
        assert browser.js(FAILED) == []
        here = ("http://127.0.0.1", "http://localhost", "data:", "blob:")
        assert [url for url in browser.asked if not url.startswith(here)] == [] and browser.failed == []
        browser.open("about:blank")


def move(browser, number):
    """Move a control one step, or write a word into it, and wait until a figure is another."""
    control = f"document.querySelectorAll('{CONTROLS}')[{number}]"
    inside = f"{control}.shadowRoot.querySelector('[role=slider], select, input')"
    before = browser.js(FIGURES)
    browser.js(f"{inside}.focus()")
    match browser.js(f"{control}.tagName"):
        case "MARIMO-SLIDER":
            at_end = browser.js(f"{inside}.ariaValueNow === {inside}.ariaValueMax")
            browser.press("ArrowLeft" if at_end else "ArrowRight")
            if not waited_for(lambda: another(browser, before), seconds=10):  # another control's limit is narrower
                browser.press("Home" if at_end else "End")
                until(lambda: another(browser, before))
                before = browser.js(FIGURES)
                browser.press("End" if at_end else "Home")
        case "MARIMO-DROPDOWN":
            at_end = browser.js(f"{inside}.selectedIndex === {inside}.options.length - 1")
            browser.press("ArrowUp" if at_end else "ArrowDown")
        case "MARIMO-TEXT":
            browser.call("Input.insertText", text=" pain")
            browser.js(f"{inside}.blur()")
    until(lambda: another(browser, before))


def move_to_its_ends(browser, number):
    """Move a slider to its end and to its beginning."""
    inside = f"document.querySelectorAll('marimo-slider')[{number}].shadowRoot.querySelector('[role=slider]')"
    for key, end in (("End", "Max"), ("Home", "Min")):
        before = browser.js(FIGURES)
        if browser.js(f"{inside}.ariaValueNow !== {inside}.ariaValue{end}"):
            browser.js(f"{inside}.focus()")
            browser.press(key)
            waited_for(lambda: another(browser, before), seconds=10)  # noqa: B023


def waited_for(condition, seconds):
    """Whether a condition came to hold in this time."""
    try:
        return until(condition, seconds)
    except TimeoutError:
        return False


def another(browser, before):
    """Whether a figure has changed, and none has gone; no cell may fail meanwhile."""
    failed, now = browser.js(FAILED), browser.js(FIGURES)
    assert failed == []
    return now != before and len(now) == len(before)


@pytest.mark.parametrize(
    ("style", "whole"),
    [
        ("", True),
        ("width: 2000px", False),
        ("width: 400px", False),
        ("width: 50px; white-space: nowrap; overflow-x: auto", False),
        ("width: 50px; white-space: nowrap; overflow: hidden", False),
        ("width: 50px; height: 20px; overflow-y: clip", False),
    ],
)
def test_what_is_cut_is_noticed(style, whole, browser, tmp_path):
    (tmp_path / "page.html").write_text(f"{VIEWPORT}<body><p style='{style}'>some words that are long", "utf-8")
    browser.look(PHONE)
    browser.open((tmp_path / "page.html").as_uri())
    assert (browser.cut() == []) == whole


def test_a_cell_that_fails_is_seen_in_the_browser(browser, port, tmp_path, monkeypatch):
    one, commands = failing_lesson(tmp_path, 1, "2 + 2 == 5"), []
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr("tinydx.lessons.commands.find", lambda name: one)
    monkeypatch.setattr("tinydx.lessons.commands.subprocess.run", lambda command, **_: commands.append(command) or done)
    assert cli.main(["lesson", "1", "--no-browser", "--port", str(port)]) == 0
    with served(commands[0], port, tmp_path) as url:
        browser.open(url)
        failed = until(lambda: [text for text in browser.js(FAILED) if text], seconds=60)
        assert len(failed) == 1 and "assert 2 + 2 == 5" in failed[0]
        browser.open("about:blank")


class served:
    """A command that serves a lesson at a port of this machine, but opens no browser; gives the address."""

    def __init__(self, command, port, folder):
        self.command, self.port, self.log = command, port, folder / "log"

    def __enter__(self):
        with self.log.open("w") as log:
            log_to = {"stdout": log, "stderr": log}
            self.process = subprocess.Popen(self.command, env=os.environ | OLD, **log_to, start_new_session=True)
        until(self.answers)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)  # the command, and the server that it started
        self.process.wait(timeout=60)
        until(lambda: not self.answers())

    def answers(self):
        """Whether a server listens."""
        assert self.process.poll() is None or self.process.returncode == -signal.SIGTERM, self.log.read_text("utf-8")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
