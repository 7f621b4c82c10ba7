"""An experiment that was made in Python, as the text of a config that makes it again.

A run folder works from its config alone. What lies in installed packages is imported; functions and classes
of a notebook or of somebody's own files are copied, with what they use.
"""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.later import Later

_NAMED = (type, FunctionType, BuiltinFunctionType)
_PLAIN = (bool, int, str, bytes, type(None))
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}


def experiment_text(experiment: Experiment) -> str:
    """The config file.

    Raises:
        InputError: a part can't be written; the sentence names it.
    """
    writer = _Writer()
    stated = [f for f in fields(experiment) if getattr(experiment, f.name) != f.default]
    lines = [f"    {f.name}={writer.code(getattr(experiment, f.name), f.name)}," for f in stated]
    writer.bind("Experiment", Experiment, "config")
    return "\n".join(
        [
            '"""An experiment that was made in Python."""', "", "from __future__ import annotations", "",
            *writer.imports, "", *writer.definitions, "", "config = Experiment(", *lines, ")", "",
        ]
    )  # fmt: skip


class _Writer:
    """Code for values, with the imports and definitions that it needs, in their order."""

    def __init__(self) -> None:
        self.imports: list[str] = []
        self.definitions: list[str] = []
        self.names: dict[str, Any] = {}

    def code(self, value: Any, key: str) -> str:
        """An expression for ``value``; ``key`` is its place, for the sentence where there is none."""
        if isinstance(value, _PLAIN) and not isinstance(value, enum.Enum):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if abs(value) < float("inf") else f"float({str(value)!r})"
        if isinstance(value, partial):
            words = [self.code(value.func, key), *(self.code(word, key) for word in value.args)]
            options = self._options(value.keywords, key)
            return f"{self.name('partial', partial, key)}({', '.join([*words, *options])})"
        if isinstance(value, MethodType):
            return f"{self.code(value.__self__, key)}.{value.__name__}"
        if isinstance(value, _NAMED) or type(value) is Later:
            return self.name(value.name if type(value) is Later else value.__name__, value, key)
        if isinstance(value, enum.Enum):
            return f"{self.code(type(value), key)}.{value.name}"
        if isinstance(value, Path):
            return f"{self.name('Path', Path, key)}({str(value)!r})"
        if is_dataclass(value):
            given = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
            return f"{self.code(type(value), key)}({', '.join(self._options(given, key))})"
        return self._of_many(value, key)

    def _of_many(self, value: Any, key: str) -> str:
        if isinstance(value, Mapping):
            pairs = [f"{self.code(k, key)}: {self.code(v, f'{key}.{k}')}" for k, v in value.items()]
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{self.code(type(value), key)}({', '.join(self.code(v, key) for v in value)})"
        if type(value) in _BRACKETS and (value or not isinstance(value, set)):
            first, last = _BRACKETS[type(value)]
            comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
            return f"{first}{', '.join(self.code(v, key) for v in value)}{comma}{last}"
        raise _unfit(key, f"is a {type(value).__name__}")

    def _options(self, values: Mapping[str, Any], key: str) -> list[str]:
        return [f"{name}={self.code(value, f'{key}.{name}')}" for name, value in values.items()]

    def name(self, wanted: str, value: Any, key: str) -> str:
        """A name that stands for a function or class; another one than ``wanted`` where that is taken."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = wanted
        while name in self.names:
            name += "_"
        self.bind(name, value, key)
        return name

    def bind(self, name: str, value: Any, key: str) -> None:
        """Let ``name`` stand for ``value``.

        Raises:
            InputError: it stands for another, or the value has no code.
        """
        if self.names.get(name, value) is not value:
            raise InputError(f"Two parts of the experiment are called {name}: give one another name.")
        if name in self.names or getattr(builtins, name, None) is value:
            return
        self.names[name] = value
        if type(value) is Later:
            self.imports.append(f"from {_place(value)} import {value.name}{_renamed(value.name, name)}")
        elif isinstance(value, ModuleType):
            if _is_own(value):
                raise _unfit(key, f"uses your file {value.__name__}.py as a module: import names from it")
            self.imports.append(f"import {value.__name__} as {name}")
        elif not isinstance(value, _NAMED):
            self.definitions.append(f"{name} = {self.code(value, key)}\n")
        else:
            self._bind_named(name, value, key)

    def _bind_named(self, name: str, value: Any, key: str) -> None:
        if _is_own(sys.modules.get(value.__module__)):
            self._define(name, value, key)
        else:
            self._import(name, value, key)

    def _import(self, name: str, value: Any, key: str) -> None:
        first, *rest = value.__qualname__.split(".")
        if "<" in value.__qualname__:
            raise _unfit(key, f"is {value.__qualname__} of {value.__module__}, which can't be imported")
        if not rest:
            self.imports.append(f"from {value.__module__} import {first}{_renamed(first, name)}")
            return
        self.definitions.append(f"{name} = {'.'.join([self.name(first, _of(value, first), key), *rest])}\n")

    def _define(self, name: str, value: Any, key: str) -> None:
        if "<lambda>" in value.__qualname__:
            raise _unfit(key, "is a lambda: write a function with def")
        if "<locals>" in value.__qualname__:
            raise _unfit(key, f"is {value.__name__}, which is made inside a function: move it out of there")
        source = _source(value, key)
        known = vars(sys.modules[value.__module__])
        if self.names.setdefault(value.__name__, value) is not value:
            raise InputError(f"Two parts are called {value.__name__}: give one another name.")
        for used in sorted(_names_used(source) - {value.__name__}):
            if used in known:
                self.bind(used, known[used], key)
        self.definitions.append(source + "\n")
        if name != value.__name__:
            self.definitions.append(f"{name} = {value.__name__}\n")


def _renamed(name: str, wanted: str) -> str:
    return "" if name == wanted else f" as {wanted}"


def _place(later: Later) -> str:
    """The package that offers a class without importing it, else the module that it is in."""
    package = later.module.rpartition(".")[0]
    return package if getattr(sys.modules.get(package), later.name, None) == later else later.module


def _of(value: Any, first: str) -> Any:
    return vars(sys.modules[value.__module__])[first]


def _unfit(key: str, what: str) -> InputError:
    return InputError(
        f"The run folder can't keep the experiment's {key}: it {what}. Give literals, dataclasses, and "
        "partials of functions and classes, or a config file."
    )


def _is_own(module: ModuleType | None) -> bool:
    """Whether it is a notebook, a script or a file beside them: neither installed nor Python's own."""
    if module is None or module.__name__ == "__main__":
        return True
    file = getattr(module, "__file__", None)
    if file is None or module.__name__.partition(".")[0] == "pocketvision":
        return False
    path = Path(file).resolve()
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    return not path.is_relative_to(stdlib) and not {"site-packages", "dist-packages"} & {*path.parts}


