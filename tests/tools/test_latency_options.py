"""What ``adapt`` and ``search`` take and refuse alike."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.errors import InputError
from pocketvision.tools import adapt, search
from pocketvision.tools.latency_options import (
    add_latency_options,
    keep_options,
    milliseconds,
    parse_latency,
    take_options,
    target_seconds,
)

VERBS = {"adapt": adapt, "search": search}
TO_NEW = ["--latency", "0.8x", "--run-dir", "new"]
BAD = [
    (["quickstart", "--latency", "0.8x"], "--run-dir"),
    (["quickstart", "--run-dir", "new"], "--latency"),
    (["quickstart", "--latency", "fast", "--run-dir", "new"], "--latency is fast"),
    (["quickstart", "--latency", "1.5x", "--run-dir", "new"], "below 1"),
    (["quickstart", *TO_NEW, "--steps", "0"], "--steps is 0"),
    (["quickstart", *TO_NEW, "--threads", "0"], "--threads is 0"),
    (TO_NEW, "what to begin with"),
    (["--resume", "new"], "not begun by {verb}"),
]
OWN = [
    ("adapt", "--delta", "2", "--delta is 2"),
    ("adapt", "--at-once", "0", "--at-once is 0"),
    ("adapt", "--at-once", "9", "--tried 9"),
    ("search", "--candidates", "0", "--candidates is 0"),
    ("search", "--exponent", "1", "--exponent is 1"),
]


@pytest.mark.parametrize(
    ("verb", "words", "sentence"),
    [(verb, *bad) for verb in VERBS for bad in BAD]
    + [(verb, ["quickstart", *TO_NEW, *option], sentence) for verb, *option, sentence in OWN],
)
def test_bad_options_are_a_sentence(
    verb: str, words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert VERBS[verb].main(words) == 1
    assert sentence.format(verb=verb) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", VERBS)
def test_a_table_that_is_not_there_leaves_nothing_behind(
    verb: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert VERBS[verb].main([str(trained), *TO_NEW, "--table", "no.json"]) == 1
    assert "no.json" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_latency_is_a_share_or_a_time() -> None:
    assert parse_latency("0.8x") == (0.8, True)
    assert parse_latency("12ms") == (pytest.approx(0.012), False)
    assert parse_latency("1.5s") == (1.5, False)
    assert target_seconds("0.5x", 0.03) == 0.015 and target_seconds("2s", 0.03) == 2.0
    assert milliseconds(0.01234) == "12.34 ms"


def test_options_and_table_are_there_when_it_goes_on(
    tmp_path: Path, device_table: Callable[[dict[str, Any]], Path]
) -> None:
    parser = argparse.ArgumentParser()
    add_latency_options(parser)
    parser.set_defaults(images=3, steps=7, own="kept", other="not kept")
    file = device_table({})
    begun = parser.parse_args(["RUN", "a.b=1", "--latency", "0.8x", "--table", str(file)])
    keep_options(begun, tmp_path, "own")
    assert json.loads((tmp_path / "latency.json").read_text()) == json.loads(file.read_text())
    again = parser.parse_args(["--resume", str(tmp_path)])
    again.own = again.other = None
    take_options(again, tmp_path, "adapt")
    assert (again.source, again.overrides, again.latency, again.own) == ("RUN", ["a.b=1"], "0.8x", "kept")
    assert again.run_dir == tmp_path and again.other is None
    with pytest.raises(InputError, match="not begun by search"):
        take_options(again, tmp_path / "other", "search")
