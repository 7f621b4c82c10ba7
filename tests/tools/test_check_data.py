"""Covers runs/data_plan.py.

The check-data command: reports, exit codes, configs, bad input; and that its cleaned copy trains.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pocketvision.tools.check_data import main as check_data
from pocketvision.tools.train import main as train

SMALL = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(96,96)", "model.weights=None"]


@pytest.fixture
def broken(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A COCO set with a truncated image, a swapped box, and one that names no class."""
    root = tmp_path / "broken <&> set"
    shutil.copytree(tiny("coco"), root)
    (root / "train" / "2.jpg").write_bytes((root / "train" / "2.jpg").read_bytes()[:-300])
    content = json.loads((root / "instances_train.json").read_text())
    content["annotations"][0]["bbox"] = [60, 50, -30, -20]
    content["annotations"].append({**content["annotations"][1], "id": 99, "category_id": 4})
    (root / "instances_train.json").write_text(json.dumps(content))
    return root


def test_reports_exit_code_and_a_cleaned_copy_that_trains(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, fixed = tmp_path / "reports", tmp_path / "fixed"
    assert check_data([str(broken), "--output", str(output), "--fix", str(fixed)]) == 1
    said = capsys.readouterr()
    assert "Box has swapped corners: 1 (--fix: sorted)" in said.out and "annotation 99" in said.out
    assert f"next: pocketvision train --data {fixed}\n" in said.out
    assert said.err.splitlines()[-1].startswith(f"error: {broken} has 2 errors")
    report = json.loads((output / "report.json").read_text())
    assert report["num_errors"] == 2 and {"image_truncated", "box_swapped", "class_unknown"} <= set(
        report["kinds"]
    )
    row = next(row for row in report["findings"] if row["kind"] == "box_swapped")
    assert (
        row["file"] == str(broken / "instances_train.json")
        and row["where"] == "annotation 1"
        and row["fixable"]
    )
    command = [
        "ssdlite_v3_small_coco",
        f"data.root={fixed}",
        *SMALL,
        "trainer.max_steps=1",
        "trainer.limit_val_batches=0",
    ]
    assert train([*command, "--run-dir", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert check_data([str(fixed), "--output", str(output)]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_the_page_needs_nothing_else(broken: Path, tmp_path: Path) -> None:
    check_data([str(broken), "--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")])
    page = (tmp_path / "a.html").read_text()
    assert (tmp_path / "a.json").is_file() and not Path("out", "check", broken.name).exists()
    assert not re.search(r"https?://|<script|<link", page)
    assert "broken &lt;&amp;&gt; set" in page and "<&>" not in page
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) > 6 and page.count("<img") == len(pictures)
    for data in pictures:
        Image.open(io.BytesIO(base64.b64decode(data))).load()


@pytest.mark.parametrize(
    ("config", "layout", "words"),
    [
        ("ssdlite_v2_coco", "coco", "config"),
        ("lraspp_v2_camvid", "masks", "mask_folder, segmentation"),
        ("classifier_v3_small_imagenet", "image_folder", "image_folder, classification"),
    ],
)
def test_a_config_says_what_to_expect(
    config: str, layout: str, words: str, tiny: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    overrides = [f"data.root={tiny(layout)}"]
    if layout == "coco":
        overrides.append("model.image_size=(256,256)")
    check_data([config, *overrides, "--output", str(tmp_path)])
    said = capsys.readouterr().out
    assert words in said
    if layout == "coco":
        assert "Anchors at 256x256" in said and "config" in said
    if layout == "masks":
        assert "class_names" not in json.loads((tmp_path / "report.json").read_text())["kinds"]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("coco", []),
        ("masks", ["--task", "segmentation"]),
        ("image_folder", ["classifier_v3_small_imagenet"]),
    ],
)
def test_what_is_next_trains(
    layout: str, words: list[str], tiny: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    root = tmp_path / "my data"
    shutil.copytree(tiny(layout), root)
    source = [*words, f"data.root={root}"] if layout == "image_folder" else [str(root), *words]
    assert check_data([*source, "--output", str(tmp_path / "out")]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    first, second, *typed = shlex.split(line.removeprefix("next: "))
    assert (first, second) == ("pocketvision", "train")
    assert train([*typed, "model.weights=None", "--print-config"]) == 0


def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny: Callable[[str], Path]
) -> None:
    taken = tmp_path / "taken"
    (taken / "inner").mkdir(parents=True)
    (taken / "inner" / "readme.md").write_text("nothing")
    root = str(tiny("coco"))
    for arguments, text in (
        (["no/such/folder"], "no data folder no/such/folder"),
        (["quickstrat"], "Did you mean 'quickstart'?"),
        (["quickstart"], "generated"),
        ([str(taken)], "no data set of a known format"),
        ([root, "data.root=x"], "is a data set"),
        ([root, "--fix", str(taken)], "exists already"),
        ([root, "--fix", f"{root}/clean"], "lies inside"),
        (["ssdlite_v2_coco", "data.rot=x"], "Did you mean 'root'?"),
    ):
        assert check_data(arguments) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and text in error, error


def test_file_names_that_are_no_text(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    root = tmp_path / "classes"
    shutil.copytree(tiny("image_folder"), root)
    name = b"caf\xe9 \xff.jpg".decode("utf-8", "surrogateescape")
    try:
        (root / "train" / "n00000000" / name).write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system has no such names")
    assert check_data([str(root), "--output", str(tmp_path / "out"), "--fix", str(tmp_path / "fixed")]) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [
        row["file"].endswith(name) for row in report["findings"] if row["kind"] == "image_unreadable"
    ] == [True]
