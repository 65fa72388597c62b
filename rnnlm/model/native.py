"""What native libraries write to stderr as they load and start: nobody's business, unless they fail."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from rnnlm.errors import RnnlmError

# Keeps what it reads, and shows it unless the last of it says that all went well. It is a process, since nobody else is
# left where a library ends this one (`compiled to use AVX instructions`).
_KEEPER = """
import sys
text = sys.stdin.buffer.read()
if not text.endswith(sys.argv[1].encode()):
    sys.stderr.buffer.write(text)
"""
_WELL = "(all went well)"


@contextlib.contextmanager
def native_messages_held() -> Iterator[None]:
    """Hold back what native libraries write to stderr meanwhile: none of TensorFlow's variables silences all of it.

    If it fails for a reason that no person can fix, or the process dies of it, it is shown after all.
    """
    stderr = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", _KEEPER, _WELL]
    # A session of its own: Ctrl-C is not for it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as keeper:
        assert keeper.stdin is not None
        os.dup2(keeper.stdin.fileno(), 2)
        failed = False
        try:
            yield
        except Exception as error:
            failed = not isinstance(error, RnnlmError)
            raise
        finally:
            if not failed:
                os.write(2, _WELL.encode())
            os.dup2(stderr, 2)
            os.close(stderr)


def load_tensorflow_quietly() -> None:
    """Hold back what TensorFlow writes as it loads, whoever imports it first."""
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Quietly) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Quietly())


class _Quietly(MetaPathFinder):
    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Find TensorFlow where it is found otherwise, with a loader that holds messages back; nothing else."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def quietly(module: ModuleType) -> None:
            with native_messages_held():
                load(module)

        spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec
