"""Versions of registered models, and which of them is in use."""

from rnnlm.registry.versions import check_store, checkpoint_folder, register

__all__ = ["check_store", "checkpoint_folder", "register"]
