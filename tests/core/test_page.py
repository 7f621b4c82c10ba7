"""The page of a report: whole, readable by itself, and safe with any text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from pocketvision.core.page import Section, Verdict, write_page


class Reader(HTMLParser):
    """Collects the texts and the sources of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.sources: list[str] = []
        self.classes: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.sources += [str(values["src"])] if "src" in values else []
        self.classes += [str(values["class"])] if "class" in values else []


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def test_a_page_holds_everything(tmp_path: Path) -> None:
    photo = np.zeros((4, 6, 3), np.uint8)
    table = [("class", "AP"), ("<b>cat & owl", "0.5")]
    write_page(tmp_path / "p.html", "A < B", [Section("Numbers", "some <text>", table, b"png", photo)])
    page = read(tmp_path / "p.html")
    assert {"A < B", "Numbers", "some <text>", "<b>cat & owl", "0.5"} <= set(page.texts)
    assert [source.partition(",")[0] for source in page.sources] == [
        "data:image/png;base64",
        "data:image/jpeg;base64",
    ]
    assert not {"good", "bad"} & set(page.classes) and not list(tmp_path.glob(".*"))


def test_the_verdict_is_on_top(tmp_path: Path) -> None:
    for is_good, name in ((True, "good"), (False, "bad")):
        write_page(tmp_path / "p.html", "title", [Section("later")], Verdict(is_good, "so < it is"))
        page = read(tmp_path / "p.html")
        assert page.classes.count(name) == 1 and len(page.classes) == 1
        assert page.texts.index("so < it is") < page.texts.index("later")
