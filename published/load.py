"""One way in: weights by name, file or run folder into a whole model, with a report of what matched."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.pretrained import LIBRARY_STEMS, imagenet_file, load_pretrained
from pocketvision.core.download import download
from pocketvision.core.errors import InputError
from pocketvision.core.layers import freeze_norms
from pocketvision.core.protocols import Library, body_of
from pocketvision.core.weights import MatchReport, StateDict, load_state_dict, read_passport, read_state_dict
from pocketvision.models import Classifier, Detector, JointModel, VisionModel
from pocketvision.models.input_facts import norm_eps
from pocketvision.published.architecture import family_of_layers, refuse_other_family, refuse_other_state
from pocketvision.published.catalog import NAMES, PublishedFile, find_published, published_class_names
from pocketvision.published.class_surgery import match_classes
from pocketvision.published.convert import from_published
from pocketvision.published.inputs import classifier_library, facts_of_timm
from pocketvision.published.mismatch import PREPROCESSING, check_passport, differs, refuse_other
from pocketvision.published.part_weights import is_for_part, load_part
from pocketvision.published.tensorflow.import_file import INPUTS, SUFFIXES, import_tensorflow, read_layers
from pocketvision.published.timm_hub import absorb_eps, fetch_timm, is_timm_name

logger = logging.getLogger("pocketvision")

# What the key of a stem tells of who wrote a file.
WHOLE_STEMS: dict[str, Library] = {
    "backbone.features.0.0.0.weight": "torchvision",  # SSDLite320
    "backbone.0.0.weight": "torchvision",  # segmentation models
}
_TORCHVISION_EPS: dict[int | str, float] = {2: 1e-5, 3: 1e-3}
"""Epsilon of the BatchNorms in torchvision's MobileNets, by version."""
_FOREIGN = (".h5", ".keras", ".onnx", ".mlmodel", ".caffemodel", ".pbtxt", ".meta", ".pt2", ".xml")
_KINDS = ".pth, .safetensors, a frozen graph (.pb), a TFLite file or a checkpoint (.index)"
_KEPT = ("licence", "is_norm_folded")


_AUXILIARY = "auxiliary_head."


class Loaded(NamedTuple):
    """What was loaded from where; ``facts`` are what a passport should say of it: ``class_ids`` (of the
    model's classes in the data set of the weights, None where they are new), ``licence`` and those of
    :func:`import_tensorflow`, as far as the file tells; ``nodes`` are the nodes of a TensorFlow graph that
    our layers were made of."""

    report: MatchReport
    path: Path
    facts: Mapping[str, Any]
    nodes: Mapping[str, str] = {}

    @property
    def is_whole(self) -> bool:
        """Whether a graph gave all of the model, not the backbone that it had for something else."""
        return not self.nodes or "background" in self.facts


def load_weights(
    model: VisionModel,
    weights: str | Path,
    *,
    class_ids: Sequence[int] | None = None,
    same_classes: bool = False,
) -> Loaded:
    """Load ``weights`` into ``model`` and log what matched.

    ``weights`` is ``"imagenet"``, ``"coco"`` or ``"coco-voc"`` (torchvision's published files) or a name
    of timm's such as ``"timm/mobilenetv3_large_100.ra_in1k"``, downloaded once; a run folder; or a file:
    torchvision's, timm's or TensorFlow's of the whole model or of a classifier whose backbone is taken
    (``class_ids``: see :func:`import_tensorflow`), or ours. Where the file names other classes than the
    model's, rows of names that both have are kept; where their number differs without names, they start
    afresh. ``same_classes`` refuses both: for scoring. BatchNorms of a file that has them folded into its
    convolutions are frozen: they are identities.

    Raises:
        InputError: the file is of another architecture or preprocessing, is broken or can't be downloaded.
    """
    path, published = find_file(model, weights)
    if path.suffix in SUFFIXES:
        return _load_tensorflow(model, path, class_ids)
    state = read_state_dict(path)
    passport = read_passport(path) if path.suffix == ".safetensors" else {}
    refuse_other_state(model, state, path)
    library = None if passport else classifier_library(state)
    if library == "timm":
        return _load_timm(model, state, path, facts_of_timm(weights, path, str(model.passport()["padding"])))
    if library is not None and not isinstance(model, Classifier):
        report = load_pretrained(body_of(model.backbone), path)
        _adapt_to_torchvision(model, path)
        return Loaded(report, path, {})
    if isinstance(model, JointModel) and is_for_part(model, passport):
        return Loaded(load_part(model, state, passport, path, same_classes=same_classes), path, {})
    if passport.get("task") == "classification" and not isinstance(model, Classifier):
        return _load_backbone(model, state, passport, path)
    if not passport:
        state = _with_our_names(model, state, path)
    if published is not None:
        passport = {"class_names": published.class_names, "class_ids": published.class_ids}
    check_passport(model, passport, path)
    report = _load_whole(model, state, passport.get("class_names"), path, same_classes)
    if library is not None:
        _adapt_to_torchvision(model, path)
    _take_over(model, passport)
    return Loaded(report, path, _file_facts(model, passport))


