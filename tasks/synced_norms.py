"""BatchNorm statistics of the joint batch of several GPUs, and ordinary layers again afterwards."""

from __future__ import annotations

from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import nn

from pocketvision.core.layers import BatchNorm


class SyncedNorms(LayerSync):
    """``trainer.sync_batchnorm=True``: every BatchNorm but the frozen ones becomes a SyncBatchNorm.

    PyTorch's own conversion would thaw frozen layers, and Lightning's way back gives another class. One that
    was frozen meanwhile comes back frozen.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        return _replace(model, (BatchNorm, nn.BatchNorm2d), nn.SyncBatchNorm, with_frozen=False)

    def revert(self, model: nn.Module) -> nn.Module:
        return _replace(model, (nn.SyncBatchNorm,), BatchNorm, with_frozen=True)


def _replace(
    model: nn.Module, old: tuple[type[nn.Module], ...], new: type[nn.Module], *, with_frozen: bool
) -> nn.Module:
    """``model`` with its layers of some classes as those of another, weights and statistics shared."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            is_frozen = getattr(layer, "is_frozen", False)
            if type(layer) in old and (with_frozen or not is_frozen):
                other = new(layer.num_features, layer.eps, layer.momentum)
                other.train(layer.training)
                if is_frozen:
                    other.is_frozen = True  # type: ignore[assignment]  # as BatchNorm declares it
                for key, value in (*layer.named_parameters(), *layer.named_buffers()):
                    setattr(other, key, value)
                setattr(parent, name, other)
    return model
