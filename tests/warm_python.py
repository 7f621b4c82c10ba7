"""A Python that has imported the libraries already and runs each command in a fork of itself.

    python warm_python.py

A line of JSON on its input is a command: ``words`` (as after ``python``), ``cwd``, ``environment``, the files
``output`` and ``errors``, and ``seconds``, the longest that it may take. The answer is a line with the exit
code, as Popen gives it. An interpreter of its own spends 6 seconds on imports, most of a short command.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn


def import_libraries() -> None:
    """What training, scoring, prediction and export import, but nothing that starts threads."""
    import albumentations
    import lightning
    import onnx
    import torch

    import pocketvision.evaluation.evaluate
    import pocketvision.tasks.trainer

    assert albumentations and lightning and onnx and torch and pocketvision


def take_on(request: dict[str, Any]) -> None:
    """Make this process the one that the request describes."""
    signal.alarm(request["seconds"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((0, os.devnull), (1, request["output"]), (2, request["errors"])):
        file = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)


def run(words: list[str]) -> None:
    """What ``python WORDS`` runs: a script, or ``-m`` and a module."""
    is_module = words[0] == "-m"
    sys.argv = words[1:] if is_module else words
    sys.path.insert(0, str(Path.cwd() if is_module else Path(words[0]).resolve().parent))
    if is_module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def run_and_exit(words: list[str]) -> NoReturn:
    """With the exit code of ``python WORDS``, but without freeing, module by module, what is loaded."""
    try:
        run(words)
        code: object = 0
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def main() -> None:
    sys.path.pop(0)  # this folder, in which `datasets` is a folder of tests
    import_libraries()
    gc.freeze()  # what is loaded stays shared with the forks
    requests, answers = os.dup(0), os.dup(1)
    with os.fdopen(requests, encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            child = os.fork()
            if child == 0:
                take_on(request)
                run_and_exit(request["words"])
            _, status = os.waitpid(child, 0)
            os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
