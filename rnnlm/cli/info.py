"""What computes on this machine, and why."""

import os
import platform
from importlib.metadata import version

from rnnlm.model.native import native_messages_held
from rnnlm.store import home

LIBRARIES = ("tensorflow", "keras", "prefect", "mlflow", "pyarrow")


def facts() -> dict[str, str]:
    """Return what `rnnlm info` prints, by its name."""
    with native_messages_held():
        from rnnlm import kernel
        from rnnlm.training.precision import processor

        kernels = kernel.described()
    return {
        "Kernels": kernels,
        "Processor": f"{processor()}, {os.cpu_count()} cores",
        "System": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "Versions": ", ".join(f"{name} {version(name)}" for name in ("rnnlm", *LIBRARIES)),
        "Workplace": str(home()),
    }
