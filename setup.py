"""What pyproject.toml can't say: the readme without its pictures, and editable installs through links."""

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel

_HERE = Path(__file__).parent


class EditableThroughLinks(editable_wheel):
    """``src/`` on the path where it holds real links, else an import hook (checkouts without links).

    Editors follow a path, but can't run a hook.
    """

    def finalize_options(self) -> None:
        """Put ``src/`` in the place of pyproject.toml's mapping."""
        links = list((_HERE / "src" / "pocketvision").glob("*"))
        if links and all(link.is_symlink() for link in links):
            self.distribution.package_dir = {"": "src"}
        super().finalize_options()


def readme() -> str:
    """README.md as a package index can show it: without pictures and links to files beside it."""
    text = (_HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^\]]*\]\((?!\w+:)[^)]*\)\n*", "", text)
    text = re.sub(r"\[([^\]]*)\]\(\1\)", r"`\1`", text)
    return re.sub(r"\[([^\]]*)\]\((?!\w+:)([^)]*)\)", r"\1 (`\2`)", text)


setup(
    cmdclass={"editable_wheel": EditableThroughLinks},
    long_description=readme(),
    long_description_content_type="text/markdown",
)
