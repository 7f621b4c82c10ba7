"""Which single-point faults the tests let pass: every mutant of a file meets the file's own tests.

    python benchmarks/mutation.py [losses/ssd.py ...] [--every 1] [--output new.json] [--again old.json]

A mutant changes one operator, comparison, number, flag or call (see ``mutants``). It is compiled in a fork of
a process that has imported the libraries, so that it costs about as much as its tests. docs/mutation.md has
the results, and says of what survives why.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.machinery
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = "tests/losses/test_defaults.py"
DETECTION = "tests/datasets/test_detection.py"
METRIC = ("tests/metrics/test_coco.py", "tests/metrics/test_coco_engine.py")
TESTS: dict[str, Sequence[str]] = {
    "core/boxes.py": ("tests/core/test_boxes.py", DEFAULTS),
    "core/anchors.py": ("tests/core/test_anchors.py",),
    "core/resize.py": (
        "tests/core/test_resize.py", "tests/core/test_label_map.py", "tests/datasets/tiles/test_tiling.py",
    ),
    "core/label_map.py": ("tests/core/test_label_map.py",),
    "core/distributed.py": ("tests/core/test_distributed.py", "tests/tasks/test_accumulation.py"),
    "losses/matcher.py": ("tests/losses/test_matcher.py", DEFAULTS),
    "losses/ssd.py": ("tests/losses/test_ssd.py", DEFAULTS),
    "losses/focal.py": ("tests/losses/test_focal.py", DEFAULTS),
    "losses/box_regression.py": ("tests/losses/test_box_regression.py",),
    "losses/cross_entropy.py": (
        "tests/losses/test_cross_entropy.py", "tests/losses/test_regions.py", DEFAULTS,
    ),
    "losses/classification.py": ("tests/losses/test_classification.py", DEFAULTS),
    "losses/regions.py": ("tests/losses/test_regions.py",),
    "metrics/accuracy.py": ("tests/metrics/test_accuracy.py",),
    "metrics/bootstrap.py": ("tests/metrics/test_bootstrap.py",),
    "metrics/boundary.py": ("tests/metrics/test_boundary.py",),
    "metrics/iou.py": (
        "tests/metrics/test_iou.py",
        "tests/metrics/test_bootstrap.py::test_iou_equals_that_of_repeated_images",
    ),
    "metrics/coco_arrays.py": METRIC,
    "metrics/coco_engine.py": METRIC,
    "metrics/coco_matching.py": METRIC,
    "metrics/coco_resampled.py": ("tests/metrics/test_bootstrap.py",),
    "metrics/detection_analysis.py": ("tests/metrics/test_detection_analysis.py",),
    "metrics/detection_errors.py": ("tests/metrics/test_detection_errors.py",),
    "metrics/detection_overlaps.py": ("tests/metrics/test_detection_overlaps.py",),
    "tasks/learning_rates.py": ("tests/tasks/test_learning_rates.py", "tests/tasks/test_base.py"),
    "tasks/accumulation.py": ("tests/tasks/test_accumulation.py",),
    "tasks/own/recipe.py": ("tests/tasks/own/test_recipe.py",),
    "datasets/sampling.py": ("tests/datasets/test_sampling.py", "tests/datasets/augment/test_mixing.py"),
    "datasets/augment/colors.py": ("tests/datasets/augment/test_colors.py",),
    "datasets/augment/flips_and_colors.py": ("tests/datasets/augment/test_colors.py", DETECTION),
    "datasets/augment/inception_crop.py": (
        "tests/datasets/augment/test_inception_crop.py", "tests/datasets/test_classification.py",
    ),
    "datasets/augment/mixing.py": ("tests/datasets/augment/test_mixing.py", DETECTION),
    "datasets/augment/recipes.py": (
        "tests/datasets/augment/test_recipes.py", DETECTION,
        "tests/datasets/test_segmentation.py", "tests/datasets/test_classification.py",
    ),
    "datasets/augment/ssd_crop.py": ("tests/datasets/augment/test_ssd_crop.py", DETECTION),
    "datasets/augment/view.py": ("tests/datasets/augment/test_view.py", DETECTION),
}  # fmt: skip

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip
_NAMES = {
    "min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "round": "int", "rint": "floor",
    "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum", "argmax": "argmin",
    "amax": "amin",
    "erode": "dilate", "dilate": "erode",
}  # fmt: skip
_LEFT_OUT = ("clamp", "clamp_", "clip", "abs", "square", "sqrt", "detach", "copy", "clone")
"""Methods whose call a mutant replaces by what they are called on."""
_SECONDS, _TIMES = 30.0, 5
"""A mutant that takes longer than these seconds and so many times what its tests take hangs: it is killed."""


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, description and tree of every mutant; messages, annotations and docstrings are left alone."""
    tree = ast.parse(source)
    count = sum(1 for _ in _changes(tree))
    for number in range(count):
        changed = copy.deepcopy(tree)
        node, change = next(x for i, x in enumerate(_changes(changed)) if i == number)
        before = ast.unparse(node)
        change()
        yield node.lineno, f"{before} -> {ast.unparse(node)}", ast.fix_missing_locations(changed)


