"""Bring a TensorFlow file's weights into one of our models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.layers import freeze_norms
from pocketvision.core.protocols import body_of
from pocketvision.core.weights import MatchReport, StateDict, load_state_dict
from pocketvision.models import Classifier, VisionModel
from pocketvision.published.architecture import family_of_layers, refuse_other_family
from pocketvision.published.class_surgery import class_layers
from pocketvision.published.tensorflow import checkpoint_layers
from pocketvision.published.tensorflow.boxes_facts import with_scores
from pocketvision.published.tensorflow.checkpoint import read_checkpoint
from pocketvision.published.tensorflow.class_rows import FileClassRows, box_rows, take_rows
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import FileArray, Layer, Norm
from pocketvision.published.tensorflow.model_layers import ModelLayer, model_layers
from pocketvision.published.tensorflow.pairing import (
    Fits,
    is_classifier,
    pair_by_name,
    pair_by_order,
    pair_by_structure,
)
from pocketvision.published.tensorflow.tflite import read_tflite

SUFFIXES = (".pb", ".tflite", ".index")
INPUTS = {"padding": "same", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""SAME padding and x / 127.5 - 1: how TensorFlow's published MobileNets see images, which no file states."""


class TensorFlowImport(NamedTuple):
    """What went into the model, and facts of the file for the passport.

    ``facts``: ``class_ids`` are the file's of the model's classes; ``background`` is what became of the
    file's background class ("none", "kept", "dropped", "moved last"); ``is_norm_folded`` says that the
    file's convolutions contain their BatchNorm, so that ours are identities with a bias; ``padding``
    is the file's ("same", "torch", or None where it does not say). Of a classifier's backbone only the last
    two are told. ``nodes`` are the operations of the file that our layers, by name, were made of.
    """

    report: MatchReport
    facts: Mapping[str, Any]
    nodes: Mapping[str, str]


