"""The compiled build: a wheel in which mypyc has compiled the modules that every call goes through.

Nothing here runs unless it is asked for (`make wheel`): any other build is pure Python and needs no compiler. What is
compiled stands in pyproject.toml. A module's source stays beside what was made of it, for tracebacks and for readers.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Only what starts a module is for others to call. Without this every function of ours is: each call of one by another
# goes through a table, for the linker might be given another, and nothing can be put in its place.
FLAGS = ["-fvisibility=hidden"]
OPTIMISATION = "MYPYC_OPT_LEVEL"
"""In the environment: as of a C compiler's -O, 0 to 3 (the default). What is compiled does the same with any."""


class CompiledBuild(BuildHookInterface[Any]):
    """Compiles into a folder of its own, from where the wheel takes what there is. The source tree stays as it is."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is put together."""
        if version == "editable":  # runs from the source tree, where nothing compiled belongs
            return
        self._made = TemporaryDirectory()
        scratch, libraries = Path(self._made.name, "scratch"), Path(self._made.name, "libraries")
        compile_modules(self._modules(), roots=self._roots(), into=libraries, scratch=scratch)
        for path in libraries.rglob("*.*"):
            build_data["force_include"][str(path)] = path.relative_to(libraries).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 — hatchling's
        """After it."""
        if version != "editable":
            self._made.cleanup()

    def _modules(self) -> list[str]:
        root, plain = Path(self.root), {*self.config["plain"]}
        found = {path.relative_to(root).as_posix() for glob in self.config["compile"] for path in root.glob(glob)}
        return sorted(path for path in found if path not in plain and not path.endswith("/__init__.py"))

    def _roots(self) -> list[str]:
        return sorted({str(Path(self.root, package).parent) for package in self.build_config.packages})


def compile_modules(modules: list[str], *, roots: list[str], into: Path, scratch: Path) -> None:
    """Compile modules into one library, and a small one for each that stands for the module.

    Args:
        modules: Their files, relative to the current folder.
        roots: Where packages are looked for.
        into: Gets the libraries, laid out as packages.
        scratch: Gets the C code and what comes of it.
    """
    from mypyc.build import mypycify
    from setuptools import Distribution

    os.environ["MYPYPATH"] = os.pathsep.join(roots)
    options = (
        *("--config-file=", f"--cache-dir={scratch / 'cache'}", "--explicit-package-bases"),
        # Types are checked elsewhere; an environment for builds does not hold what other modules import.
        *("--follow-imports=silent", "--ignore-missing-imports"),
    )
    extensions = mypycify(
        [*options, *modules],
        target_dir=str(scratch),
        group_name="tailgate",
        opt_level=os.environ.get(OPTIMISATION, "3"),
        debug_level="0",
    )
    for extension in extensions:
        extension.extra_compile_args += FLAGS
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(into), str(scratch)
    command.ensure_finalized()
    command.run()
