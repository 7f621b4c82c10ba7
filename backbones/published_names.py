"""The names of torchvision's and timm's MobileNets for the modules of ours."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pocketvision.backbones.architecture import Architecture

# timm's convolution and BatchNorm for our parts, in blocks with and without an expansion.
_TIMM_EXPANDED = {
    "expand":    ("conv_pw",  "bn1"),
    "depthwise": ("conv_dw",  "bn2"),
    "project":   ("conv_pwl", "bn3"),
}  # fmt: skip
_TIMM_SEPARABLE = {
    "depthwise": ("conv_dw", "bn1"),
    "project":   ("conv_pw", "bn2"),
    "pointwise": ("conv_pw", "bn2"),
}  # fmt: skip


def torchvision_names(
    architecture: Architecture, blocks: Sequence[nn.Module], *, has_last: bool
) -> dict[str, str]:
    """As in ``mobilenet_v2`` and ``mobilenet_v3_*``: everything lies in ``features``, by position.

    Raises:
        ValueError: MobileNetV1 and EdgeTPU, which torchvision does not have.
    """
    _refuse_edgetpu(architecture)
    version, num_blocks = architecture.version, len(architecture.blocks)
    if version == 1:
        raise ValueError("torchvision has no MobileNetV1: choose 'timm'.")
    names = _conv("stem", "features.0.0", "features.0.1")
    for index, block in enumerate(blocks):
        theirs = f"features.{index + 1}.{'conv' if version == 2 else 'block'}"
        for position, part in enumerate(_built_parts(block)):
            ours, at = f"blocks.{index}.{part}", f"{theirs}.{position}"
            if part == "squeeze":
                names |= {f"{ours}.reduce": f"{at}.fc1", f"{ours}.expand": f"{at}.fc2"}
            elif part == "project" and version == 2:  # not in a Sequential of its own
                names |= _conv(ours, at, f"{theirs}.{position + 1}")
            else:
                names |= _conv(ours, f"{at}.0", f"{at}.1")
    if has_last:
        names |= _conv("last", f"features.{num_blocks + 1}.0", f"features.{num_blocks + 1}.1")
    return names


def timm_names(architecture: Architecture, blocks: Sequence[nn.Module], *, has_last: bool) -> dict[str, str]:
    """As in ``mobilenetv1_*``, ``mobilenetv2_*``, ``mobilenetv3_*`` and ``tf_mobilenetv3_*``.

    Blocks are numbered within stages; V3's last layer is a stage, V2's is called ``conv_head``.

    Raises:
        ValueError: EdgeTPU, whose first block has an activation in timm, and no trained weights.
    """
    _refuse_edgetpu(architecture)
    stages = architecture.stage_sizes
    names = _conv("stem", "conv_stem", "bn1")
    for index, block in enumerate(blocks):
        theirs = f"blocks.{_within_stage(index, stages)}"
        parts = _built_parts(block)
        table = _TIMM_EXPANDED if "expand" in parts else _TIMM_SEPARABLE
        for part in parts:
            ours = f"blocks.{index}.{part}"
            if part == "squeeze":
                names[f"{ours}.reduce"] = f"{theirs}.se.conv_reduce"
                names[f"{ours}.expand"] = f"{theirs}.se.conv_expand"
            else:
                conv, norm = table[part]
                names |= _conv(ours, f"{theirs}.{conv}", f"{theirs}.{norm}")
    if has_last and architecture.version == 2:
        names |= _conv("last", "conv_head", "bn2")
    elif has_last:
        names |= _conv("last", f"blocks.{len(stages)}.0.conv", f"blocks.{len(stages)}.0.bn1")
    return names


def _refuse_edgetpu(architecture: Architecture) -> None:
    if architecture.version == "edgetpu":
        raise ValueError("only TensorFlow's slim has weights of this MobileNetEdgeTPU: give its file.")


def _conv(ours: str, conv: str, norm: str) -> dict[str, str]:
    return {f"{ours}.conv": conv, f"{ours}.norm": norm}


def _built_parts(block: nn.Module) -> list[str]:
    return [name for name, part in block.named_children() if not isinstance(part, nn.Identity)]


def _within_stage(index: int, stage_sizes: Sequence[int]) -> str:
    """Number of a block -> ``stage.position``."""
    stage = 0
    while index >= stage_sizes[stage]:
        index -= stage_sizes[stage]
        stage += 1
    return f"{stage}.{index}"
