"""benchmarks/unlabelled.py and ranking.py: data, runs that are not made twice, and the table, in small."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pocketvision.datasets.formats.voc import read_voc
from pocketvision.evaluation.per_image_results import DetectionImages

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("few_labels")
    monkeypatch.setattr(module, "NUM_LABELED", 2)
    monkeypatch.setattr(module, "NUM_VAL", 1)
    yield module
    for name in ("few_labels", "unlabelled", "ranking"):
        sys.modules.pop(name, None)


def found(hits: int) -> DetectionImages:
    """Three pictures with a box each, of which ``hits`` are found."""
    num = np.arange(3)
    none = np.zeros(3, dtype=np.int32)
    every = np.uint64(2**40 - 1)
    right = np.where(num < hits, every, np.uint64(0))
    return DetectionImages(
        num, num.astype(str), np.array(["RBC"]), num.astype(np.int32), none, right,
        np.full(3, every), num.astype(np.int32), none, np.ones(3, np.uint8), *(none.astype(np.int64),) * 3,
        np.zeros((3, 4), np.float32),
    )  # fmt: skip


@pytest.fixture
def calls(few: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would run; what they would leave is there."""
    made: list[list[str]] = []

    def call(tool: str, *words: str | Path) -> None:
        made.append([tool, *map(str, words)])
        output = Path(str(words[words.index("--run-dir" if tool == "train" else "--output") + 1]))
        output.mkdir(parents=True)
        hits = 3 if "unlabelled" in str(output.parent) and "teacher" not in output.name else 2
        if tool == "rank":
            pool = sorted(Path(str(words[1])).glob("*.jpg"), reverse=True)
            (output / "ranked.txt").write_text("\n".join(map(str, pool[: int(str(words[5]))])))
        (output / "metrics.json").write_text(json.dumps({"AP": hits / 3, "AP50": hits / 3}))
        (output / "unlabelled.json").write_text('{"outcome": {}}')
        found(hits).write(output)

    monkeypatch.setattr(few, "call", call)
    return made


def run(name: str, bccd: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [name, str(bccd), str(output), "--seeds", "0", "1"])
    module.main()


def test_the_three_parts_share_no_picture(
    few: ModuleType, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    bccd = tiny("voc")
    names = few.shuffled(bccd, 0)
    assert sorted(names) == sorted(few.names_of(bccd, "trainval"))
    assert len({tuple(few.shuffled(bccd, seed)) for seed in range(5)}) > 1
    data = few.write_data(bccd, tmp_path / "data", names[:2], more=names[2:3])
    parts = {split: few.names_of(data, split) for split in ("train", "val")}
    assert parts == {"train": [names[0], names[2]], "val": [names[1]]}
    for split, own in parts.items():
        assert {Path(path).stem for path in read_voc(data, split).image_paths} == set(own)
    pictures = few.write_pictures(bccd, tmp_path / "pictures", names[3:])
    assert {path.name for path in pictures.iterdir()} == {f"{name}.jpg" for name in names[3:]}


@pytest.mark.parametrize(("name", "num_calls"), [("unlabelled", 3), ("ranking", 7)])
def test_all_is_run_once_and_told(
    name: str, num_calls: int, calls: list[list[str]], tiny: Callable[[str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run(name, tiny("voc"), tmp_path, monkeypatch)
    assert len(calls) == 2 * num_calls
    first = capsys.readouterr().out
    run(name, tiny("voc"), tmp_path, monkeypatch)
    assert len(calls) == 2 * num_calls and capsys.readouterr().out == first
    results = json.loads((tmp_path / "results.json").read_text())
    if name == "unlabelled":
        assert results["unlabelled"]["AP_gain"] == pytest.approx(1 / 3, abs=0.01)
    else:
        train = {Path(words[-1]).name: words for words in calls if words[0] == "train"}
        assert set(train) == {f"{kind}_{seed}" for kind in ("plain", "random", "ranked") for seed in (0, 1)}
        assert results["50 ranked"]["AP_gain"] == 0


def test_the_mean_of_runs_is_the_mean(few: ModuleType) -> None:
    score = few.MeanScore([found(3), found(1)])
    every = np.ones(3, dtype=np.int64)
    single = [few.MeanScore([found(hits)])(every)["AP"] for hits in (3, 1)]
    assert score(every)["AP"] == pytest.approx(np.mean(single))
