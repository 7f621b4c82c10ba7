"""Find the layers among a checkpoint's variables, which have names, or an order, but no graph."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.layers import (
    FileArray,
    Layer,
    Norm,
    conv_kernel,
    dense_kernel,
    depthwise_kernel,
)

_AVERAGE = "/ExponentialMovingAverage"
_KERNELS: dict[tuple[str, int], Callable[[FileArray], FileArray]] = {
    ("weights", 4): conv_kernel,
    ("weights", 2): dense_kernel,
    ("depthwise_weights", 4): depthwise_kernel,
}
"""Name and number of dimensions of a kernel."""
_NORM = ("beta", "moving_mean", "moving_variance")
_EPS = 1e-3
_DEEPLAB_EPS = 1e-5
_DEEPLAB_HEAD = re.compile(r"(image_pooling|aspp\d+(_depthwise|_pointwise)?|concat_projection|decoder)(/|$)")
"""Scopes whose BatchNorm has DeepLab's own epsilon (tensorflow/models, research/deeplab/model.py)."""

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_KERAS_LAYER = re.compile(r"(?:^|/)layer_with_weights-(\d+)(?=/)")
_KERAS_KERNELS: Sequence[tuple[str, int, Callable[[FileArray], FileArray]]] = (
    ("depthwise_kernel", 4, depthwise_kernel),
    ("pointwise_kernel", 4, conv_kernel),
    ("kernel",           4, conv_kernel),
    ("kernel",           2, dense_kernel),
)  # fmt: skip
"""Name and number of dimensions, in the order in which a separable convolution has them."""

Variables = Mapping[str, npt.NDArray[Any]]


def find_layers(variables: Variables) -> list[Layer]:
    """Layers by scope: ``S/weights`` or ``S/depthwise_weights`` with ``S/biases`` and ``S/BatchNorm/...``.

    Where a variable has a moving average, that is used, as TensorFlow's own evaluation and export do.
    A checkpoint doesn't say the BatchNorms' epsilon: it is 1e-3 in slim and the Object Detection API,
    1e-5 in DeepLab's heads.

    Keras names variables by the position of their layer in the model
    (``layer_with_weights-3/kernel/.ATTRIBUTES/VARIABLE_VALUE``): then the layers have the model's order,
    and a BatchNorm belongs to the convolution before it. Its MobileNets have an epsilon of 1e-3.

    Raises:
        InputError: a BatchNorm is incomplete or a shape is wrong.
    """
    values = _averaged(variables)
    if any(is_keras_name(name) for name in values):
        return _keras_layers(values)
    layers = []
    for name, value in values.items():
        scope, _, kind = name.rpartition("/")
        to_torch = _KERNELS.get((kind, value.ndim))
        if to_torch is not None:
            kernel = to_torch(value)
            norm = _norm(values, scope, len(kernel))
            is_depthwise = to_torch is depthwise_kernel
            layers.append(Layer(scope, kernel, is_depthwise, values.get(f"{scope}/biases"), norm))
    return layers


def _averaged(variables: Variables) -> dict[str, npt.NDArray[np.float32]]:
    """Float variables without those of the optimizer, each replaced by its moving average if it has one."""
    names = [name for name in variables if not name.endswith(_AVERAGE)]
    return {
        name: np.asarray(variables.get(name + _AVERAGE, variables[name]), dtype=np.float32)
        for name in names
        if variables[name].dtype.kind == "f"
    }


def _norm(values: Mapping[str, npt.NDArray[np.float32]], scope: str, channels: int) -> Norm | None:
    found = {kind: values.get(f"{scope}/BatchNorm/{kind}") for kind in ("gamma", *_NORM)}
    if all(value is None for value in found.values()):
        return None
    if any(found[kind] is None for kind in _NORM):
        raise InputError(f"The BatchNorm of {scope} is incomplete: save all variables of the model.")
    gamma = np.ones(channels, np.float32) if found["gamma"] is None else found["gamma"]
    beta, mean, variance = (np.asarray(found[kind]) for kind in _NORM)
    in_head = _DEEPLAB_HEAD.match(scope) is not None
    return Norm(gamma, beta, mean, variance, _DEEPLAB_EPS if in_head else _EPS)


def is_keras_name(name: str) -> bool:
    """Whether a variable or layer is named by its position, as in Keras' checkpoints."""
    return _KERAS_LAYER.search(name) is not None


def _keras_layers(values: Mapping[str, npt.NDArray[np.float32]]) -> list[Layer]:
    groups: dict[tuple[int, ...], dict[str, npt.NDArray[np.float32]]] = defaultdict(dict)
    for name, value in values.items():
        if name.endswith(_VALUE) and is_keras_name(name) and ".OPTIMIZER_SLOT" not in name:
            place, _, kind = name.removesuffix(_VALUE).rpartition("/")
            groups[tuple(int(number) for number in _KERAS_LAYER.findall(f"{place}/"))][kind] = value
    layers: list[Layer] = []
    for numbers, group in sorted(groups.items()):
        name = "/".join(f"layer_with_weights-{number}" for number in numbers) + "/"
        if "moving_mean" in group:
            if not layers or layers[-1].norm is not None:
                raise InputError(f"{name} is a BatchNorm that no convolution stands before.")
            layers[-1] = replace(layers[-1], norm=_keras_norm(group, name, len(layers[-1].kernel)))
        found = [
            (to_torch, group[kind]) for kind, ndim, to_torch in _KERAS_KERNELS if _ndim(group, kind) == ndim
        ]
        for to_torch, kernel in found:
            bias = group.get("bias") if to_torch is found[-1][0] else None
            layers.append(Layer(name, to_torch(kernel), to_torch is depthwise_kernel, bias))
    return layers


def _ndim(group: Mapping[str, npt.NDArray[np.float32]], kind: str) -> int:
    return group[kind].ndim if kind in group else -1


def _keras_norm(group: Mapping[str, npt.NDArray[np.float32]], name: str, channels: int) -> Norm:
    beta = group.get("beta", np.zeros(channels, np.float32))
    gamma = group.get("gamma", np.ones(channels, np.float32))
    parts = (gamma, beta, group["moving_mean"], group.get("moving_variance", np.zeros(0, np.float32)))
    if any(part.shape != (channels,) for part in parts):
        raise InputError(f"{name} is a BatchNorm of another size than the convolution before it.")
    return Norm(*parts, _EPS)
