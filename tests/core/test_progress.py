"""Progress as lines of a log and as a bar in a terminal."""

from __future__ import annotations

import io

import pytest

from pocketvision.core.progress import Progress, track


def test_a_line_says_how_much_time_left_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("predict", 40, "images")
    progress.start = progress.last = progress.start - 20
    progress.advance(10)
    progress.advance(1)
    assert capsys.readouterr().err == "predict: 10 of 40 images, 1:00 left, 0.5 images/s\n"
    endless = Progress("predict", None, "images")
    endless.start = endless.last = endless.start - 20
    endless.advance(10)
    assert capsys.readouterr().err == "predict: 10 images, 0.5 images/s\n"


def test_what_was_done_before_took_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    progress = Progress("training", 7230, "steps", rate_unit="images", done=30, stream=stream)
    progress.start = progress.last = progress.start - 10
    progress.factor = 8
    progress.advance(10, "epoch 1")
    assert stream.getvalue() == "training: 40 of 7230 steps, 1:59:50 left, 8.0 images/s, epoch 1\n"
    assert capsys.readouterr() == ("", "")


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), 3, "images", "files")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """Takes what a terminal would show."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_sentences_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    with pytest.raises(ValueError), Progress("scoring", 4, "batches", stream=terminal) as progress:
        progress.advance(2, "note [1/2]")
        progress.say("skipped: [bold]a.jpg[/bold]")
        raise ValueError
    assert progress.bar is None
    shown = terminal.getvalue()
    assert "scoring: 2 of 4 batches" in shown and "note [1/2]" in shown
    assert "skipped: [bold]a.jpg[/bold]" in shown


def test_a_notebook_shows_one_line_that_changes(
    notebook: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("scoring", 4, "batches") as progress:
        progress.advance(1, "quick")
        progress.last -= 1
        progress.advance(2, "later")
        progress.advance(1, "done")
    assert [line.partition(",")[0] for line in notebook] == [
        "scoring: 0 of 4 batches", "scoring: 3 of 4 batches", "scoring: 4 of 4 batches",
    ]  # fmt: skip
    assert notebook[-1].endswith("done") and capsys.readouterr() == ("", "")
