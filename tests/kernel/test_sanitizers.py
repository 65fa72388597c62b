"""The kernels under the compiler's sanitizers: no byte out of its array, nothing undefined, no race between threads."""

import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "rnnlm" / "kernel" / "src"
COMPILER = shutil.which("g++") or shutil.which("c++")
FLAGS = runpy.run_path(str(ROOT / "setup.py"))["PATHS"]
LIBRARY = ROOT / "rnnlm" / "kernel" / "librnnlm.so"
# TensorFlow's side of it is tested through TensorFlow.
ALWAYS = ("path_portable", "pool", "rows", "dispatch")
# Small cases, too, take several threads, chunks and pieces.
SMALL = [
    "-DWORTH_A_THREAD=1",
    "-DSTEP_LINES=32",
    "-DROWS_AHEAD=24",
    "-DCHUNK_BYTES=1",
    "-DCHUNK_ROWS=12",
    "-DDEPTH_AT_ONCE=2",
    "-DROWS_AT_ONCE=32",
]


def paths() -> list[str]:
    """Return the files of the paths that this processor can take; the others would be compiled for nothing."""
    if not LIBRARY.is_file():
        return []
    asks = "import ctypes, sys; has = ctypes.CDLL(sys.argv[1]).rnnlm_has"
    asks += "; print(*(name for name in sys.argv[2:] if has(name.encode())))"
    names = [name.removeprefix("path_") for name in FLAGS]
    found = subprocess.run(
        [sys.executable, "-c", asks, str(LIBRARY), *names], capture_output=True, text=True, check=True
    )
    return [f"path_{name}" for name in found.stdout.split()]


def works(compiler: str, sanitizer: str, folder: Path) -> bool:
    """Return whether programs with a sanitizer can be made and run here; its library may be missing."""
    source, program = folder / "empty.cpp", folder / "empty"
    source.write_text("int main() { return 0; }\n", encoding="utf-8")
    made = subprocess.run([compiler, f"-fsanitize={sanitizer}", str(source), "-o", str(program)], capture_output=True)
    return made.returncode == 0 and subprocess.run([str(program)], capture_output=True).returncode == 0


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="the kernels need Linux and a C++ compiler")
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_odd_sizes_are_sound(sanitizer: str, tmp_path: Path) -> None:
    assert COMPILER
    if not works(COMPILER, sanitizer, tmp_path):
        pytest.skip(f"the compiler lacks a sanitizer of {sanitizer}")
    flags = ["-O1", "-g1", "-std=c++17", "-w", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", *SMALL]
    common, here = [COMPILER, *flags], paths()
    common += [f"-DWITHOUT_{name.upper()}" for name in FLAGS if name not in here]
    files = [SOURCES / f"{name}.cpp" for name in (*here, *ALWAYS)]

    def compiled(file: Path) -> str:
        out = tmp_path / f"{file.stem}.o"
        subprocess.run([*common, *FLAGS.get(file.stem, []), "-c", str(file), "-o", str(out)], check=True)
        return str(out)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, [*files, Path(__file__).with_name("odd_sizes.cpp")]))
    program = tmp_path / "odd_sizes"
    subprocess.run([*common, *objects, "-lpthread", "-o", str(program)], check=True)
    done = subprocess.run([str(program), "20"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
