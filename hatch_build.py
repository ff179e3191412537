"""The build hook of wheels: it compiles the kernels, so that an installed regard needs no C compiler.

With a compiler (`CC`, by default cc) the wheel is for this platform and any Python 3: py3-none-PLATFORM. Without one it
is for every platform, and contains only the C sources, as an editable installation does.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGET = "regard/nn/kernels/compiled"  # in the wheel


class KernelsBuildHook(BuildHookInterface):
    """Adds the compiled kernels to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the libraries of all levels, and name the platform of the wheel."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "src")))
        try:
            from regard.nn.kernels.build import BuildError, compile_library, shipped_name
            from regard.nn.kernels.levels import libraries
        finally:
            del sys.path[0]
        scratch = tempfile.TemporaryDirectory()
        try:
            shipped = {}
            for library in libraries():
                output = Path(scratch.name, shipped_name(library))
                compile_library(Path(scratch.name), output, library)
                shipped[str(output)] = f"{TARGET}/{output.name}"
        except BuildError as error:
            scratch.cleanup()
            if "REGARD_REQUIRE_KERNELS" in os.environ:  # set where wheels are published
                raise
            self.app.display_warning(f"The wheel contains no compiled kernels: {error}")
            return
        self._scratch = scratch
        build_data["force_include"].update(shipped)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform_tag()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the compiled libraries, which are in the wheel now."""
        if scratch := getattr(self, "_scratch", None):
            scratch.cleanup()


def _platform_tag() -> str:
    """Return the platform as wheels name it, such as linux_x86_64 or macosx_11_0_arm64."""
    if sys.platform == "darwin":  # Python itself may be for several machines, but the compiler builds for this one
        target = os.environ.get("MACOSX_DEPLOYMENT_TARGET") or platform.mac_ver()[0].partition(".")[0]
        version = target if "." in target else f"{target}.0"
        return f"macosx_{version.replace('.', '_')}_{platform.machine()}"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