def _changes(tree: ast.AST) -> Iterator[tuple[Any, Any]]:
    """Nodes with a function that changes them in place, in a fixed order."""
    for child in _children(tree):
        yield from _changes_of(child)
        yield from _changes(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST) and not _is_text(item):
                yield item


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes_of(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, ast.Compare) and (other := _COMPARISONS.get(type(node.ops[0]))):
        yield node, lambda: node.ops.__setitem__(0, other())
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and (swapped := _OPERATORS.get(type(node.op))):
        yield node, lambda: setattr(node, "op", swapped())
    elif isinstance(node, ast.BoolOp):
        both = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield node, lambda: setattr(node, "op", both())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield node, lambda: setattr(node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else ast.Invert())
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield node, lambda: setattr(node, "value", _other(node.value))
    elif isinstance(node, ast.Call):
        yield from _changed_calls(node)


def _changed_calls(node: ast.Call) -> Iterator[tuple[Any, Any]]:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name in _NAMES:
        attribute = "attr" if isinstance(called, ast.Attribute) else "id"
        yield node, lambda: setattr(called, attribute, _NAMES[name])
    elif name in _LEFT_OUT and isinstance(called, ast.Attribute):
        is_function = isinstance(called.value, ast.Name) and called.value.id in ("np", "torch", "math")
        inner = node.args[0] if is_function else called.value
        yield node, lambda: _become(node, ast.Call(ast.Name("_same", ast.Load()), [inner], []))


def _become(node: ast.Call, other: ast.Call) -> None:
    node.func, node.args, node.keywords = other.func, other.args, other.keywords


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) or value == 0 else value * 1.5


def survives(file: Path, tree: ast.Module, tests: Sequence[str], seconds: float = 600.0) -> bool:
    """Whether the tests pass within ``seconds`` with ``tree`` in the place of ``file``, in a fork."""
    child = os.fork()
    if child == 0:
        os.setsid()
        _run_tests(file, tree, tests)
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(file: Path, tree: ast.Module, tests: Sequence[str]) -> None:
    """In the fork: import the mutant wherever ``file`` is asked for, and exit with pytest's code."""
    import builtins

    import hypothesis
    import pytest

    # A failure is enough: not made smaller, which takes seconds, nor kept for later runs.
    hypothesis.settings.register_profile(
        "mutants", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], database=None
    )
    hypothesis.settings.load_profile("mutants")

    builtins._same = lambda x: x  # type: ignore[attr-defined]
    code, original = compile(tree, str(file), "exec"), importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        return code if Path(self.path).resolve() == file else original(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    options = ["-x", "-q", "-n", "0", "--tb=no", "-p", "no:cacheprovider"]
    options += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # libraries came before pytest
    os._exit(int(pytest.main([*options, *(str(ROOT / test) for test in tests)])))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", default=list(TESTS))
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant")
    parser.add_argument("--output", type=Path, help="survivors as JSON")
    parser.add_argument("--again", type=Path, help="only what survived in this output of a run before")
    arguments: Any = parser.parse_args(argv)
    sys.dont_write_bytecode = True
    import cv2  # noqa: F401
    import hypothesis  # noqa: F401
    import lightning  # noqa: F401
    import pytest  # noqa: F401
    import scipy.special  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    before = json.loads(arguments.again.read_text(encoding="utf-8")) if arguments.again else None
    report: dict[str, Any] = {}
    for name in arguments.files:
        file, begin = (ROOT / name).resolve(), time.monotonic()
        source = file.read_text(encoding="utf-8")
        tests = [test for test in TESTS[name] if (ROOT / test.partition("::")[0]).exists()]
        if not survives(file, ast.parse(source), tests):
            print(f"{name}: its tests fail as it is", flush=True)
            continue
        patience = _SECONDS + _TIMES * (time.monotonic() - begin)
        chosen = list(mutants(source))[:: arguments.every]
        if before is not None:
            chosen = [x for x in chosen if f"{x[0]}: {x[1]}" in before[name]["survivors"]]
        left = [f"{line}: {text}" for line, text, tree in chosen if survives(file, tree, tests, patience)]
        report[name] = {"mutants": len(chosen), "killed": len(chosen) - len(left), "survivors": left}
        seconds = time.monotonic() - begin
        print(f"{name}: {len(chosen) - len(left)} of {len(chosen)} killed, {seconds:.0f} s", flush=True)
        for line in left:
            print(f"    {line}", flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
