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
from graft.registry.layer_table import LayerRow, frozen, layer_table
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
    "LayerRow",
    "ModelCard",
    "Parameter",
    "Registry",
    "check_name",
    "check_trainable",
    "frozen",
    "layer_table",
    "write_version",
]
