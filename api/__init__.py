"""pocketvision: MobileNet detection and segmentation, from images to a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketvision.core.config import Experiment
    from pocketvision.deploy.formats import ExportOptions
    from pocketvision.deploy.predict.prediction import Prediction
    from pocketvision.deploy.predict.predictor import ImageLike
    from pocketvision.deploy.predict.predictor import Predictor as Predictor
    from pocketvision.doctor.check import Examination
    from pocketvision.models import VisionModel
    from pocketvision.training import TrainedRun as TrainedRun

__version__ = "0.2.0"
__all__ = [
    "Predictor", "TrainedRun", "__version__", "check_data", "evaluate", "export", "from_pretrained", "load",
    "predict", "push_to_hub", "save_pretrained", "train",
]  # fmt: skip


def load(
    source: str | Path,
    weights: str | Path | None = None,
    class_names: Sequence[str | None] | None = None,
) -> VisionModel:
    """A ready model: ``load("ssdlite_v3_large_coco", weights="coco")``, or of a run folder or weights file.

    ``load("hf://owner/name")`` is :func:`from_pretrained`. See
    :func:`pocketvision.runs.ready_model.load_model`.

    Raises:
        InputError: nothing is there, it does not fit, or nobody names the classes.
    """
    if str(source).startswith("hf://"):
        from pocketvision.core.errors import InputError

        if weights is not None or class_names is not None:
            raise InputError(f"{source} has its own weights and class names: give neither.")
        return from_pretrained(source)
    from pocketvision.runs.ready_model import load_model

    return load_model(source, weights, class_names)


def predict(
    source: str | Path, images: Sequence[ImageLike], *, threshold: float | None = None, device: str = "auto"
) -> list[Prediction]:
    """What the model of a run folder, weights file or exported file finds in images, in their order.

    For more images later keep a :class:`Predictor`, which this opens anew.

    Raises:
        InputError: the model or an image is missing or broken.
    """
    from pocketvision.core.errors import InputError
    from pocketvision.deploy.predict.predictor import Predictor

    if isinstance(images, str | bytes):
        raise InputError("The images are one path or file: give a list, as [image].")
    return Predictor.load(source, threshold=threshold, device=device).predict(images)


def evaluate(
    source: str | Path,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    split: str | None = None,
    output: str | Path | None = None,
) -> tuple[dict[str, Any], Path]:
    """The metrics of a run folder, a file of others or a config with ``weights``, and the report's folder.

    ``overrides`` are "part.key=value". See :func:`pocketvision.evaluation.evaluate_run.score`.

    Raises:
        InputError: weights, config or data don't fit together, or the output folder is taken.
    """
    from pocketvision.core.command import find_config
    from pocketvision.core.errors import InputError
    from pocketvision.core.files import free_path
    from pocketvision.evaluation.evaluate_run import score
    from pocketvision.runs.foreign import imported, imported_config, is_foreign

    if weights is None and is_foreign(source):
        weights = imported(source, overrides)
        output = output or free_path(Path("out", "eval", Path(source).stem))
        source = imported_config(weights)
    path = Path(source) if Path(source).is_dir() else find_config(str(source))
    if weights is None and not path.is_dir():
        raise InputError(f"{source} is a config, not a run folder: give its weights.")
    return score(
        path, overrides, None if weights is None else Path(weights), split,
        None if output is None else Path(output),
    )  # fmt: skip


def export(
    source: str | Path, output: str | Path, format: str = "onnx", options: ExportOptions | None = None
) -> Path:
    """Write a run or weights file for a runtime as the new file ``output``, and return its path.

    int8 is made by the command, which calibrates it. See
    :func:`pocketvision.deploy.export.to_file.export_model`.

    Raises:
        InputError: the file is there, the format can't be written here or does not fit the options.
    """
    from pocketvision.core.errors import InputError
    from pocketvision.core.files import check_new
    from pocketvision.deploy.converters.environment import known_converters
    from pocketvision.deploy.export.to_file import export_model
    from pocketvision.deploy.formats import BESIDE, ExportOptions, check_format

    options, path = options or ExportOptions(), Path(output)
    if options.int8:
        raise InputError("int8 needs images to calibrate with: use the command pocketvision export --int8.")
    check_format(format, path, options)
    for file in (path, *(path.with_suffix(suffix) for suffix in BESIDE.get(path.suffix, ()))):
        check_new(file, "output")
    return export_model(load(source), format, path, options, known_converters())


def check_data(path: str | Path, task: str | None = None, *, is_full: bool = False) -> Examination:
    """What is wrong with a data set: ``.report.findings``, and ``.report.as_json()`` of all of it.

    ``is_full`` decodes every pixel of every image.

    Raises:
        InputError: there are no data that can be read.
    """
    from pocketvision.datasets.formats.detect import detect_format
    from pocketvision.doctor.check import Plan, examine

    return examine(detect_format(path, task), Plan(full=is_full))


def train(
    config: str | Path | Experiment | None = None,
    overrides: Sequence[str] = (),
    *,
    data: str | Path | None = None,
    task: str | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    minutes: float | None = None,
    run_dir: str | Path | None = None,
) -> TrainedRun:
    """Train into a new run folder and score it on its validation split.

    What is trained is a config file, the name of a shipped config, or an :class:`Experiment` made in a cell;
    or ``data``, a data set whose format, split and recipe are found, for which ``task`` and ``model`` may be
    stated. ``weights`` are the run or file to start from. The folder holds all that defines the run: the code
    of an experiment that was made in a notebook, too.

    Raises:
        InputError: config, data, overrides or the folder are not fit for it.
        StoppedError: it was interrupted; the sentence says how to go on.
    """
    from pocketvision.training import train

    return train(
        config,
        overrides,
        data=data,
        task=task,
        model=model,
        weights=weights,
        minutes=minutes,
        run_dir=run_dir,
    )


def save_pretrained(source: str | Path, folder: str | Path, licence: str | None = None) -> Path:
    """Write the weights of a run or of our .safetensors, and a model card, into ``folder``.

    See :func:`pocketvision.deploy.hub.save_pretrained`.
    """
    from pocketvision.deploy.hub import save_pretrained

    return save_pretrained(source, folder, licence)


def from_pretrained(source: str | Path) -> VisionModel:
    """The ready model of such a folder, or of ``hf://owner/name[@revision]``. Runs no code of theirs.

    See :func:`pocketvision.deploy.hub.from_pretrained`.
    """
    from pocketvision.deploy.hub import from_pretrained

    return from_pretrained(source)


def push_to_hub(source: str | Path, name: str, *, licence: str | None = None, is_private: bool = True) -> str:
    """Upload what :func:`save_pretrained` writes to ``owner/name`` and return its address.

    See :func:`pocketvision.deploy.hub.push_to_hub`.
    """
    from pocketvision.deploy.hub import push_to_hub

    return push_to_hub(source, name, licence=licence, is_private=is_private)


def __getattr__(name: str) -> Any:
    """``pocketvision.Predictor`` and ``TrainedRun``, imported when they are first asked for."""
    if name == "TrainedRun":
        from pocketvision.training import TrainedRun

        return TrainedRun
    if name == "Predictor":
        from pocketvision.deploy.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'pocketvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
