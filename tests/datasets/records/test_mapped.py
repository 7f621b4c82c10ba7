from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pocketvision.datasets.records.mapped import MappedArray, StringTable, load_arrays, save_arrays

ARRAYS = {
    "boxes": np.arange(40_000, dtype=np.float32).reshape(-1, 4),
    "none": np.zeros((0, 4), dtype=np.float32),
    "crowd": np.arange(7) % 2 == 0,
    "ids": np.array([2**62, -1]),
}
STRINGS = ["train/1.jpg", "", "Straße 街.png", "broken\udcff name"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_arrays(tmp_path / "a.arrays", ARRAYS, {"names": ["x"]})
    return tmp_path / "a.arrays"


def test_round_trip(file: Path) -> None:
    arrays, about = load_arrays(file)
    assert about == {"names": ["x"]} and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array)
        assert not arrays[name].flags.writeable


def test_a_pickle_holds_the_place_only(file: Path) -> None:
    boxes = load_arrays(file)[0]["boxes"]
    pickled = pickle.dumps(boxes)
    assert len(pickled) < 300
    copy = pickle.loads(pickled)
    assert isinstance(copy, MappedArray) and np.array_equal(copy, boxes) and len(pickle.dumps(copy)) < 300


def test_what_is_computed_is_pickled_itself(file: Path) -> None:
    boxes = load_arrays(file)[0]["boxes"]
    for part in (boxes[10:20], boxes[boxes[:, 0] > 39_000], boxes[::1000] + 1, boxes.reshape(-1)[5:9]):
        assert np.array_equal(pickle.loads(pickle.dumps(part)), part)
    assert type(boxes + 1) is np.ndarray and type(boxes.sum()) is np.float32


@pytest.mark.parametrize("change", ["cut", "flip", "magic", "empty", "header"])
def test_damage_is_noticed(file: Path, change: str) -> None:
    content = bytearray(file.read_bytes())
    if change == "flip":
        content[-5000] ^= 1
    elif change == "magic":
        content[6] += 1
    elif change == "header":
        content[9] = 255
    file.unlink()
    file.write_bytes({"cut": content[:-100], "empty": b""}.get(change, content))
    with pytest.raises(ValueError, match=r"damaged|version|cut short|empty file|codec|Expecting"):
        load_arrays(file)


def test_every_changed_byte_of_the_header_is_noticed(tmp_path: Path) -> None:
    """Two class names that had changed places went unnoticed."""
    file = tmp_path / "a.arrays"
    save_arrays(file, {"labels": np.arange(3)}, {"class_names": ["cat", "dog"]})
    content = file.read_bytes()
    end = content.index(b"}}") + 2
    assert content[end - 40 : end].count(b'"cat", "dog"') == 1
    swapped = content.replace(b'"cat", "dog"', b'"dog", "cat"')
    changed = [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(end)]
    for i, other in enumerate((swapped, *changed)):
        path = tmp_path / f"{i}.arrays"
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"damaged|version"):
            load_arrays(path)


def test_strings_are_a_sequence(file: Path) -> None:
    table = StringTable.of(STRINGS)
    assert list(table) == STRINGS == table[:] and table == STRINGS
    assert table[-1] == STRINGS[-1] and table[1:3] == STRINGS[1:3] and len(table) == 4
    assert table != STRINGS[:3] and table != ["a"] * 4 and "" in table and table.index("Straße 街.png") == 2
    assert list(StringTable.of([])) == []
    with pytest.raises(IndexError, match="string 4 of 4"):
        table[4]
    save_arrays(file, {"characters": table.characters, "offsets": table.offsets}, {})
    arrays, _ = load_arrays(file)
    stored = StringTable(arrays["characters"], arrays["offsets"])
    assert stored == STRINGS and pickle.loads(pickle.dumps(stored)) == STRINGS
    assert len(pickle.dumps(stored)) < 500