def is_published_name(weights: str | Path) -> bool:
    """Whether it names weights that are downloaded, not a file."""
    return str(weights) in ("imagenet", *NAMES) or is_timm_name(str(weights))


def look_at_weights(model: VisionModel, weights: str | Path) -> None:
    """Refuse a file that is missing, broken or of another architecture, before time is spent on the rest.

    Raises:
        InputError: it is.
    """
    if is_published_name(weights):
        return
    path = local_file(Path(weights))
    if path.suffix in SUFFIXES:
        depthwise = (layer.name for layer in read_layers(path) if layer.is_depthwise)
        refuse_other_family(model, family_of_layers(depthwise), path)
    else:
        refuse_other_state(model, read_state_dict(path), path)


def _take_over(model: VisionModel, passport: Mapping[str, Any]) -> None:
    """What a file of ours says beside its tensors: folded norms, the best threshold for the same classes."""
    if passport.get("is_norm_folded"):
        freeze_norms(model)
    if isinstance(model, JointModel):
        for task in model.tasks:
            _take_over(model.part(task), passport.get("parts", {}).get(task, {}))
    elif isinstance(model, Detector):
        threshold = passport.get("threshold")
        is_score = isinstance(threshold, float) and 0 <= threshold <= 1
        has_same_classes = passport.get("class_names") == list(model.class_names)
        model.best_threshold = threshold if is_score and has_same_classes else None


def _load_tensorflow(model: VisionModel, path: Path, class_ids: Sequence[int] | None) -> Loaded:
    imported = import_tensorflow(model, path, class_ids)
    logger.info("%s", imported.report)
    _warn_of_other(model, {key: INPUTS[key] for key in ("mean", "std")}, path)
    return Loaded(imported.report, path, imported.facts, imported.nodes)


def _load_whole(
    model: VisionModel, state: StateDict, class_names: Any, path: Path, same_classes: bool = False
) -> MatchReport:
    """Load backbone and head, the head's rows by the names of their classes."""
    rows = None
    if not same_classes:
        state, rows = match_classes(model, state, class_names, str(path))
    auxiliary = {name: value for name, value in model.state_dict().items() if name.startswith(_AUXILIARY)}
    if auxiliary and state.keys().isdisjoint(auxiliary):
        logger.info("%s has no auxiliary head, which only training uses: it starts afresh.", path)
        state = {**state, **auxiliary}
    report = load_state_dict(model, state, str(path))
    if rows is not None:
        report = replace(report, num_matched=report.num_matched - 2 * rows.num_layers, note=str(rows))
    logger.info("%s", report)
    return report


def _load_timm(model: VisionModel, state: StateDict, path: Path, facts: Mapping[str, Any]) -> Loaded:
    """Load a classifier of timm's whole, or its backbone into a model that may normalize otherwise."""
    inputs = {key: facts[key] for key in PREPROCESSING if key in facts}
    if isinstance(model, Classifier):
        check_passport(model, inputs, path)
        report = _load_whole(model, _with_our_names(model, state, path), None, path)
    else:
        _warn_of_other(model, inputs, path)
        report = load_pretrained(body_of(model.backbone), path)
    absorb_eps(body_of(model.backbone), facts["norm_eps"][0])
    return Loaded(report, path, {"licence": facts["licence"]} if "licence" in facts else {})


def _adapt_to_torchvision(model: VisionModel, path: Path) -> None:
    """Let a backbone whose weights are a classifier's of torchvision's compute what they did there."""
    backbone = body_of(model.backbone)
    _warn_of_other(model, {"padding": "torch"}, path)
    if isinstance(backbone, MobileNet):
        absorb_eps(backbone, _TORCHVISION_EPS[backbone.architecture.version])


