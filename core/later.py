"""Classes by name: their modules are imported when they are first needed."""

from __future__ import annotations

import importlib
import inspect
from typing import Any


class Later:
    """Stands for the class ``name`` of ``module`` without importing it.

    It can be called, subclassed, inspected and used in ``isinstance`` like the class itself.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __eq__(self, other: object) -> bool:
        return type(other) is Later and (other.module, other.name) == (self.module, self.name)

    def __hash__(self) -> int:
        return hash((self.module, self.name))

    def __repr__(self) -> str:
        return f"<class {self.module}.{self.name}>"

    def resolve(self) -> type[Any]:
        """The class, imported."""
        found: type[Any] = getattr(importlib.import_module(self.module), self.name)
        return found

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.resolve()(*arguments, **options)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type[Any], ...]:
        return (self.resolve(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.resolve())

    def __subclasscheck__(self, other: type[Any]) -> bool:
        return issubclass(other, self.resolve())

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return inspect.signature(self.resolve())
        if name.startswith("__") and name != "__qualname__":
            raise AttributeError(name)  # such as the protocols of copying and pickling
        return getattr(self.resolve(), name)