def read_layers(path: Path) -> list[Layer]:
    """Layers of a frozen graph (.pb), a TFLite file or a checkpoint (.index).

    Raises:
        InputError: the file is missing, broken or of another kind.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} is no TensorFlow file: give a {', '.join(SUFFIXES)} file.")
    with _refusing_broken(path):
        if path.suffix == ".index":
            layers = checkpoint_layers.find_layers(read_checkpoint(path))
        else:
            graph = read_frozen_graph(path) if path.suffix == ".pb" else read_tflite(path)
            layers = with_scores(graph, find_layers(graph))
    if not layers:
        raise InputError(
            f"{path} holds no convolution with its weights: give a frozen graph, TFLite file or checkpoint."
        )
    return layers


@contextmanager
def _refusing_broken(path: Path, trouble: str = "") -> Iterator[None]:
    """Turn what attributes and shapes that make no sense lead to into one sentence that names the file."""
    try:
        yield
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}{trouble}: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is broken ({reason}): download or export it again.") from error


def _by_shape(rows: FileClassRows, classes: frozenset[str]) -> tuple[Fits, Fits]:
    """Whether kernels can be those of two layers, and whether they are just right."""

    def fits(mine: ModelLayer, theirs: Layer) -> bool:
        if mine.is_depthwise != theirs.is_depthwise or mine.shape[1:] != theirs.kernel.shape[1:]:
            return False
        return rows.fits(mine, theirs) if mine.name in classes else mine.shape[0] == len(theirs.kernel)

    def fits_well(mine: ModelLayer, theirs: Layer) -> bool:
        if theirs.is_scored is not None and theirs.is_scored != (mine.name in classes):
            return False
        return fits(mine, theirs) and (mine.name not in classes or rows.fits_well(mine, theirs))

    return fits, fits_well


def import_tensorflow(
    model: VisionModel, path: Path, class_ids: Sequence[int] | None = None
) -> TensorFlowImport:
    """Copy the weights of a TensorFlow file into ``model``, so that its inference is the file's.

    A detector or segmenter takes the backbone of a classifier's file. BatchNorms of a file that has them
    folded into its convolutions are frozen: they are identities.

    Layers are paired by how they are connected, in a checkpoint by name or order. ``class_ids`` are the
    file's ids (0 is its background) of the model's classes in their order; needed where the model
    has fewer classes than the file or another order. Box codes and the place of the background are
    translated, a detector's background is dropped with sigmoid scores. A BatchNorm with another
    epsilon than the model's is rescaled to give the same output.

    TensorFlow's hard sigmoid multiplies by 0.16667 where ours divides by 6: 2e-5 of a gate's value.

    Raises:
        InputError: the file is broken or does not fit the model, or ``class_ids`` are no ids of as many
            classes; the sentence says where.
    """
    found = read_layers(path)
    refuse_other_family(model, family_of_layers(x.name for x in found if x.is_depthwise), path)
    rows = FileClassRows.of(model, class_ids)
    is_whole = isinstance(model, Classifier) or not is_classifier(found)
    part = model if is_whole else body_of(model.backbone)
    own = model_layers(part, model.resize.image_size)
    outputs = _Outputs.of(model, own) if is_whole else _Outputs(frozenset(), frozenset())

    with _refusing_broken(path, " does not fit the model"):
        pairs = _pair(own, found, *_by_shape(rows, outputs.classes))
        _check_surroundings(own, found, pairs)
        state, ids, background = _state(own, found, pairs, outputs, rows)
    report = load_state_dict(part, part.state_dict() | state, str(path))
    left_over = tuple(layer.name for i, layer in enumerate(found) if i not in set(pairs))
    partners = [found[index] for index in pairs]
    is_norm_folded = any(a.norm is not None and b.norm is None for a, b in zip(own, partners, strict=True))
    if is_norm_folded:
        freeze_norms(part)
    facts: dict[str, Any] = {"is_norm_folded": is_norm_folded, "padding": file_padding(found)}
    if is_whole:
        facts |= {"class_ids": ids, "background": background}
    notes = {
        "the backbone of a classifier": not is_whole,
        f"background {background}": background != "none",
        "BatchNorm folded into the convolutions": is_norm_folded,
    }
    note = ", ".join(note for note, holds in notes.items() if holds)
    return TensorFlowImport(
        replace(report, unused=left_over, note=note), facts, _nodes(model, part, own, partners)
    )


def file_padding(found: Sequence[Layer]) -> str | None:
    """How the layers with a stride pad, None where none says."""
    return next((layer.links.padding for layer in found if layer.links and layer.links.padding), None)


class _Outputs(NamedTuple):
    """Names of a model's last layers: those that predict classes, and those that predict boxes."""

    classes: frozenset[str]
    boxes: frozenset[str]

    @classmethod
    def of(cls, model: VisionModel, own: Sequence[ModelLayer]) -> _Outputs:
        used = frozenset[int]().union(*(layer.links.inputs for layer in own))
        classes = frozenset(class_layers(model))
        return cls(classes, frozenset(layer.name for i, layer in enumerate(own) if i not in used) - classes)


def _pair(own: Sequence[ModelLayer], found: Sequence[Layer], fits: Fits, fits_well: Fits) -> list[int]:
    """For each layer of the model its layer of the file: by connections, or what a checkpoint has instead."""
    if found[0].links is not None:
        return pair_by_structure(own, found, fits, fits_well)
    if checkpoint_layers.is_keras_name(found[0].name):
        return pair_by_order(own, found, fits)
    return pair_by_name(own, found, fits)


def _check_surroundings(own: Sequence[ModelLayer], found: Sequence[Layer], pairs: Sequence[int]) -> None:
    """Refuse what shapes don't show: another padding or activation than the file's."""
    for mine, index in zip(own, pairs, strict=True):
        links, activation = found[index].links, found[index].activation
        if activation and activation != mine.activation:
            raise InputError(
                f"{mine.name} is followed by {mine.activation or 'no activation'}, in the file by "
                f"{activation}: use a config of the file's architecture."
            )
        theirs = links.padding if links else None
        if theirs and mine.links.padding and theirs != mine.links.padding:
            raise InputError(
                f"{mine.name} pads as in {mine.links.padding!r}, the file as in {theirs!r}: "
                f"build the model with padding={theirs!r}."
            )


