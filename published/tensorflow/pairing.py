"""Pair the layers of a model with those of a file, by how they are connected or by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.layers import Layer, Links
from pocketvision.published.tensorflow.model_layers import ModelLayer
from pocketvision.published.tensorflow.names import model_role, tensorflow_role

Fits = Callable[[ModelLayer, Layer], bool]
_LOOK_AHEAD = 3
_DENSE_ROLES = ("class", "box", "pooled", "branch", "mix", "low", "high")
"""What the roles of detectors' and segmenters' layers begin with."""


def pair_by_structure(
    own: Sequence[ModelLayer], found: Sequence[Layer], fits: Fits, fits_well: Fits
) -> list[int]:
    """For each layer of the model the position of the layer of the file that does the same.

    They have the same inputs, and kernels that fit. Where that leaves a choice - the class and box
    branches of a detector read the same map - it decides whether what follows fits, and fits well
    here or elsewhere, then stride, pooling and dilation, at last the names.

    Raises:
        InputError: a layer has no partner, or more than one.
    """
    graphs = _Graphs(own, found)
    choices = (
        partial(graphs.continues, test=fits),
        partial(graphs.continues, test=fits_well),
        partial(graphs.is_free, test=fits_well),
        graphs.is_alike,
        graphs.has_role,
    )
    free = defaultdict(list)
    for index, links in enumerate(graphs.found_links):
        free[links.inputs].append(index)
    pairs: list[int] = []
    for mine, layer in enumerate(own):
        candidates = free[frozenset(pairs[i] for i in layer.links.inputs)]
        fitting = [index for index in candidates if fits(layer, found[index])]
        if not fitting:
            raise _no_partner(layer, [found[index] for index in candidates])
        for choice in choices:
            if len(fitting) > 1:
                fitting = [index for index in fitting if choice(mine, index)] or fitting
        if len(fitting) > 1:
            raise InputError(
                f"{layer.name} could be any of {', '.join(found[index].name for index in fitting)}: "
                "the file has neither names nor a structure that tell them apart."
            )
        pairs.append(fitting[0])
        candidates.remove(fitting[0])
    return pairs


class _Graphs:
    """A model's layers and a file's, with what follows each; methods compare two by their positions."""

    def __init__(self, own: Sequence[ModelLayer], found: Sequence[Layer]) -> None:
        self.own, self.found = own, found
        self.found_links = [layer.links or Links(frozenset()) for layer in found]
        self._own_after = _successors([layer.links for layer in own])
        self._found_after = _successors(self.found_links)

    def continues(self, mine: int, theirs: int, test: Fits, depth: int = _LOOK_AHEAD) -> bool:
        """Whether what follows ours can follow theirs too, a few layers far."""
        if not test(self.own[mine], self.found[theirs]):
            return False
        return depth == 0 or all(
            any(self.continues(ours, other, test, depth - 1) for other in self._found_after[theirs])
            for ours in self._own_after[mine]
        )

    def is_free(self, mine: int, theirs: int, test: Fits) -> bool:
        """Whether no other layer of ours that reads the same passes the test with it."""
        inputs = self.own[mine].links.inputs
        siblings = [i for i, other in enumerate(self.own) if other.links.inputs == inputs and i != mine]
        return not any(self.continues(i, theirs, test) for i in siblings)

    def is_alike(self, mine: int, theirs: int) -> bool:
        """Whether stride, pooling and dilation are the same."""
        ours, other = self.own[mine].links, self.found_links[theirs]
        return (ours.stride, ours.is_pooled, ours.dilation) == (other.stride, other.is_pooled, other.dilation)

    def has_role(self, mine: int, theirs: int) -> bool:
        """Whether the names say the same."""
        return tensorflow_role(self.found[theirs].name) == _role(self.own[mine])


def pair_by_name(own: Sequence[ModelLayer], found: Sequence[Layer], fits: Fits) -> list[int]:
    """The same for a file without a graph, whose names are those of TensorFlow's slim, DeepLab and detectors.

    Raises:
        InputError: a layer has no partner.
    """
    by_role = {tensorflow_role(layer.name): index for index, layer in enumerate(found)}
    pairs = []
    for layer in own:
        index = by_role.get(_role(layer))
        if index is None:
            raise _no_partner(layer, [])
        if not fits(layer, found[index]):
            raise _no_partner(layer, [found[index]])
        pairs.append(index)
    return pairs


def pair_by_order(own: Sequence[ModelLayer], found: Sequence[Layer], fits: Fits) -> list[int]:
    """The same for a file that has its layers in the order in which they run, as Keras' checkpoints do.

    Raises:
        InputError: a layer does not fit the file's layer in its place, or the file ends before.
    """
    for index, layer in enumerate(own):
        theirs = found[index : index + 1]
        if not theirs or not fits(layer, theirs[0]):
            raise _no_partner(layer, theirs)
    return list(range(len(own)))


def is_classifier(found: Sequence[Layer]) -> bool:
    """Whether a file's layers end in the classes of whole images: one output, behind a pooling.

    A checkpoint without a graph is one if its names say so; Keras' tell nothing.
    """
    links = [layer.links for layer in found]
    if any(link is None for link in links):
        roles = {tensorflow_role(layer.name) for layer in found}
        return "logits" in roles and not any(role.startswith(_DENSE_ROLES) for role in roles)
    known = [link for link in links if link is not None]
    used = frozenset[int]().union(*(link.inputs for link in known))
    outputs = [link for index, link in enumerate(known) if index not in used]
    if len(outputs) != 1:
        return False
    # V3 has a layer between the pooling and the classes.
    return outputs[0].is_pooled or (
        len(outputs[0].inputs) == 1 and all(known[index].is_pooled for index in outputs[0].inputs)
    )


def _role(layer: ModelLayer) -> str:
    """SSD's extra blocks have one full convolution for SSDLite's last two, named as the last."""
    role = model_role(layer.name)
    is_full = role.startswith("extra") and role.endswith("depthwise") and not layer.is_depthwise
    return role.replace("depthwise", "expand") if is_full else role


def _successors(links: Sequence[Links]) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in links]
    for index, link in enumerate(links):
        for source in link.inputs:
            after[source].append(index)
    return after


def _no_partner(layer: ModelLayer, candidates: Sequence[Layer]) -> InputError:
    shapes = ", ".join(f"{found.name} {found.kernel.shape}" for found in candidates[:3])
    there = f"the file has {shapes} there" if shapes else "the file has nothing there"
    return InputError(
        f"{layer.name} of the model has a kernel {layer.shape}, {there}: "
        "use a config of the file's architecture, width and output stride."
    )