def _warn_of_other(model: VisionModel, inputs: Mapping[str, Any], path: Path) -> None:
    """Say which ``inputs`` (fields of a passport) of the training of a file's weights the model hasn't."""
    own = model.passport()
    for key in inputs:
        if differs(inputs[key], own[key]):
            logger.warning(
                "%s was trained with %s %s, this model has %s: training has to adapt it.",
                path, key, inputs[key], own[key],
            )  # fmt: skip


def _load_backbone(model: VisionModel, state: StateDict, passport: Mapping[str, Any], path: Path) -> Loaded:
    """Take the backbone of a classifier of ours."""
    backbone = body_of(model.backbone)
    own = {**model.passport(), "norm_eps": norm_eps(backbone)}
    refuse_other(own, {key: passport[key] for key in (*PREPROCESSING, "norm_eps") if key in passport}, path)
    inner = {name.removeprefix("backbone."): value for name, value in state.items() if name[:5] != "head."}
    report = load_state_dict(backbone, inner, str(path))
    logger.info("%s", report)
    if passport.get("is_norm_folded"):
        freeze_norms(backbone)
    return Loaded(report, path, {key: passport[key] for key in _KEPT if key in passport})


def _file_facts(model: VisionModel, passport: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of ours, or a published one, tells of the model that took its weights."""
    facts = {key: passport[key] for key in _KEPT if key in passport}
    names, ids = passport.get("class_names"), passport.get("class_ids")
    if names and ids:
        known = {name: number for name, number in zip(names, ids, strict=False) if name is not None}
        facts["class_ids"] = [known.get(name) for name in model.class_names]
    return facts


def find_file(model: VisionModel, weights: str | Path) -> tuple[Path, PublishedFile | None]:
    """Where the weights lie, downloaded if they have a name, and what is known of whole published models."""
    weights = str(weights)
    if weights == "imagenet":
        return imagenet_file(body_of(model.backbone)), None
    if weights in NAMES:
        published = find_published(weights, model)
        return download(published.url), published
    if is_timm_name(weights):
        return fetch_timm(weights), None
    return local_file(Path(weights)), None


def local_file(path: Path) -> Path:
    """The file that weights are read from: ``path``, or what lies in the run folder that it names.

    Raises:
        InputError: it is of a kind that is not read; says what to give instead.
    """
    stem, data, _ = path.name.partition(".data-")
    index = path.parent / f"{stem}.index"
    if (data or not path.exists()) and index.is_file():
        return index  # a checkpoint, named as TensorFlow takes it, or its data
    if (path / "saved_model.pb").is_file():
        raise InputError(
            f"{path} is a SavedModel, which is a program: give the checkpoint inside "
            f"({Path('variables', 'variables.index')}), a frozen graph or a TFLite file."
        )
    if path.suffix in _FOREIGN:
        raise InputError(f"{path} is of a kind that is not read: give {_KINDS}.")
    return path / "weights.safetensors" if path.is_dir() else path


def file_class_names(weights: str | Path) -> Sequence[str | None] | None:
    """The class names that published weights or a file's passport state, None where nobody does.

    Raises:
        InputError: there is no such file.
    """
    if str(weights) in NAMES:
        return published_class_names(str(weights))
    if str(weights) == "imagenet" or is_timm_name(str(weights)):
        return None
    path = local_file(Path(weights))
    if not path.is_file():
        raise InputError(f"There is no weights file {path}: check the path.")
    if path.suffix != ".safetensors":
        return None
    names: Sequence[str | None] | None = read_passport(path).get("class_names")
    return names


def _with_our_names(model: VisionModel, state: StateDict, path: Path) -> StateDict:
    if not state.keys().isdisjoint(model.state_dict()):
        return state  # it has ours
    stems = {**LIBRARY_STEMS, **WHOLE_STEMS}
    library = next((library for stem, library in stems.items() if stem in state), None)
    if library is None:
        raise InputError(
            f"{path} has no names of torchvision, timm or this project (its first is "
            f"{next(iter(state), 'none')}): give a file of one of these."
        )
    try:
        return from_published(model, state, library)
    except ValueError as error:
        raise InputError(f"{path} does not fit this model: it has {library}'s names, but {error}") from error