def _state(
    own: Sequence[ModelLayer],
    found: Sequence[Layer],
    pairs: Sequence[int],
    outputs: _Outputs,
    rows: FileClassRows,
) -> tuple[StateDict, list[int], str]:
    """The model's tensors by name, the file's ids of its classes, and what became of the background."""
    state: StateDict = {}
    ids: list[int] = []
    background = "none"
    for mine, index in zip(own, pairs, strict=True):
        layer, selected = found[index], None
        if mine.name in outputs.classes:
            selected, background = rows.select(mine, layer)
            ids = selected[: rows.num_outputs - (rows.background == "last")]
        elif mine.name in outputs.boxes:
            selected = box_rows(mine.shape[0])
        kernel = _reordered(layer.kernel, mine, layer, own, found, pairs)
        layer = replace(
            layer,
            kernel=take_rows(kernel, selected),
            bias=None if layer.bias is None else take_rows(layer.bias, selected),
        )
        state |= _tensors(mine, layer)
    return state, ids, background


def _reordered(
    kernel: FileArray,
    mine: ModelLayer,
    layer: Layer,
    own: Sequence[ModelLayer],
    found: Sequence[Layer],
    pairs: Sequence[int],
) -> FileArray:
    """``kernel`` with its input channels in the order in which our model concatenates its maps.

    DeepLab's checkpoints have the pooled branch first.
    """
    parts = [frozenset(pairs[i] for i in part) for part in mine.links.parts]
    if len(parts) < 2 or any(len(part) != 1 for part in parts):
        return kernel
    theirs = list(layer.links.parts) if layer.links else []
    if layer.links is None:
        is_pooled = [own[next(iter(part))].links.is_pooled for part in mine.links.parts]
        theirs = [part for part, pooled in zip(parts, is_pooled, strict=True) if pooled]
        theirs += [part for part in parts if part not in theirs]
    widths = [len(found[next(iter(part))].kernel) for part in theirs]
    if sorted(map(sorted, theirs)) != sorted(map(sorted, parts)) or sum(widths) != kernel.shape[1]:
        raise InputError(f"{layer.name} reads other maps than {mine.name}: use a config of the file's head.")
    starts = dict(zip(theirs, np.cumsum([0, *widths[:-1]]).tolist(), strict=True))
    channels = [starts[part] + i for part in parts for i in range(widths[theirs.index(part)])]
    return kernel[:, channels]


def _tensors(mine: ModelLayer, layer: Layer) -> StateDict:
    """The tensors of one of our layers and of its BatchNorm, if it has one."""
    kernel = np.asarray(layer.kernel, dtype=np.float32)
    bias = np.zeros(len(kernel), np.float32) if layer.bias is None else np.asarray(layer.bias, np.float32)
    norm = layer.norm
    state: StateDict = {}
    if mine.norm is not None and norm is not None:
        if not mine.has_bias:  # a bias before a BatchNorm moves its mean
            norm, bias = replace(norm, mean=norm.mean - bias), np.zeros_like(bias)
    elif norm is not None:
        scale = norm.gamma / np.sqrt(norm.variance + norm.eps)
        kernel, bias = kernel * scale[:, None, None, None], (bias - norm.mean) * scale + norm.beta
    elif mine.norm is not None:
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        norm, bias = Norm(ones, bias, zeros, ones, 0.0), zeros
    if mine.norm is not None and norm is not None:
        # Another epsilon than the model's would change the output.
        gamma = norm.gamma * np.sqrt((norm.variance + mine.norm_eps) / (norm.variance + norm.eps))
        values = {"weight": gamma, "bias": norm.beta, "running_mean": norm.mean, "running_var": norm.variance}
        state |= {f"{mine.norm}.{name}": _tensor(value) for name, value in values.items()}
    if mine.has_bias:
        state[f"{mine.name}.bias"] = _tensor(bias)
    elif bias.any():
        raise InputError(
            f"{layer.name} has a bias, {mine.name} of the model none: use a config of the file's head."
        )
    state[f"{mine.name}.weight"] = _tensor(kernel[:, :, 0, 0] if mine.is_dense else kernel)
    return state


def _nodes(
    model: VisionModel, part: nn.Module, own: Sequence[ModelLayer], found: Sequence[Layer]
) -> dict[str, str]:
    """Our layers by their name in the whole model -> nodes of the file's graph, in the order of running."""
    place = next(f"{name}." if name else "" for name, module in model.named_modules() if module is part)
    return {place + a.name: b.node for a, b in zip(own, found, strict=True) if b.node}


def _tensor(values: FileArray) -> Tensor:
    """A tensor of its own memory."""
    return torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
