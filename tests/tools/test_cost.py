"""The cost command: exact against the reference's counts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.config import parse_overrides
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.reference_models import ReferenceModel, reference_model
from pocketvision.tools.cost import main

EXPECTED = Path(__file__).parents[2] / "../shared/reference/expected_costs.json"
NAMES = {
    "v1": "mobilenet_v1",
    "v2": "mobilenet_v2",
    "v3_large": "mobilenet_v3_large",
    "v3_small": "mobilenet_v3_small",
    "v3l": "mobilenet_v3_large",
    "v3s": "mobilenet_v3_small",
}


@lru_cache(maxsize=1)  # rows of one model follow each other
def build(command: str) -> ReferenceModel:
    name, *options = command.split()
    return reference_model(name, parse_overrides(options))


def model_of(key: str) -> tuple[str, tuple[int, int]]:
    """A key of the reference, as ``v2_a0.75_192``, as a command and an image size.

    The reference counts LR-ASPP with one gate for the map, as its training on 769x769 has: pool_size=None.
    """
    *words, last = key.removeprefix("cs_").removeprefix("voc_").split("_")
    height, _, width = last.partition("x")
    rest = "_".join(words)
    backbone = re.match(r"v3_large|v3_small|v3l|v3s|v1|v2", rest)
    assert backbone is not None
    found = [NAMES[backbone[0]]]
    rules = {
        r"a([\d.]+)": "width_mult={}",
        r"torchvisionrule": "width_rule=torchvision",
        r"minimal": "minimalistic=True",
        r"rf2": "reduced_tail=True" if backbone[0] == "v2" else "reduced_tail=segmentation",
        r"_((?:lr|r|)aspp)": "head={}",
        r"aspp(\d+)": "channels={}",
        r"_lraspp": "pool_size=None",
        r"os(\d+)": "output_stride={}",
        r"lastscaled": "hidden_channels=1600" if "large" in key else "hidden_channels=1280",
    }
    for pattern, option in rules.items():
        match = re.search(pattern, rest[len(backbone[0]) :])
        if match:
            found.append(option.format(*match.groups()))
    if key.startswith(("cs_", "voc_")):
        found.append(f"num_classes={21 if key.startswith('voc_') else 19}")
    return " ".join(found), (int(height), int(width or height))


@pytest.mark.slow
def test_every_row_of_the_reference_is_equal() -> None:
    if not EXPECTED.is_file():
        pytest.skip(f"the project's reference {EXPECTED} is not part of the repository")
    rows: dict[str, dict[str, int]] = json.loads(EXPECTED.read_text())
    assert len(rows) > 100
    found = {}
    for key in sorted(rows, key=model_of):
        command, size = model_of(key)
        cost = measure_cost(build(command).model, size)
        found[key] = {
            "params": cost.params,
            "params_nobn": cost.params_without_norm,
            "madds": cost.madds,
        }
    assert found == rows


@pytest.mark.parametrize(
    ("size", "num_gates"), [((512, 1024), 1), ((1024, 2048), 1 * 4), ((1025, 2049), 2 * 5)]
)
def test_the_papers_window_has_a_gate_every_16_rows_and_20_columns(
    size: tuple[int, int], num_gates: int
) -> None:
    command = "mobilenet_v3_large head=lraspp reduced_tail=segmentation output_stride=16"
    one = measure_cost(build(f"{command} pool_size=None").model, size)
    several = measure_cost(build(command).model, size)
    assert several.params == one.params
    assert several.madds - one.madds == (num_gates - 1) * 480 * 128


# The reference's table of SSDLite at 320x320: parameters, GMACs and anchors, by classes and anchor layout.
SSDLITE = (
    ("mobilenet_v3_large reduced_tail=detection", 90, "torchvision", 3440060, 0.583, 3234),
    ("mobilenet_v3_large reduced_tail=detection", 90, "tensorflow",  3248255, 0.507, 2034),
    ("mobilenet_v3_large",                        90, "tensorflow",  5006735, 0.613, 2034),
    ("mobilenet_v3_large",                        90, "torchvision", 5198540, 0.690, 3234),
    ("mobilenet_v3_small reduced_tail=detection", 90, "tensorflow",  1785743, 0.162, 2034),
    ("mobilenet_v3_small reduced_tail=detection", 90, "torchvision", 1868108, 0.195, 3234),
    ("mobilenet_v3_small",                        90, "tensorflow",  2518271, 0.210, 2034),
    ("mobilenet_v2",                              90, "tensorflow",  4500543, 0.804, 2034),
    ("mobilenet_v2",                              90, "torchvision", 4664988, 0.870, 3234),
    ("mobilenet_v1",                              90, "tensorflow",  5246911, 1.322, 2034),
    ("mobilenet_v1",                              90, "torchvision", 5393116, 1.381, 3234),
    ("mobilenet_v3_large reduced_tail=detection", 80, "torchvision", 3301460, 0.563, 3234),
    ("mobilenet_v2",                              80, "torchvision", 4484148, 0.848, 3234),
    ("mobilenet_v3_small reduced_tail=detection", 80, "torchvision", 1764068, 0.186, 3234),
    ("mobilenet_v1",                              80, "torchvision", 5231476, 1.361, 3234),
)  # fmt: skip


@pytest.mark.parametrize(("model", "num_classes", "anchors", "params", "gmacs", "num_anchors"), SSDLITE)
def test_ssdlite(
    model: str, num_classes: int, anchors: str, params: int, gmacs: float, num_anchors: int
) -> None:
    detector = build(f"{model} head=ssdlite num_classes={num_classes} anchors={anchors}")
    cost = measure_cost(detector.model, detector.image_size)
    assert (cost.params, round(cost.madds / 1e9, 3)) == (params, gmacs)
    assert cost.ops[-1].output_shape == (1, num_anchors, 4)


def test_detection_at_300_has_the_published_anchors() -> None:
    for layout, num_anchors in (("tensorflow", 1917), ("torchvision", 3000)):
        detector = build(f"mobilenet_v2 head=ssdlite anchors={layout}")
        assert measure_cost(detector.model, (300, 300)).ops[-1].output_shape == (1, num_anchors, 4)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_of_a_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("mobilenet_v3_small", "width_mult=0.75", "image_size=160x96", capsys=capsys)
    assert found["params"] == 2041872 and found["image_size"] == [160, 96]
    assert sum(layer["madds"] for layer in found["layers"]) == found["madds"]
    same = run("mobilenet_v3_small", "width_mult=0.75", "image_size=(160,96)", capsys=capsys)
    assert same == found


def test_json_of_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("ssdlite_v3_large_coco", "num_classes=90", capsys=capsys)
    assert found["params"] == 3440060 and round(found["madds"] / 1e9, 3) == 0.583
    smaller = run("ssdlite_v2_coco", "num_classes=3", "image_size=96", "model.width_mult=0.5", capsys=capsys)
    assert smaller["image_size"] == [96, 96] and smaller["params"] < 1_600_000


def test_the_table_ends_with_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mobilenet_v2", "image_size=224"]) == 0
    *_, total, blank, summary = capsys.readouterr().out.rstrip().split("\n")
    assert total.split()[:3] == ["total", "3,504,872", "300,774,272"] and blank == ""
    assert "3.50M parameters" in summary and "300.8M multiply-adds" in summary


def test_split_shows_peaks_whole_and_split(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mobilenet_v2", "--split", "3"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert rows["backbone.blocks.1"] == ["3", "6.02", "3.01", "1.51", "3.11", "1.56", "0.78"]
    assert rows["peak"] == ["6.02", "3.01", "1.51", "3.21", "1.61", "0.80"]
    assert "blocks in 3 groups: 2. The peak falls by 47 %, for 0 more multiply-adds" in text
    found = run("ssdlite_v2_coco", "num_classes=3", "--split", "4", capsys=capsys)
    assert found["plan"]["blocks"] and found["time_loss"] == {}
    assert max(found["plan"]["after"].values()) < max(found["plan"]["before"].values())


def test_paper_marks_errata(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classifier_v2_imagenet", "--paper"]) == 0
    text = capsys.readouterr().out
    (row,) = [line for line in text.splitlines() if "6.9M" in line and "V2 table 4" in line]
    number = re.search(r"-11.47 % +(\[\d+\])$", row)
    assert number is not None and f"\n{number[1]} " in text
    assert "mobilenet_v1" not in text and "head=" not in text


def test_paper_of_a_config_is_of_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("ssdlite_v3_large_coco", "--paper", capsys=capsys)
    assert all("mobilenet_v3_large head=ssdlite" in row["model"] for row in found)
    assert [row["source"] for row in found] == (
        ["V3 table 6"] * 4 + ["TensorFlow"] * 3 + ["Paddle"] * 2 + ["torchvision"] * 2
    )


def test_paper_of_a_dense_config_shows_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gfl_v3_small_coco", "--paper"]) == 0
    text = capsys.readouterr().out
    (row,) = [line.split() for line in text.splitlines() if "NanoDet-Plus-m" in line and "320x320" in line]
    assert row[-4:] == ["1.17M", "0.9G", "450M", "27.0"]
    assert "PicoDet-S" in text and "head=ssdlite" not in text
    found = run("gfl_v3_small_coco", "--paper", capsys=capsys)
    assert [row["madds"] for row in found][:2] == [450e6, 760e6] and found[0]["flops"] == "0.9"


def test_the_docs_show_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ssdlite_v3_large_coco", "--paper"]) == 0
    assert main(["mobilenet_v2", "image_size=96"]) == 0
    printed = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    docs = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
    assert printed <= {" ".join(line.split()) for line in docs.splitlines()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mobilenet_v4"], "Did you mean 'mobilenet_v"),
        (["ssdlite_v2_cocoo"], "Did you mean 'ssdlite_v2_coco'?"),
        ([], "Name a config or a backbone"),
        (["quickstart"], "num_classes=80"),
        (["quickstart", "num_classes=many"], "num_classes is 'many'"),
        (["quickstart", "num_classes=3", "model.wdith_mult=2"], "Did you mean 'width_mult'?"),
        (["quickstart", "num_classes=3", "model.width_mult=wide"], "can't be built"),
        (["mobilenet_v2", "wdith_mult=2"], "Did you mean 'width_mult'?"),
        (["mobilenet_v2", "output_stride=7"], "choose 8, 16 or 32"),
        (["mobilenet_v2", "image_size=axb"], "512x1024"),
        (["mobilenet_v2", "image_size=0"], "512x1024"),
        (["mobilenet_v2", "head=yolo"], "choose from classifier"),
        (["mobilenet_v2", "head=ssdlite", "anchors=x"], "choose from tensorflow"),
        (["mobilenet_v2", "head=ssdlite", "predictor_size=1"], "head=ssd has 1 or 3"),
        (["mobilenet_v2", "variant=shallow"], "of mobilenet_v1 only"),
        (["mobilenet_v1", "variant=deep"], "choose full_convolutions or shallow"),
        (["mobilenet_v2", "width_mult=2", "--paper"], "leave out width_mult=2"),
        (["quickstart", "--paper"], "No published costs"),
        (["mobilenet_v2", "--split", "1"], "from 2, or auto"),
        (["mobilenet_v2", "--split", "many"], "from 2, or auto"),
        (["mobilenet_v1", "--split", "2"], "no inverted residual"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ") and sentence in said and "\n" not in said


def test_help_and_unknown_names_answer_before_torch() -> None:
    code = (
        "import sys; from pocketvision.tools.cost import main\n"
        "print(main(['mobilenet_v9'])); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1", "False"]


def test_a_backbone_needs_torch_and_not_its_compiler() -> None:
    """Which takes longer to import than torch itself."""
    code = (
        "import sys; from pocketvision.tools.cost import main\n"
        "main(['mobilenet_v3_small', '--json'])\n"
        "heavy = {'torchvision', 'lightning', 'torch._dynamo', 'torch._inductor'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
