"""Whether an imported segmenter gives every pixel the class that its file's graph gives it."""

from __future__ import annotations

import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.models import Enlarge, Segmenter
from pocketvision.published.tensorflow.graph import FileGraph
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.last_resizes import last_resizes
from pocketvision.published.tensorflow.layers import last_layers
from pocketvision.published.tensorflow.run_graph import GraphRun, NotRunnableError


def same_labels(model: Segmenter, graph: FileGraph, run: GraphRun, image: Tensor) -> str:
    """For how many pixels of a normalized ``image`` (1, 3, H, W) the best class is that of the graph behind
    its last resize, as the end of a sentence; nothing where the graph has none.

    ``run`` is of this image. Classes that the model has in another order are told by their maps.
    """
    nodes = [layer.node for layer in last_layers(find_layers(graph))]
    try:
        resizes = last_resizes(graph, nodes)
        theirs = run.value(resizes[-1].node) if resizes else None
    except (InputError, NotRunnableError):
        return ""
    enlarge = model.enlarge or Enlarge("half_pixel")
    ours = enlarge(model.head(model.backbone(image)), (image.shape[2], image.shape[3]))
    if theirs is None or ours.shape[2:] != theirs.shape[2:]:
        return ""
    maps, others = (values[0].double().flatten(1) for values in (ours, theirs))
    class_of = torch.cdist(maps, others).argmin(dim=1)
    share = float((class_of[maps.argmax(dim=0)] == others.argmax(dim=0)).double().mean())
    return f"; behind its last resize {share:.2%} of {maps.shape[1]} pixels are of the same class"
