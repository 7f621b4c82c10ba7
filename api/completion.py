"""Completion of the command line in bash and zsh: commands, their options, names of configs."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Iterable

_FUNCTION = """_pocketvision() {{
    local words
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; fi
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _pocketvision pocketvision
"""
_SHELLS = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}


def completion(shell: str, commands: Iterable[str]) -> str:
    """What the shell is to evaluate; paths complete as they do elsewhere.

    Raises:
        InputError: another shell than bash and zsh.
    """
    from pocketvision.core.command import shipped_configs
    from pocketvision.core.errors import InputError

    if shell not in _SHELLS:
        raise InputError(f"There is no completion for {shell or 'no shell'}: give {' or '.join(_SHELLS)}.")
    names = list(commands)
    cases = []
    for name in names:
        text = _help(name)
        configs = shipped_configs() if re.search(r"\bCONFIG\b", text) else ()
        cases.append(f'        {name}) words="{" ".join([*_options(text), *configs])}" ;;')
    return _SHELLS[shell] + _FUNCTION.format(cases="\n".join(cases), commands=" ".join(names))


def _help(command: str) -> str:
    tool = importlib.import_module(f"pocketvision.tools.{command.replace('-', '_')}")
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tool.main(["--help"])
    return text.getvalue()


def _options(text: str) -> list[str]:
    """The options in the list of a help text; those of its sentences are others'."""
    lines = re.findall(r"^  (?:-\w, )?(--[a-z][a-z0-9-]*)", text, flags=re.MULTILINE)
    return sorted(set(lines))
