"""The backbone inside a file's layers, by how they are connected: stem, blocks, and who reads what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.layers import Layer, Links

LayerSet = frozenset[int]
"""What a layer reads: the layers whose outputs, summed where they are several, reach it."""


class FoundBlock(NamedTuple):
    """A block by its layers' positions: ``squeezed`` where two of them make a gate, ``output`` is what its
    followers read. One that ``is_fused`` has a whole convolution for ``depthwise``, or a lone projection."""

    expand: int | None
    depthwise: int
    squeezed: bool
    project: int
    output: LayerSet
    is_fused: bool = False


class Trunk(NamedTuple):
    """Stem and blocks of a file, as far as they follow each other."""

    stem: int
    blocks: tuple[FoundBlock, ...]


class LayerGraph:
    """A file's layers, and who reads what."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.links = [layer.links or Links(frozenset()) for layer in layers]
        self.readers: dict[LayerSet, list[int]] = defaultdict(list)
        self.used: set[int] = set()
        for index, links in enumerate(self.links):
            self.readers[links.inputs].append(index)
            self.used |= links.inputs

    @property
    def outputs(self) -> list[int]:
        """Layers that no other reads."""
        return [index for index in range(len(self.layers)) if index not in self.used]

    def is_pointwise(self, index: int) -> bool:
        """Whether a layer is a 1x1 convolution of a whole map."""
        layer = self.layers[index]
        is_small = layer.kernel.shape[2:] == (1, 1) and not layer.is_depthwise
        return is_small and not self.links[index].is_pooled

    def reading(self, *sources: int) -> list[int]:
        """Layers that read these, and only these."""
        return self.readers.get(frozenset(sources), [])


def find_trunk(graph: LayerGraph) -> Trunk:
    """Stem and blocks, of MobileNet's kinds, from the image on; blocks that extend a detector are among them.

    Raises:
        InputError: several layers read the image, or none.
    """
    stems = graph.readers.get(frozenset(), [])
    if len(stems) != 1:
        names = ", ".join(graph.layers[index].name for index in stems[:3]) or "no layer"
        raise InputError(f"The image is read by {names}: a MobileNet has one first layer.")
    blocks: list[FoundBlock] = []
    source = frozenset(stems)
    while (block := _next_block(graph, source) or _fused_block(graph, source, blocks)) is not None:
        blocks.append(block)
        source = block.output
    return Trunk(stems[0], tuple(blocks))


def _fused_block(graph: LayerGraph, source: LayerSet, before: Sequence[FoundBlock]) -> FoundBlock | None:
    """The block that reads ``source``, of a trunk that began so: a whole convolution and a 1x1, or as the
    very first one the 1x1 alone."""
    if not all(block.is_fused for block in before):
        return None
    for index in graph.readers.get(source, []):
        layer = graph.layers[index]
        if layer.is_depthwise or graph.links[index].is_pooled or layer.kernel.shape[2] == 1:
            continue
        for project in graph.reading(index):
            if _ends_block(graph, project):
                return _with_output(graph, source, FoundBlock(None, index, False, project, source, True))
    for project in graph.readers.get(source, []) if not before else ():
        alone = _with_output(graph, source, FoundBlock(None, project, False, project, source, True))
        if graph.is_pointwise(project) and _fused_block(graph, alone.output, [alone]):
            return alone
    return None


def _with_output(graph: LayerGraph, source: LayerSet, block: FoundBlock) -> FoundBlock:
    """The block with its output: with its input as well, where that is what others read."""
    both = source | {block.project}
    return block._replace(output=both if graph.readers.get(both) else frozenset({block.project}))


def _next_block(graph: LayerGraph, source: LayerSet) -> FoundBlock | None:
    """The block that reads ``source``: a depthwise layer, with a 1x1 convolution before it or not, and a
    1x1 convolution after it that others read."""
    for expand, depthwise in _beginnings(graph, source):
        for squeezed, project in _endings(graph, depthwise):
            return _with_output(graph, source, FoundBlock(expand, depthwise, squeezed, project, source))
    return None


def _beginnings(graph: LayerGraph, source: LayerSet) -> Iterator[tuple[int | None, int]]:
    for index in graph.readers.get(source, []):
        if graph.layers[index].is_depthwise:
            yield None, index
        elif graph.is_pointwise(index):
            yield from ((index, after) for after in graph.reading(index) if graph.layers[after].is_depthwise)


def _endings(graph: LayerGraph, depthwise: int) -> Iterator[tuple[bool, int]]:
    following = graph.reading(depthwise)
    for reduce in following:
        if graph.links[reduce].is_pooled:
            for excite in graph.reading(reduce):
                ends = graph.reading(depthwise, excite)
                yield from ((True, index) for index in ends if _ends_block(graph, index))
    yield from ((False, index) for index in following if _ends_block(graph, index))


def _ends_block(graph: LayerGraph, index: int) -> bool:
    return graph.is_pointwise(index) and index in graph.used
