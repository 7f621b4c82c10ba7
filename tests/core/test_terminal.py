"""Names in data sets can't write on the terminal what they like."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.terminal import SafeFormatter, printable
from pocketvision.evaluation.evaluate import metrics_table

EVIL = "\x1b[2Jcat\r\nskipped: everything\x9b31m\u202etxt\u2028"


@pytest.mark.parametrize("text", ["Straße 街.png", "a b~", "", "שלום", "café 🐱"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) == text


def test_what_is_no_text_is_an_escape() -> None:
    assert printable(EVIL) == "\\x1b[2Jcat\\r\\nskipped: everything\\x9b31m\\u202etxt\\u2028"
    assert printable("a\udcffb") == "a\\udcffb" and printable(Path("a\tb")) == "a\\tb"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), *range(0x2028, 0x202F)):
        assert printable(chr(code)).isascii() and printable(chr(code)).isprintable()


def test_messages_are_of_one_line() -> None:
    record = logging.LogRecord("pocketvision", logging.INFO, "", 0, "skipped: %s", (EVIL,), None)
    assert SafeFormatter().format(record) == f"skipped: {printable(EVIL)}"


def test_errors_are_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def refuse(argv: object = None) -> None:
        raise InputError(f"{EVIL}.jpg is broken.")

    @command
    def miss(argv: object = None) -> None:
        raise FileNotFoundError(2, "No such file or directory", EVIL)

    assert refuse() == miss() == 1
    first, second, rest = capsys.readouterr().err.split("\n")
    assert first == f"error: {printable(EVIL)}.jpg is broken." and printable(EVIL) in second and rest == ""


def test_tables_of_classes(tiny: Callable[[str], Path]) -> None:
    rows = {EVIL: {"AP": 0.5}, "dog": {"AP": 0.25}}
    lines = metrics_table({"AP": 0.375, "num_images": 3, "per_class": rows}).splitlines()
    assert sum(line.startswith(printable(EVIL)) for line in lines) == 1 and len(lines) == 6


@pytest.mark.slow
def test_the_commands(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Class and file names of a data set through train --data, check-data and their errors."""
    root = tmp_path / "data"
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        for file in (tiny("coco") / split).iterdir():
            (root / split / file.name).write_bytes(file.read_bytes())
        content = json.loads((tiny("coco") / f"instances_{split}.json").read_text())
        content["categories"][0]["name"] = EVIL
        image = content["images"][0]
        os.rename(root / split / image["file_name"], root / split / f"{EVIL}.jpg")  # noqa: PTH104
        image["file_name"] = f"{EVIL}.jpg"
        (root / f"instances_{split}.json").write_text(json.dumps(content))
    with (root / "train" / f"{EVIL}.jpg").open("wb") as file:
        file.write(b"no image")
    code = "import sys; from pocketvision.tools.{0} import main; sys.exit(main(sys.argv[1:]))"
    for tool, words in (("train", ["--print-config", "--data", str(root)]), ("check_data", [str(root)])):
        command = [sys.executable, "-c", code.format(tool), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
        shown = (done.stdout + done.stderr).decode()
        assert "skipped: everything" in shown and "Traceback" not in shown
        assert all(line.isprintable() or "\t" in line for line in shown.splitlines())
        assert not any(line.startswith("skipped: everything") for line in shown.splitlines())
