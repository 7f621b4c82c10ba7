"""The command ``pocketvision X ...``: the same as ``python tools/X.py ...``."""

from __future__ import annotations

import difflib
import importlib
import sys

COMMANDS = {
    "train": "train a config, or a data set without one, into a run folder",
    "tune": "search for hyper-parameters in short trainings",
    "eval": "score a run or a weights file",
    "predict": "find objects or masks in images, videos and streams",
    "rank": "say which pictures to label next",
    "adapt": "narrow a trained network to a latency on your device",
    "search": "choose the blocks of a network for your device",
    "compare": "test whether one run is better than another on the same images",
    "check-data": "find what is wrong with a data set",
    "show-data": "show what a model is trained on",
    "export": "write a model for ONNX Runtime, OpenVINO or PyTorch",
    "benchmark": "time models on this machine, in every backend",
    "cost": "count parameters, multiply-adds and memory",
    "import-weights": "convert weights of torchvision, timm or TensorFlow",
    "convert-data": "write a detection data set in another format",
    "doctor": "say what is installed and what this machine has",
}


def main() -> int:
    """Run the command that ``sys.argv`` names and return its exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: pocketvision COMMAND ...\n\ncommands (each knows --help):")
        print("\n".join(f"  {command:<15} {text}" for command, text in COMMANDS.items()))
        print("\nother options: --version, --completion bash|zsh")
        return 0
    if name == "--version":
        from pocketvision import __version__

        print(__version__)
        return 0
    if name == "--completion":
        return print_completion(*sys.argv[2:3])
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        print(f"error: There is no command '{name}'.{hint} Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    tool = importlib.import_module(f"pocketvision.tools.{name.replace('-', '_')}")
    code: int = tool.main(sys.argv[2:])
    if name in ("train", "tune"):
        from pocketvision.core.processes import leave

        leave(code)
    return code


def print_completion(shell: str = "") -> int:
    """Print what a shell evaluates to complete commands and options; the exit code."""
    from pocketvision.completion import completion
    from pocketvision.core.errors import InputError

    try:
        print(completion(shell, COMMANDS), end="")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
