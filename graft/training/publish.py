"""A trained graft as a version of a model: its card, weights, metrics and report, staged and published."""

import shutil
from collections.abc import Callable, Mapping

from graft.registry import ModelCard, Parameter, Registry, write_version
from graft.training.checkpoint import Arrays
from graft.training.evaluate import Evaluations
from graft.training.fit import Fitted
from graft.training.report import report_files
from graft.vgg16.layers import is_statistic


def publish(
    registry: Registry,
    card: ModelCard,
    fitted: Fitted,
    evaluations: Evaluations,
    counts: Mapping[str, Mapping[str, int]],
    guard: Callable[[], None],
) -> None:
    """Write the version's files aside, ask `guard` whether the claim still holds, let the registry take them in.

    counts: the dataset's pictures by split and class.
    """
    staged = registry.stage(card.model)
    metrics = {
        "history": fitted.history,
        "best_epoch": fitted.best_epoch,
        "temperature": card.temperature,
        "class_balance": counts,
        **evaluations,
    }
    try:
        write_version(staged, card, fitted.weights, metrics, report_files(card, metrics))
        guard()
        registry.publish(staged, card.model, card.version)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def parameter_table(weights: Arrays) -> tuple[Parameter, ...]:
    """The arrays of a graft of its own, in the order of its layers."""
    return tuple(
        Parameter(name=name, shape=array.shape, trainable=not is_statistic(name), count=array.size)
        for name, array in weights.items()
    )
