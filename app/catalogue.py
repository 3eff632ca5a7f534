"""The models as a caller sees them: those of the registry, and the built-in `vgg16` among them."""

from dataclasses import asdict
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from app.predictor import Predicts
from app.schemas import Instant, Model, Version
from app.warmup import Warmup
from graft.errors import CorruptVersion, InvalidInput, NotFound
from graft.registry import BUILT_IN, REPORT, STABLE, Parameter, Registry, frozen, layer_table
from graft.types import InputKey
from graft.vgg16.labels import imagenet_classes
from graft.vgg16.layers import IMAGENET_HEAD, INPUT, LAST, head_shapes, tail_shapes
from graft.vgg16.weight_files import TRUNK_DIGEST

Engine = Warmup[Predicts]
MEASURED = {f"{REPORT}/confusion_matrix.png", f"{REPORT}/reliability.png"}  # without pictures to measure on: none
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def page(
    registry: Registry, engine: Engine, *, prefix: str = "", limit: int, after: str | None
) -> tuple[list[Model], bool]:
    """Models by name whose names begin so, those after `after`; and whether there are more. Raises InvalidInput."""
    names = sorted([BUILT_IN, *registry.models()])
    if after is not None and after not in names:
        raise InvalidInput(f"`after` must be the name of a model, the last one of the page before; received {after!r}.")
    names = [name for name in names if name.startswith(prefix) and (after is None or name > after)]
    found = []
    for name in names[:limit]:
        try:
            found.append(model(registry, engine, name))
        except NotFound:  # deleted while the list was made
            continue
    return found, len(names) > limit


def model(registry: Registry, engine: Engine, name: str) -> Model:
    """Raises NotFound."""
    if name == BUILT_IN:
        version = Version(version=1, created_at=None, status=_built_in_status(engine), problem=None, metrics=None)
        return Model(name=name, versions=[version], aliases={STABLE: 1})
    aliases = registry.aliases(name)
    predictor = _started(engine)
    quarantined = predictor.quarantined(name) if predictor else {}
    numbers = sorted({*registry.versions(name), *quarantined})  # one without a valid manifest is in quarantine alone
    versions = [_version(registry, name, number, quarantined.get(number)) for number in numbers]
    return Model(name=name, versions=versions, aliases=aliases)


def card(registry: Registry, engine: Engine, name: str, version: int) -> dict[str, Any]:
    """What `model.json` says, its time as everywhere on the wire; for `vgg16`, the same of what it has. And the
    precision that it is served at here, None while that is not known.

    Raises NotFound, CorruptVersion.
    """
    predictor = _started(engine)
    state = predictor and predictor.state()
    if name != BUILT_IN:
        found = registry.card(name, version)
        served = state and state.served(found.input.precision)
        created = _INSTANT.validate_python(found.created_at)
        return found.model_dump(mode="json") | {"created_at": created, "served_precision": served}
    if version != 1:
        raise NotFound(f"{BUILT_IN} is built in and has version 1 alone; received {version}. Ask for version 1.")
    shapes = {**tail_shapes(INPUT), **head_shapes(IMAGENET_HEAD)}
    parameters = [
        Parameter(name=name, shape=shape, trainable=False, count=prod(shape)).model_dump(mode="json")
        for name, shape in head_shapes(IMAGENET_HEAD).items()
    ]
    return {
        "format": 1,
        "model": BUILT_IN,
        "version": 1,
        "status": _built_in_status(engine),
        "cut": LAST,
        "tail": [],
        "head": asdict(IMAGENET_HEAD),
        "classes": [label for _wnid, label in imagenet_classes()],
        "input": InputKey().as_dict() | {"precision": state and state.precision},
        "served_precision": state and state.precision,
        "trunk_digest": TRUNK_DIGEST,
        "classifier": state and state.classifier,
        "parameters": parameters,
        "layers": [row.model_dump(mode="json") for row in frozen(layer_table(LAST, IMAGENET_HEAD))],
        "temperature": 1.0,
        "trainable_parameters": 0,
        "frozen_parameters": sum(map(prod, shapes.values())),
    }


def report_file(registry: Registry, name: str, version: int, file: str) -> Path:
    """Raises NotFound, which says why a version that is there has no such file; CorruptVersion."""
    if name == BUILT_IN:
        raise NotFound(f"A report is of a training; {BUILT_IN} is built in and has none. Ask for a trained model's.")
    try:
        return registry.file(name, version, file)
    except NotFound:
        registry.card(name, version)
        if file not in MEASURED:
            raise
        raise NotFound(
            f"A report shows what could be measured; {name!r} version {version} has no {file}, as its dataset had "
            "neither validation nor test pictures. Train it on a dataset that has some."
        ) from None


def _version(registry: Registry, name: str, version: int, quarantined: str | None) -> Version:
    """quarantined: why the engine does not serve it."""
    try:
        found = registry.card(name, version)
    except CorruptVersion as damage:
        return Version(version=version, created_at=None, status="corrupt", problem=str(damage), metrics=None)
    return Version.model_validate(
        {
            "version": version,
            "created_at": found.created_at,
            "status": "quarantined" if quarantined else "available",
            "problem": quarantined,
            "metrics": found.metrics,
        }
    )


def _built_in_status(engine: Engine) -> str:
    """The trunk is always fetched; the classifier is there or it is not."""
    predictor = _started(engine)
    if predictor is None:
        return "loading"
    return "missing weights" if predictor.state().classifier == "missing" else "available"


def _started(engine: Engine) -> Predicts | None:
    """The predictor, once it is there."""
    return None if engine.obstacle() else engine.get()
