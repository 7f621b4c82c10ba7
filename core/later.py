"""Classes by name: their modules are imported when they are first needed."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Later:
    """Stands for the class ``name`` of ``module`` without importing it.

    It can be called, subclassed, inspected and used in ``isinstance`` like the class itself.
    """

    module: str
    name: str

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

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return inspect.signature(self.resolve())
        if name.startswith("__") and name != "__qualname__":
            raise AttributeError(name)  # such as the protocols of copying and pickling
        return getattr(self.resolve(), name)
