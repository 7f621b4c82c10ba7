"""Run by the converters' own Python: every program (.pt2) of a folder becomes a .tflite file there.

    python litert_layers_script.py REQUEST.json

The request names ``layers``, key -> program, ``output``, which gets key -> .tflite file, and ``report``. One
process converts them all, as importing the converter takes longer than a layer. A program whose file is
there goes; no network is reached.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Do what the request says."""
    # Beside this file, but on the path only where it is run as a script.
    from litert_script import convert, stay_offline, versions  # type: ignore[import-not-found]

    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    stay_offline()
    output, plan = Path(request["output"]), {}
    for key, name in request["layers"].items():
        program = output.parent / name
        plan[key] = program.with_suffix(".tflite").name
        convert(str(program), str(output.parent / plan[key]))
        program.unlink()
    output.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    Path(request["report"]).write_text(json.dumps({"versions": versions()}), encoding="utf-8")


if __name__ == "__main__":
    main()