def _source(value: Callable[..., Any], key: str) -> str:
    try:
        return textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        text = _source_of_cell(value) if isinstance(value, type) else None
        if text is None:
            raise _unfit(key, f"is {value.__name__}, whose code can't be found") from None
        return text


def _source_of_cell(value: type) -> str | None:
    """The code of a class in a notebook, found by its methods, as Python before 3.13 has no other way."""
    import linecache

    for method in vars(value).values():
        if not isinstance(method, FunctionType):
            continue
        text = "".join(linecache.getlines(method.__code__.co_filename))
        for node in ast.walk(ast.parse(text)) if text else ():
            if isinstance(node, ast.ClassDef) and node.name == value.__name__:
                lines = text.splitlines(keepends=True)
                first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
    return None


def _names_used(source: str) -> set[str]:
    """Names in code that are looked up when it runs; annotations are not."""

    class Names(ast.NodeVisitor):
        def __init__(self) -> None:
            self.found: set[str] = set()

        def visit_Name(self, node: ast.Name) -> None:
            self.found.add(node.id)

        def visit_arg(self, node: ast.arg) -> None:
            pass

        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            node.returns = None
            self.generic_visit(node)

        def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
            if node.value is not None:
                self.visit(node.value)

    names = Names()
    names.visit(ast.parse(source))
    return names.found
