"""Counted lines of what a reader did."""

from pocketvision.datasets.readers.counted import Counted


def test_a_line_a_kind_with_the_first_place() -> None:
    done = Counted()
    assert not done and done.lines() == ()
    for place in ("a.xml", "b.xml"):
        done.add("boxes were turned", place)
    done.add("images were joined", "c.json")
    assert done.lines() == ("2 boxes were turned (first: a.xml).", "1 images were joined (first: c.json).")
