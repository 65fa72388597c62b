"""Versions of registered models, and which of them is in use."""

from rnnlm.mlflow_store import check_store
from rnnlm.registry.versions import checkpoint_folder, is_registered, register

__all__ = ["check_store", "checkpoint_folder", "is_registered", "register"]
