"""The model registry: a folder of immutable versions, and aliases that point at them."""

from graft.registry.card import (
    BUILT_IN,
    METRICS,
    MODEL,
    NAME,
    REPORT,
    STABLE,
    WEIGHTS,
    ModelCard,
    Parameter,
    check_name,
    check_trainable,
)
from graft.registry.store import Registry
from graft.registry.version import write_version

__all__ = [
    "BUILT_IN",
    "METRICS",
    "MODEL",
    "NAME",
    "REPORT",
    "STABLE",
    "WEIGHTS",
    "ModelCard",
    "Parameter",
    "Registry",
    "check_name",
    "check_trainable",
    "write_version",
]
