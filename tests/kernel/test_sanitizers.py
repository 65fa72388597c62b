"""The kernels under the compiler's sanitizers: no byte out of its array, nothing undefined, no race between threads."""

import runpy
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "rnnlm" / "kernel" / "src"
COMPILER = shutil.which("g++") or shutil.which("c++")
# TensorFlow's side of it is tested through TensorFlow.
FILES = [SOURCES / f"{name}.cpp" for name in ("path_avx512", "path_avx2", "path_portable", "pool", "dispatch")]


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("sanitizer", ["address", "undefined", "thread"])
def test_odd_sizes_are_sound(sanitizer: str, tmp_path: Path) -> None:
    assert COMPILER
    flags_of = runpy.run_path(str(ROOT / "setup.py"))["PATHS"]
    common = [COMPILER, "-O1", "-g1", "-std=c++17", "-w", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]

    def compiled(file: Path) -> str:
        out = tmp_path / f"{file.stem}.o"
        subprocess.run([*common, *flags_of.get(file.stem, []), "-c", str(file), "-o", str(out)], check=True)
        return str(out)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, [*FILES, Path(__file__).with_name("odd_sizes.cpp")]))
    program = tmp_path / "odd_sizes"
    subprocess.run([*common, *objects, "-lpthread", "-o", str(program)], check=True)
    done = subprocess.run([str(program), "20"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
