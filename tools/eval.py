"""Score a run, weights or an exported model: python tools/eval.py RUN, or CONFIG --weights FILE [...]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import free_path
from pocketvision.core.memory import keep_freed_memory

EXPORTED = (".onnx", ".xml", ".pt2", ".tflite", ".pte", ".param")
WEIGHTS = (".safetensors", ".ckpt", ".pth", ".pt")


@command
def main(argv: Sequence[str] | None = None) -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(
        prog="pocketvision eval", description="Score weights on a split: AP, mIoU or top-1."
    )
    parser.add_argument(
        "source",
        metavar="RUN|CONFIG|FILE",
        help="a run, a file in one, others' .tflite, .pb, .index or .pth, or a config with --weights",
    )
    parser.add_argument("overrides", metavar="part.key=value", nargs="*", help="values to change")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights or an exported model (default: the run's best)",
    )
    parser.add_argument("--split", help="split of the data (default: the config's validation split)")
    parser.add_argument("--output", type=Path, help="folder for the results (default: RUN/eval_SPLIT)")
    group = parser.add_argument_group("segmentation, slower and more accurate")
    group.add_argument("--scales", metavar="S,S", type=numbers(float), help="of the input, as 0.75,1,1.25")
    group.add_argument("--flip", action="store_true", help="mirrored, too")
    group.add_argument("--window", metavar="H,W", type=numbers(int), help="window by window of this size")
    arguments = parser.parse_intermixed_args(argv)
    is_others = arguments.weights is None and _is_foreign(arguments.source)
    source, weights = what_and_where(arguments.source, arguments.weights, arguments.overrides)
    if arguments.output is None and is_others:
        arguments.output = free_path(Path("out", "eval", Path(arguments.source).stem))

    from pocketvision.evaluation.evaluate import metrics_table

    if weights is not None and weights.suffix in EXPORTED:
        metrics, folder = score_file(source, weights, arguments)
    else:
        from pocketvision.evaluation.evaluate_run import score

        options = {"split": arguments.split, "output": arguments.output, "inference": inference(arguments)}
        metrics, folder = score(source, arguments.overrides, weights, **options)
    print(metrics_table(metrics))
    print(f"results: {folder} (look at {folder / 'report.html'})")


def what_and_where(
    source: str, weights: Path | None, overrides: Sequence[str] = ()
) -> tuple[Path, Path | None]:
    """The run folder or config file, and the weights file if one is named, or of others' what they hold."""
    path = Path(source)
    if weights is None and _is_foreign(source):
        from pocketvision.runs.foreign import imported, imported_config

        ours = imported(path, overrides)
        return imported_config(ours), ours
    if path.suffix in (*EXPORTED, *WEIGHTS) and weights is None:
        from pocketvision.runs.folder import run_around

        run = run_around(path)
        if run is None:
            raise InputError(
                f"{source} does not say what data to score it on: use eval CONFIG --weights {source}, or RUN."
            )
        return run, path
    if path.is_dir():
        return path, weights
    if weights is None and not path.is_file() and len(path.parts) > 1:
        raise InputError(f"There is no run folder {source}: check the path.")
    config = find_config(source)
    if weights is None:
        raise InputError(f"{source} is a config, not a run folder: give its weights with --weights FILE.")
    return config, weights


def _is_foreign(source: str) -> bool:
    if Path(source).suffix in ("", ".py"):  # a run or a config: what is wrong with it is said without PyTorch
        return False
    from pocketvision.runs.foreign import is_foreign

    return is_foreign(source)


def inference(arguments: argparse.Namespace) -> Any:
    """How a segmenter's predictions are made, if not in one pass."""
    if not (arguments.scales or arguments.flip or arguments.window):
        return None

    from pocketvision.evaluation.multi_scale import Inference

    if arguments.window is not None and len(arguments.window) != 2:
        raise InputError("--window takes a height and a width, such as 512,512.")
    return Inference(arguments.scales or (1.0,), arguments.flip, arguments.window)


def score_file(source: Path, artifact: Path, arguments: argparse.Namespace) -> tuple[dict[str, Any], Path]:
    """Score an exported model in its own runtime."""
    from pocketvision.deploy.runtimes.exported_models import predictor_of
    from pocketvision.deploy.runtimes.opening import open_runtime
    from pocketvision.evaluation.evaluate_run import score_exported

    if inference(arguments) is not None:
        raise InputError(
            f"{artifact} takes images of its own size only: leave --scales, --flip, --window out."
        )
    predictor = predictor_of(open_runtime(artifact))
    return score_exported(
        source, arguments.overrides, predictor, predictor.runtime.artifact.resize, artifact,
        arguments.split, arguments.output,
    )  # fmt: skip


def numbers(kind: type[int] | type[float]) -> Any:
    """A parser of comma-separated numbers."""

    def parse(text: str) -> tuple[float, ...]:
        return tuple(kind(part) for part in text.split(","))

    parse.__name__ = "list of numbers"  # argparse names it in its message
    return parse


if __name__ == "__main__":
    sys.exit(main())
