"""Graft's API from Python: `Client` and, for an event loop, `AsyncClient`. Knows of the service only what HTTP says."""

from graft.client.answers import (
    Dataset,
    Embeddings,
    Event,
    Job,
    Model,
    Prediction,
    Predictions,
    Progress,
)
from graft.client.clients import DEFAULT_URL, AsyncClient, Client
from graft.client.errors import ApiError, Unreachable

__all__ = [
    "DEFAULT_URL",
    "ApiError",
    "AsyncClient",
    "Client",
    "Dataset",
    "Embeddings",
    "Event",
    "Job",
    "Model",
    "Prediction",
    "Predictions",
    "Progress",
    "Unreachable",
]
