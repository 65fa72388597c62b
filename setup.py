"""The one part of the package that is not Python: the kernels of rnnlm/kernel, where there is a compiler for them.

Everything else is in pyproject.toml. Without the kernels the package is whole, and slower.
"""

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("rnnlm/kernel/src")
# Warnings of GCC 12 about its own intrinsics are left out, about vectors as parameters that never leave a file, and
# about float32 kernels that a bfloat16 path includes and does not use.
QUIET = ["-Wno-psabi", "-Wno-maybe-uninitialized", "-Wno-unused-function"]
FLAGS = ["-O3", "-g0", "-std=c++17", "-fPIC", "-fvisibility=hidden", *QUIET]
# Each path is compiled for its instructions; which one runs is chosen when the library is loaded.
AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
PATHS = {
    "path_avx2": AVX2,
    "path_avx2_bf16": AVX2,
    "path_avx512": AVX512,
    "path_avx512_bf16": [*AVX512, "-mavx512bf16"],
    "path_amx": [*AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
}
# Left out where the compiler is too old: AVX-512 BF16 needs GCC 10, AMX needs GCC 11.
OPTIONAL = ("path_avx512_bf16", "path_amx")


class BuildKernel(build_ext):
    """Compile file by file, two at a time, each with its own flags; link a library that any Python can load."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return a name without Python's version: the library knows nothing of Python."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Compile and link; a failure is a warning, because the extension is optional."""
        if self.editable_mode:
            # If this build fails, an older one must not stay.
            (SOURCES.parent / "librnnlm.so").unlink(missing_ok=True)

        def compiled(source: str, *more: str) -> list[str]:
            flags = FLAGS + PATHS.get(Path(source).stem, []) + list(more)
            try:
                objects: list[str] = self.compiler.compile([source], self.build_temp, extra_postargs=flags)
            except CompileError:
                if Path(source).stem not in OPTIONAL:
                    raise
                return []
            return objects

        # Which path runs is chosen among those that there are, so that file comes last.
        choosing = str(SOURCES / "dispatch.cpp")
        sources = [name for name in ext.sources if name != choosing]
        with ThreadPoolExecutor(2) as pool:
            made = dict(zip(sources, pool.map(compiled, sources), strict=True))
        missing = (f"-DWITHOUT_{Path(name).stem.upper()}" for name, objects in made.items() if not objects)
        objects = [name for names in made.values() for name in names] + compiled(choosing, *missing)
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), libraries=["pthread", "dl"], target_lang="c++"
        )


class AnyPython(bdist_wheel):
    """A wheel for this platform and every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tag of the wheel."""
        return "py3", "none", super().get_tag()[2]


def main() -> None:
    """Build."""
    compilers = (name for name in ("g++", "c++", "clang++") if shutil.which(name))
    os.environ["CXX"] = os.environ.get("CXX") or next(compilers, "c++")
    # The slowest first. The library needs Linux: its threads follow the processors that a process may use.
    x86 = platform.machine() in ("x86_64", "AMD64")
    files = [str(path) for path in SOURCES.glob("*.cpp") if x86 or path.stem not in PATHS]
    sources = sorted(files, key=lambda name: (not name.endswith("avx512.cpp"), "path" not in name))
    headers = sorted(map(str, SOURCES.glob("*.h")))
    kernel = Extension("rnnlm.kernel.librnnlm", sources, depends=headers, language="c++", optional=True)
    setup(
        ext_modules=[kernel] if sys.platform == "linux" else [],
        cmdclass={"build_ext": BuildKernel, "bdist_wheel": AnyPython},
    )


# Setuptools runs this file as a program; the tests read its flags.
if __name__ == "__main__":
    main()
