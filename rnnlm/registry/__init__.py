"""Versions of registered models, and which of them is in use."""

from rnnlm.registry.versions import check_store, register

__all__ = ["check_store", "register"]
