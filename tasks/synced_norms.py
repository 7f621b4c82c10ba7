"""BatchNorm statistics of the joint batch of several GPUs, and ordinary layers again afterwards."""

from __future__ import annotations

from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import nn

from pocketvision.core.layers import BatchNorm


class SyncedNorms(LayerSync):
    """``trainer.sync_batchnorm=True``: every BatchNorm but the frozen ones becomes a SyncBatchNorm.

    PyTorch's own conversion would thaw frozen layers, and Lightning's way back gives another class.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        return _replace(model, (BatchNorm, nn.BatchNorm2d), nn.SyncBatchNorm)

    def revert(self, model: nn.Module) -> nn.Module:
        return _replace(model, (nn.SyncBatchNorm,), BatchNorm)


def _replace(model: nn.Module, old: tuple[type[nn.Module], ...], new: type[nn.Module]) -> nn.Module:
    """``model`` with its layers of some classes as those of another, weights and statistics shared."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) in old and not getattr(layer, "is_frozen", False):
                other = new(layer.num_features, layer.eps, layer.momentum)
                other.train(layer.training)
                for key, value in (*layer.named_parameters(), *layer.named_buffers()):
                    setattr(other, key, value)
                setattr(parent, name, other)
    return model
