"""Score weights on a split, from a run folder or from a config and a weights file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, free_path
from pocketvision.core.resize import Resize
from pocketvision.core.weights import read_passport
from pocketvision.datasets.data_module import AnyData
from pocketvision.evaluation.evaluate import AnyPredictor, evaluate
from pocketvision.evaluation.multi_scale import Inference, MultiScaleSegmenter
from pocketvision.evaluation.report.about import about_sections
from pocketvision.models import Segmenter, SSDPostprocess, VisionModel
from pocketvision.published.load import load_weights
from pocketvision.runs.build import build, refusing_bad_values, with_seed
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.runs.passport import as_trained


def score(
    source: Path,
    overrides: Sequence[str],
    weights: Path | None,
    split: str | None,
    output: Path | None,
    inference: Inference | None = None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate a run folder, or the config file ``source`` with ``weights``.

    ``inference`` makes a segmenter's predictions another way than in one pass.

    Returns:
        The metrics, and the folder with metrics.json, report.html, predictions.png and the results.

    Raises:
        InputError: weights, config or data don't fit together, or the output folder is taken.
    """
    experiment, weights = _opened(source, overrides, weights)
    model, data = build(experiment, pretrained=False)
    path = load_weights(model, weights, same_classes=True).path
    if not source.is_dir():
        check_passport(model, path, overrides)
    if inference is not None and not isinstance(model, Segmenter):
        raise InputError("--scales, --flip and --window are for segmentation: leave them out.")
    split = split or data.val_split
    about = about_sections(model, experiment, Run.open(source) if source.is_dir() else None)
    # A name such as coco stands for a file among the downloads, which is no place for results.
    beside = path.parent if path.is_relative_to(weights.parent) else Path()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with new_folder(output, source if source.is_dir() else beside, split) as folder:
        if inference is None:
            return evaluate(model, data, split, folder, device, str(weights), about), folder
        model.eval().to(device)
        assert isinstance(model, Segmenter)
        subject = f"{weights}, {inference}"
        scaled = MultiScaleSegmenter(model, inference)
        return evaluate(scaled, data, split, folder, device, subject, about), folder


def _opened(source: Path, overrides: Sequence[str], weights: Path | None) -> tuple[Experiment, Path]:
    """The experiment of a run folder, or of a config with the arguments that ``weights`` state."""
    if source.is_dir():
        run = Run.open(source)
        return run.load(overrides), weights or run.weights
    assert weights is not None
    return as_trained(load_experiment(source, overrides)[0], overrides, weights), weights


def score_exported(
    source: Path,
    overrides: Sequence[str],
    predictor: AnyPredictor,
    resize: Resize,
    artifact: Path,
    split: str | None,
    output: Path | None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate what runs the exported file ``artifact`` on the data of a run folder or config file.

    ``resize`` is what the file says of its input. The rest is as for :func:`score`.
    """
    _, data = connected_data(source, overrides, predictor.class_names, resize)
    split = split or data.val_split
    with new_folder(output, artifact.parent, split) as folder:
        return evaluate(predictor, data, split, folder, torch.device("cpu"), str(artifact)), folder


def connected_data(
    source: Path, overrides: Sequence[str], class_names: Sequence[str | None], resize: Resize
) -> tuple[Experiment, AnyData]:
    """The experiment of a run folder or config file, and its data as a model of these classes takes them."""
    experiment = (
        Run.open(source).load(overrides) if source.is_dir() else load_experiment(source, overrides)[0]
    )
    with refusing_bad_values():
        data = with_seed(experiment.data, experiment.seed)()
        data.connect(class_names=class_names, resize=resize)
    return experiment, data


@contextmanager
def new_folder(output: Path | None, parent: Path, split: str) -> Iterator[Path]:
    """``output``, or a new folder for the results on a split in ``parent``, which is gone if that fails, or
    empty again if it was there.

    Raises:
        InputError: ``output`` exists and is not empty.
    """
    folder = output or free_path(parent / f"eval_{split}")
    check_empty(folder, "--output")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if is_new:  # else it may be a mount or a link
            folder.rmdir()
        raise


def check_passport(model: VisionModel, weights: Path, overrides: Sequence[str] = ()) -> None:
    """Compare the passport of a weights file, if it has one, with the model that it goes into.

    What is done with a detector's output, and in which tiles a picture is seen, is not of the weights:
    ``overrides`` may change it.

    Raises:
        InputError: the weights were trained with, say, another image size; names the difference.
    """
    passport = read_passport(weights) if weights.suffix == ".safetensors" else {}
    own = json.loads(json.dumps(model.passport()))
    given = {word.partition("=")[0].rpartition(".")[2] for word in overrides if word.startswith("model.")}
    stated = {"postprocess"} if given & {field.name for field in fields(SSDPostprocess)} else set()
    if any(word.startswith("data.tile_") for word in overrides) and "resize" in passport:
        for facts in (passport["resize"], own["resize"]):
            facts.pop("tiling", None)
    for key in (passport.keys() & own.keys()) - stated:
        if passport[key] != own[key]:
            raise InputError(
                f"{weights} was trained with {key} {passport[key]}, the config has {own[key]}: "
                "use the config and overrides of its training."
            )
