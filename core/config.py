"""An experiment is a handful of partials; overrides from the command line walk into them."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from pocketvision.core.errors import InputError
from pocketvision.core.later import Later

_GIVEN_LATER = ("model", "class_names")
"""Arguments that the tools pass to ``task`` and ``model``; they can't be overridden."""
_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "\"'"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs; nothing is built until a tool calls the partials.

    ``model(class_names)`` builds the model, ``task(model, ...)`` the LightningModule and ``data()``
    the data module; ``trainer`` holds arguments of ``lightning.Trainer``. ``class_names`` None
    means: taken from the data once and frozen into the run folder. A checkpoint to go on from is
    written every ``checkpoint_minutes`` and after every epoch. With ``recipe`` "auto" the train command
    derives steps, rates, averaging and freezing from the data; what the command line states stays.
    Training ends after ``minutes``, if that is given, with its schedule at its end. Pictures in the folder
    ``unlabelled`` are labeled by the trained model, which then trains on with them
    (:mod:`pocketvision.tasks.unlabelled`).
    """

    model: Callable[..., Any]
    task: Callable[..., Any]
    data: Callable[..., Any]
    trainer: Mapping[str, Any] = field(default_factory=dict)
    class_names: Sequence[str | None] | None = None
    seed: int = 0
    checkpoint_minutes: float = 5.0
    recipe: Literal["fixed", "auto"] = "fixed"
    minutes: float | None = None
    unlabelled: str | None = None


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """``["a.b=1", "c=x"]`` -> ``{"a.b": 1, "c": "x"}``: values are Python literals, else text.

    Raises:
        InputError: a word is not of the form ``part.key=value``.
    """
    overrides = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise InputError(f"'{word}' is not an override: write part.key=value, such as data.batch_size=8.")
        try:
            overrides[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            overrides[key] = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    return overrides


def split_list(text: str) -> list[str]:
    """The parts between commas that are in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        else:
            depth += (character in _OPENING) - (character in _CLOSING)
            if character == "," and depth == 0:
                parts.append("")
                continue
        parts[-1] += character
    return parts


def apply_overrides(
    experiment: Experiment, overrides: Mapping[str, Any], trainer_keys: Iterable[str] = ()
) -> Experiment:
    """Replace values deep inside an experiment; nothing given is changed in place.

    ``trainer_keys`` are names that ``trainer`` may have beside those that it states.

    Raises:
        InputError: a name is unknown; the sentence lists the known names and the nearest one.
    """
    result: Any = experiment
    known = {"trainer": tuple(trainer_keys)}
    for key, value in overrides.items():
        result = _replace(result, key.split("."), value, key, known)
    assert isinstance(result, Experiment)
    return result


def _replace(
    part: Any, path: list[str], value: Any, key: str, also_known: Mapping[str, Sequence[str]]
) -> Any:
    """``part`` with the value at ``path`` replaced; ``also_known`` adds names, by the path of their owner."""
    name, rest = path[0], path[1:]
    owner = key.removesuffix(".".join(path)).rstrip(".")
    known = {**dict.fromkeys(also_known.get(owner, ())), **parameters(part)}
    if name not in known:
        raise InputError(_unknown(key, name, sorted(known), owner))
    if rest:
        value = _replace(known[name], rest, value, key, also_known)
    if isinstance(part, partial):
        return partial(part.func, *part.args, **{**part.keywords, name: value})
    if isinstance(part, Mapping):
        return {**part, name: value}
    if _is_value(part):
        return dataclasses.replace(part, **{name: value})
    return partial(part, **{name: value})


def _unknown(key: str, name: str, known: list[str], owner: str) -> str:
    where = f"'{owner}' has" if owner else "an experiment has"
    if not known:
        return f"Unknown override '{key}': {where} nothing to set inside."
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown override '{key}':{hint} {where}: {', '.join(known)}."


def _is_value(part: Any) -> bool:
    """Whether it is a dataclass with fields to set, not something that makes one."""
    return dataclasses.is_dataclass(part) and not isinstance(part, type)


def parameters(part: Any) -> dict[str, Any]:
    """Names that can be set in a partial, class, function, dataclass or dict, with their values."""
    if isinstance(part, Mapping):
        return dict(part)
    if _is_value(part):
        return {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init}
    keywords = part.keywords if isinstance(part, partial) else {}
    function = part.func if isinstance(part, partial) else part
    if not callable(function):
        return {}
    if isinstance(function, Later):
        function = function.resolve()
    try:
        signature = _signature(function)
    except ValueError:  # some builtins have none
        return dict(keywords)
    own = {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in signature.items()
        if parameter.kind in _NAMED and not (name in _GIVEN_LATER and parameter.default is parameter.empty)
    }
    return {**own, **keywords}


def value_at(part: Any, key: str) -> Any:
    """What an override ``key`` would replace in a part; None where it has no such name."""
    for name in key.split("."):
        part = parameters(part).get(name)
    return part


def _signature(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters of a function or class; where a class takes ``**options``, its base's too."""
    own = dict(inspect.signature(function).parameters)
    passes_on = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values())
    if passes_on and isinstance(function, type):
        inherited = _signature(function.__mro__[1])
        own = {**inherited, **{name: p for name, p in own.items() if p.kind in _NAMED}}
    return own


def describe(part: Any, indent: int = 0) -> str:
    """An experiment as readable text, one value a line: what ``--print-config`` shows."""
    pad = "    " * indent
    if isinstance(part, partial) or (callable(part) and not _is_value(part)):
        function = part.func if isinstance(part, partial) else part
        title = getattr(function, "__qualname__", repr(function))
        items = parameters(part).items() if isinstance(part, partial) else ()
    elif isinstance(part, Mapping) or _is_value(part):
        title = "dict" if isinstance(part, Mapping) else type(part).__name__
        items = parameters(part).items()
    else:
        return repr(part)
    lines = [f"{pad}    {name}={describe(value, indent + 1)}," for name, value in items]
    return "\n".join([f"{title}(", *lines, f"{pad})"]) if lines else f"{title}()"


def flat(part: Any, path: str = "") -> dict[str, int | float | str]:
    """The values of an experiment by the names that overrides have; what is no number is text."""
    if isinstance(part, (int, float, str)):
        return {path: part}
    is_made_later = isinstance(part, partial) or (callable(part) and not _is_value(part))
    if not (is_made_later or isinstance(part, Mapping) or _is_value(part)):
        return {path: repr(part)}
    function = part.func if isinstance(part, partial) else part
    title = getattr(function, "__qualname__", type(part).__name__)
    own: dict[str, int | float | str] = {path: title} if path and not isinstance(part, Mapping) else {}
    items = {} if is_made_later and not isinstance(part, partial) else parameters(part)
    for name, value in items.items():
        own |= flat(value, f"{path}.{name}" if path else name)
    return own
