"""Run a model on shapes alone, and see every operation that it runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree

from pocketvision.core.structures import Size
from pocketvision.costs.operators import FUSED, MADDS, SHAPES, UNTAGGED


@dataclass(frozen=True)
class OpCost:
    """One operation that ran: in which module, what it wrote, and what was alive meanwhile."""

    module: str
    kind: str
    """Class of the module."""
    op: str
    """Name of torch's operator, without the underscore of an in-place one."""
    output_shape: tuple[int, ...]
    madds: int
    live_bytes: int


def trace_ops(model: nn.Module, image_size: Size, in_channels: int, dtype: torch.dtype) -> list[OpCost]:
    """Operations of ``model`` in inference on one float image, in the order in which they run.

    The image has no values, so nothing is computed: any size takes the same time and no memory.
    ``model`` itself isn't touched. ``dtype`` is what activations are stored in.

    Raises:
        ValueError: the forward pass depends on values, so that shapes alone can't run it.
    """
    twin = _twin(model)  # hooks stay off `model`
    trace = _Trace(dtype.itemsize)
    for name, module in twin.named_modules():
        module.register_forward_pre_hook(trace.enter(name, type(module).__name__))
        module.register_forward_hook(trace.leave)
    image = _Shape(torch.empty(1, in_channels, *image_size, device="meta"), trace)
    trace.write(image.on_meta)
    try:
        with torch.no_grad(), _basic_operators():
            outputs = twin(image)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{type(model).__name__} does not run on shapes alone at {image_size} ({reason}): "
            "count the parts before the operation that needs values."
        ) from error
    for output in _pytree.tree_leaves(outputs):
        if isinstance(output, _Shape):
            trace.read(output.on_meta)
    return trace.finish()


def _twin(model: nn.Module) -> nn.Module:
    """A copy in inference mode that shares parameters and buffers.

    Each module has a dozen empty dicts for hooks, on which copying spends most of its time otherwise.
    """
    tensors = [*model.parameters(), *model.buffers()]
    attributes = [value for module in model.modules() for value in vars(module).values()]
    empty = {id(value): type(value)() for value in attributes if isinstance(value, dict) and not value}
    return copy.deepcopy(model, {**empty, **{id(tensor): tensor for tensor in tensors}}).eval()


