"""A .pt2 file from a stranger runs nothing of its own: it holds tensors and a graph."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.opening import open_runtime

Exported = Callable[..., Path]
CONFIG = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
PROGRAM = "models/model.json"
IS_OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8)
pytestmark = pytest.mark.skipif(IS_OLD, reason="this PyTorch writes the archive of before 2.8")


class Payload:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def archive(exported: Exported, tmp_path: Path) -> Callable[..., Path]:
    """``archive(changed={...}, added={...})``: an export with files replaced and added."""
    source = exported("segmentation", "pt2", dynamic_size=True)

    def make(changed: dict[str, Callable[[Any], Any]], added: dict[str, bytes]) -> Path:
        path = tmp_path / "m.pt2"
        with zipfile.ZipFile(source) as before, zipfile.ZipFile(path, "w") as after:
            for name in before.namelist():
                content = before.read(name)
                inner = name.partition("/")[2]
                if inner in added:
                    continue
                if inner in changed:
                    content = json.dumps(changed[inner](json.loads(content))).encode()
                after.writestr(name, content)
            root = before.namelist()[0].partition("/")[0]
            for name, content in added.items():
                after.writestr(f"{root}/{name}", content)
        return path

    return make


def first_node(program: Any) -> Any:
    return program["graph_module"]["graph"]["nodes"][0]


def with_target(target: str) -> Callable[[Any], Any]:
    def change(program: Any) -> Any:
        first_node(program)["target"] = target
        return program

    return change


def with_expression(text: str) -> Callable[[Any], Any]:
    def change(program: Any) -> Any:
        values = program["graph_module"]["graph"]["sym_int_values"]
        values["s99"] = {"as_expr": {"expr_str": text, "hint": None}}
        return program

    return change


def with_name(name: str) -> Callable[[Any], Any]:
    def change(program: Any) -> Any:
        program["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = name
        return program

    return change


def pickled_weight(config: Any) -> Any:
    next(iter(config["config"].values()))["use_pickle"] = True
    return config


def opaque_constant(config: Any) -> Any:
    config["config"]["x"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
    return config


def test_an_export_is_opened(archive: Callable[..., Path]) -> None:
    open_runtime(archive({}, {}))


CODE = "__import__('pathlib').Path('MARK').touch()"
CASES: dict[str, tuple[dict[str, Callable[[Any], Any]], tuple[str, ...], str]] = {
    "a pickled weight": ({CONFIG: pickled_weight}, (), "is a pickle"),
    "an opaque object": (
        {CONSTANTS: opaque_constant},
        ("data/constants/opaque_obj_0",),
        "opaque_obj_0|pickle",
    ),
    "sample inputs": ({}, ("data/sample_inputs/model.pt",), "more than tensors"),
    "old weights": ({}, ("data/weights/model.pt",), "neither tensors nor a graph"),
    "a library": ({}, ("data/aotinductor/model/x.so",), "neither tensors nor a graph"),
    "a function": ({PROGRAM: with_target("torch.hub.load")}, (), "calls 'torch.hub.load'"),
    "an attribute": ({PROGRAM: with_target("_operator.attrgetter")}, (), "calls"),
    "another file": ({PROGRAM: with_target("torch.ops.aten.from_file.default")}, (), "calls"),
    "an expression": ({PROGRAM: with_expression(CODE)}, (), "has the expression"),
    "a call": ({PROGRAM: with_expression("open('MARK', 'w')")}, (), "has the expression"),
    "a name": ({PROGRAM: with_name(f"x): {CODE}\n#")}, (), "has the name"),
}


@pytest.mark.parametrize("case", CASES)
def test_code_is_refused_and_not_run(case: str, archive: Callable[..., Path], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    changed, added, sentence = CASES[case]

    def marked(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda value: json.loads(json.dumps(change(value)).replace("MARK", str(mark)))

    content = pickle.dumps(Payload(mark))
    path = archive({name: marked(change) for name, change in changed.items()}, dict.fromkeys(added, content))
    with pytest.raises(
        InputError, match=f"m.pt2 is not opened, as it could run code of its own .*({sentence})"
    ):
        open_runtime(path)
    assert not mark.exists()


def test_guards_of_the_file_are_not_run(archive: Callable[..., Path], tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def guarded(program: Any) -> Any:
        return {**program, "guards_code": [CODE.replace("MARK", str(mark)), *program.get("guards_code", [])]}

    path = archive({PROGRAM: guarded}, {})
    runtime = open_runtime(path)
    runtime(torch.zeros(1, 3, *runtime.artifact.image_size))
    assert not mark.exists()


def test_a_pickle_of_tensors_only_is_one_of_before_2_8() -> None:
    from pocketvision.deploy.runtimes.pt2_archive import UnsafeArchiveError, _check_pickle

    good, bad = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(2)}, good)
    torch.save({"a": Payload(Path("nowhere"))}, bad)
    _check_pickle(good.getvalue(), "serialized_state_dict.pt")
    with pytest.raises(UnsafeArchiveError, match="more than tensors"):
        _check_pickle(bad.getvalue(), "serialized_state_dict.pt")
    assert not Path("nowhere").exists()
