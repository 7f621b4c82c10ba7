"""Editable installs go through the links in ``src/``, so that editors find the package without running it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class EditableThroughLinks(editable_wheel):
    """``src/`` on the path where it holds real links, else setuptools' import hook (checkouts without links)."""

    def finalize_options(self) -> None:
        """Put one folder in the place of pyproject.toml's mapping, which only an import hook can serve."""
        if all(path.resolve().parent != path.parent for path in Path("src/pocketvision").iterdir()):
            self.distribution.package_dir = {"": "src"}
        super().finalize_options()


setup(cmdclass={"editable_wheel": EditableThroughLinks})
