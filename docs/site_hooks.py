"""What the site has beside the pages of this folder: every command's --help, and the changelog."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files  # type: ignore[import-not-found]

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = """# Commands

What `--help` says, written when this site was built. `pocketvision COMMAND ...` and, in a clone,
`uv run pocketvision COMMAND ...` are the same.
"""


def on_config(config: Any) -> Any:
    """Put guides that the navigation does not name at the end of the guides."""
    guides = next(part["Guides"] for part in config["nav"] if isinstance(part, dict) and "Guides" in part)
    pages = sorted(f"guides/{path.name}" for path in (ROOT / "docs" / "guides").glob("*.md"))
    named = [page if isinstance(page, str) else next(iter(page.values())) for page in guides]
    guides += [page for page in pages if page not in named]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "release_notes.md", content=changes))
    files.append(File.generated(config, "reference/commands.md", content=command_reference()))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Names that docstrings give with a Sphinx role stand as code."""
    return re.sub(r":(?:func|class|meth|data|attr|mod):(<code>)~?", r"\1", html)


def command_reference() -> str:
    """A section for every command, with its help."""
    names = re.findall(r"^  ([a-z][a-z-]*) ", run_help(), flags=re.MULTILINE)
    sections = [f"## {name}\n\n```text\n{run_help(name)}```\n" for name in names]
    return "\n".join([COMMANDS, *sections])


def run_help(*words: str) -> str:
    """What ``pocketvision WORDS --help`` prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pocketvision", *words, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout
