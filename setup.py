"""Editable installs go through the links in ``src/``, so that editors find the package without running it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class EditableThroughLinks(editable_wheel):
    """``src/`` on the path where it holds real links, else an import hook (checkouts without links)."""

    def finalize_options(self) -> None:
        """Put one folder in the place of pyproject.toml's mapping, which only an import hook can serve."""
        links = list(Path("src/pocketvision").glob("*"))
        if links and all(link.is_symlink() for link in links):
            self.distribution.package_dir = {"": "src"}
        super().finalize_options()


setup(cmdclass={"editable_wheel": EditableThroughLinks})
