"""Weights for other classes: rows of classes that keep their name are kept, wherever they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.protocols import HasClassLayers
from pocketvision.core.weights import StateDict
from pocketvision.models import Detector, JointModel, VisionModel


class SurgeryReport(NamedTuple):
    """What became of the layers that have rows for classes."""

    num_layers: int
    num_kept: int
    num_old: int
    num_new: int

    def __str__(self) -> str:
        heads = f"{self.num_layers} class head{'s' if self.num_layers != 1 else ''}"
        change = f"({self.num_old} -> {self.num_new} classes)"
        if not self.num_kept:
            return f"{heads} re-initialized {change}"
        return f"{heads} kept {self.num_kept} classes by name {change}"


def class_layers(model: VisionModel) -> list[str]:
    """Names of the layers whose rows are classes, as far as the heads name them."""
    return [
        f"{part}.{layer}"
        for part, head in _heads(model).items()
        if isinstance(head, HasClassLayers)
        for layer in head.class_layers()
    ]


def _heads(model: VisionModel) -> dict[str, nn.Module]:
    """A model's heads by name."""
    return {name: part for name, part in model.named_children() if name in ("head", "auxiliary_head")}


def match_classes(
    model: VisionModel, state: StateDict, class_names: Sequence[str | None] | None, source: str = "the file"
) -> tuple[StateDict, SurgeryReport | None]:
    """``state``, of a model with ``class_names``, with the rows that ``model`` needs for its own classes.

    Rows of a name that both have are copied, and so is the background's; others keep their fresh values.
    Without ``class_names`` (a file that does not say) nothing is known of rows where the number differs.

    Returns:
        The state dict, and what was done; None if nothing was to do.

    Raises:
        InputError: the names differ, and a head does not say which of its layers have rows for classes.
    """
    own, names = model.state_dict(), model.class_names
    if class_names is not None and tuple(class_names) != names:
        _refuse_unnamed(model, source)
    layers = [layer for layer in class_layers(model) if f"{layer}.weight" in state]
    same_sizes = all(state[f"{layer}.weight"].shape == own[f"{layer}.weight"].shape for layer in layers)
    if not layers or (same_sizes and (class_names is None or tuple(class_names) == names)):
        return state, None
    background = int(isinstance(model, Detector) and model.score_function == "softmax")
    old = tuple(class_names or ())
    positions = {name: i for i, name in enumerate(old) if name is not None}
    kept = [(new, positions[name]) for new, name in enumerate(names) if name in positions]
    if background and old:
        kept.append((len(names), len(old)))
    adapted = dict(state)
    for layer in layers:
        for leaf in ("weight", "bias"):
            key = f"{layer}.{leaf}"
            adapted[key] = _copy_rows(
                state[key], own[key], kept, len(old) + background, len(names) + background
            )
    num_old = len(old) or state[f"{layers[0]}.weight"].shape[0]
    return adapted, SurgeryReport(len(layers), len(kept) - bool(background and old), num_old, len(names))


def _refuse_unnamed(model: VisionModel, source: str) -> None:
    """A head whose rows are not known would take those of other classes for its own."""
    if isinstance(model, JointModel):
        raise InputError(
            f"{source} was trained with other classes than the model's: a model of several tasks needs the "
            "same classes, in the same order."
        )
    for head in _heads(model).values():
        if not isinstance(head, HasClassLayers):
            raise InputError(
                f"{source} was trained with other classes than the model's, and a {type(head).__name__} "
                "has no class_layers(): give the model the same classes, in the same order."
            )


def _copy_rows(old: Tensor, new: Tensor, kept: list[tuple[int, int]], num_old: int, num_new: int) -> Tensor:
    """``new`` (A * num_new, ...) with the rows ``kept`` (new, old) taken from ``old`` (A * num_old, ...)."""
    result = new.clone()
    if not kept or old.shape[0] % num_old or old.shape[1:] != new.shape[1:]:
        return result
    rows = result.view(-1, num_new, *new.shape[1:])
    source = old.reshape(-1, num_old, *old.shape[1:])
    if rows.shape[0] == source.shape[0]:  # as many anchors a cell
        targets, sources = zip(*kept, strict=True)
        rows[:, list(targets)] = source[:, list(sources)].to(result)
    return result