@contextmanager
def _basic_operators() -> Iterator[None]:
    """Attention as matrix products: torch's fused kernels would hide them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass
class _Event:
    """An operation as it was seen: storages are known by their address."""

    module: tuple[str, str]
    op: str
    overwrites: bool
    output_shape: tuple[int, ...]
    madds: int
    inputs: list[int]
    outputs: list[int]


@dataclass
class _Trace:
    """Operations in the order in which they ran, and the storages that they read and wrote."""

    itemsize: int
    events: list[_Event] = field(default_factory=list)
    stack: list[tuple[str, str]] = field(default_factory=list)
    size: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)
    """Every tensor, so that no address is used twice."""

    def enter(self, name: str, kind: str) -> Callable[..., None]:
        return lambda *_: self.stack.append((name, kind))

    def leave(self, *_: Any) -> None:
        self.stack.pop()

    def write(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        address: int = storage._cdata
        if address not in self.size:
            self.kept.append(tensor)
            itemsize = self.itemsize if tensor.is_floating_point() else tensor.itemsize
            self.size[address] = storage.nbytes() // tensor.itemsize * itemsize
            self.first[address] = len(self.events)
        return self.read(tensor)

    def read(self, tensor: Tensor) -> int:
        address: int = tensor.untyped_storage()._cdata
        self.last[address] = len(self.events)
        return address

    def record(self, func: Any, args: Sequence[Any], inputs: list[Tensor], outputs: list[Tensor]) -> None:
        op = func.overloadpacket.__name__.removesuffix("_")
        if op not in MADDS and FUSED.search(op):
            raise RuntimeError(f"the multiplications inside torch's {op} are not known")
        read = [self.read(tensor) for tensor in inputs]
        written = [self.write(tensor) for tensor in outputs]
        self.events.append(
            _Event(
                module=self.stack[-1],
                op=op,
                overwrites=torch.Tag.pointwise in func.tags or op in UNTAGGED,
                output_shape=tuple(outputs[0].shape),
                madds=MADDS[op](args, outputs[0]) if op in MADDS else 0,
                inputs=read,
                outputs=written,
            )
        )

    def finish(self) -> list[OpCost]:
        """Operations with the bytes that were alive during each."""
        buffer = {address: address for address in self.size}
        for i, event in enumerate(self.events):
            free = [a for a in event.inputs if self.last[a] == i] if event.overwrites else []
            for new in event.outputs:
                reused = next((a for a in free if self.size[a] == self.size[new] and a != new), None)
                if self.first[new] == i and reused is not None:
                    buffer[new] = buffer[reused]
                    free.remove(reused)
        end = dict.fromkeys(buffer.values(), 0)
        for address, owner in buffer.items():
            end[owner] = max(end[owner], self.last[address])
        steps = [0] * (len(self.events) + 2)
        for owner, last in end.items():
            steps[self.first[owner]] += self.size[owner]
            steps[last + 1] -= self.size[owner]
        live, costs = 0, []
        for event, step in zip(self.events, steps, strict=False):
            live += step
            costs.append(OpCost(*event.module, event.op, event.output_shape, event.madds, live))
        return costs


class _Shape(Tensor):
    """A tensor without values that says it is on the CPU, where models may ask for a device.

    It records every operation on it, below autograd, where only torch's basic operators are left:
    a functional convolution or a matrix product by ``@`` is seen like a layer's. What is computed
    from weights and constants alone is no activation and isn't seen.
    """

    on_meta: Tensor
    recorder: _Trace

    @staticmethod
    def __new__(cls, inner: Tensor, trace: _Trace) -> _Shape:
        wrapper: _Shape = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=torch.device("cpu")
        )
        wrapper.on_meta, wrapper.recorder = inner, trace
        return wrapper

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch declares it as a method of an instance
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        leaves = _pytree.tree_leaves((args, kwargs))
        wrappers = [leaf for leaf in leaves if isinstance(leaf, _Shape)]
        target = args[0] if args else None
        if func._schema.is_mutable and isinstance(target, Tensor) and not isinstance(target, _Shape):
            raise RuntimeError(f"{func} writes an activation into a constant, which then isn't followed")
        trace, known = wrappers[0].recorder, {id(wrapper.on_meta): wrapper for wrapper in wrappers}
        args, kwargs = _pytree.tree_map(_on_meta, (args, kwargs or {}))
        result = _run(func, args, kwargs)
        outputs = [leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        if outputs:
            trace.record(func, args, [wrapper.on_meta for wrapper in wrappers], outputs)

        def wrap(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            return known[id(leaf)] if id(leaf) in known else _Shape(leaf, trace)

        return _pytree.tree_map(wrap, result)


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The operator on shapes; torch's rules for what models have most of are slow and import its compiler."""
    is_inplace = func._schema.is_mutable and func._schema.name.endswith("_")
    if is_inplace and torch.Tag.inplace_view not in func.tags:
        return args[0]
    name, tensors = func.overloadpacket.__name__, [arg for arg in args if isinstance(arg, Tensor)]
    is_float = len({tensor.dtype for tensor in tensors}) == 1 and tensors[0].is_floating_point()
    if name in SHAPES and is_float and not func._schema.is_mutable:
        return tensors[0].new_empty(SHAPES[name]([tensor.shape for tensor in tensors]))
    if func is torch.ops.aten.mean.dim and is_float:
        return torch.ops.aten.sum.dim_IntList(*args, **kwargs)
    if (
        func is torch.ops.aten.native_batch_norm.default
    ):  # with running statistics: (output, nothing, nothing)
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    return func(*args, **kwargs)


def _on_meta(leaf: Any) -> Any:
    if isinstance(leaf, _Shape):
        return leaf.on_meta
    if isinstance(leaf, Tensor):
        return leaf.to("meta")
    return torch.device("meta") if isinstance(leaf, torch.device) else leaf
