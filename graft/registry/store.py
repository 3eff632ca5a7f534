"""The registry directory: ROOT/NAME/VERSION/, staged aside, renamed into place whole, renamed away whole.

A version without a valid manifest does not exist. Aliases are rows in SQL; without one, `stable` is the newest version.
Nothing is ever unpickled: `model.json` is parsed by our schema, the weights are safetensors.
"""

import errno
import logging
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, Engine, delete, insert, select

from graft.database import reading
from graft.disk import room_for, sync
from graft.errors import Conflict, CorruptVersion, NotFound
from graft.registry.card import BUILT_IN, MODEL, NAME, STABLE, WEIGHTS, ModelCard, check_name, check_trainable
from graft.registry.manifest import seal
from graft.registry.version import GONE, Version
from graft.tables import aliases, model_versions

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_STAGING_SECONDS = 24 * 3600  # publishing takes seconds, so an older staging folder belongs to nobody
_IN_THE_WAY = {errno.EEXIST, errno.ENOTEMPTY}


class Registry:
    """root: the registry directory, made when first needed. engine: the migrated database that holds the aliases."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._staging = root / ".staging"
        self._trash = root / ".trash"
        self._engine = engine

    # What exists

    def models(self) -> list[str]:
        """Names of the models that have a version, sorted; without the built-in `vgg16`."""
        return [name for name in sorted(_entries(self._root, NAME)) if self._newest(name) is not None]

    def versions(self, model: str) -> list[int]:
        """The versions that exist, rising; empty for a model that nobody trained."""
        return [version.number for version in self._numbered(model) if version.exists()]

    def latest(self, model: str) -> int:
        """The newest version. Raises NotFound when the model has none."""
        newest = self._newest(model)
        if newest is None:
            raise self._no_such(model)
        return newest

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a caller means: the one named, else the alias's, else `stable`'s. Raises NotFound."""
        newest = self.latest(model)
        if version is not None:
            return self._existing(model, version)
        name = STABLE if alias is None else alias
        with reading(self._engine) as connection:
            moved = _moved(connection, model)
        if name in moved:
            return self._existing(model, moved[name])
        if name == STABLE:
            return newest
        raise _no_alias(model, name, {STABLE, *moved})

    def aliases(self, model: str) -> dict[str, int]:
        """Alias -> version, sorted by name; `stable` is always there. Raises NotFound for a model without versions."""
        newest = self.latest(model)
        with reading(self._engine) as connection:
            return dict(sorted({STABLE: newest, **_moved(connection, model)}.items()))

    # What a version holds

    def card(self, model: str, version: int) -> ModelCard:
        """The verified `model.json`. Raises NotFound, CorruptVersion."""
        return self._version(model, version).card()

    def weights(self, model: str, version: int) -> dict[str, np.ndarray]:
        """Parameter name -> float32 array, from the verified `weights.safetensors`. Raises NotFound, CorruptVersion."""
        return self._version(model, version).weights()

    def file(self, model: str, version: int, name: str) -> Path:
        """The path of a verified file, such as `report/confusion_matrix.png`. Raises NotFound, CorruptVersion."""
        return self._version(model, version).file(name)

    def verify(self, model: str, version: int) -> None:
        """Read every file of a version. Raises NotFound; CorruptVersion naming the file that does not match."""
        self._version(model, version).verify()

    # Making and removing versions

    def stage(self, model: str) -> Path:
        """A fresh folder on the registry's file system for the files of one version; write_version fills it."""
        folder = self._staging / f"{check_trainable(model)}-{uuid.uuid4().hex}"
        with room_for("A model version"):
            folder.mkdir(parents=True)
        return folder

    def publish(self, staged: Path, model: str, version: int) -> None:
        """Make the staged files version `version` of `model`; on return they are safely on disk.

        When the same job has published it before, the staged folder is dropped. Raises Conflict when another job has;
        ValueError when the staged files are not a version's; DiskFull.
        """
        card = _staged_card(staged, check_trainable(model), version)
        with room_for("A model version"):
            if not self._published(card):
                seal(staged)
                self._move_in(staged, card)
            sync(self._root / model)
            sync(self._root)
        shutil.rmtree(staged, ignore_errors=True)

    def delete(self, model: str, version: int | None = None) -> None:
        """Remove one version, or the model with its aliases. A reader sees all of it or nothing.

        Raises NotFound; Conflict for the built-in model and for a version that an alias was set to.
        """
        folder = self._root / check_trainable(model)
        with self._locked(model) as connection:
            if version is None:
                connection.execute(delete(aliases).where(aliases.c.model == model))
            else:
                folder /= str(version)
                _refuse_held(connection, model, version)
            try:
                buried = self._bury(folder)
            except FileNotFoundError:
                raise self._no_such(model, version) from None
        shutil.rmtree(buried, ignore_errors=True)
        with suppress(OSError):  # it holds other versions, or is gone itself
            (self._root / model).rmdir()

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at a version; `stable` then stays there. Raises InvalidInput, NotFound, Conflict (`vgg16`)."""
        check_trainable(model)
        check_name(alias)
        with self._locked(model) as connection:
            self._existing(model, version)
            connection.execute(delete(aliases).where(aliases.c.model == model, aliases.c.alias == alias))
            connection.execute(insert(aliases).values(model=model, alias=alias, version=version))

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away; `stable` then follows the newest version again. Raises NotFound, Conflict (`vgg16`)."""
        check_trainable(model)
        self.latest(model)
        with self._locked(model) as connection:
            set_before = sorted(_moved(connection, model))
            if alias not in set_before:
                raise _no_alias(model, alias, set_before)
            connection.execute(delete(aliases).where(aliases.c.model == model, aliases.c.alias == alias))

    def sweep(self) -> None:
        """Remove what interrupted publishes and deletes left behind, and log the versions that are not valid."""
        for name in _entries(self._trash):
            shutil.rmtree(self._trash / name, ignore_errors=True)
        for name in _entries(self._staging):
            with suppress(FileNotFoundError):  # published, or swept by another process
                if time.time() - (self._staging / name).stat().st_mtime > _STAGING_SECONDS:
                    shutil.rmtree(self._staging / name, ignore_errors=True)
        for model in _entries(self._root, NAME):
            for version in self._numbered(model):
                try:
                    version.manifest()
                except (NotFound, CorruptVersion) as error:
                    logger.warning("not served: %s", error)

    # Inside

    def _version(self, model: str, number: int) -> Version:
        if not NAME.fullmatch(model):  # it must not lead out of the root
            raise self._no_such(model, number)
        return Version(self._root / model / str(number), model, number)

    def _numbered(self, model: str) -> list[Version]:
        """The version folders, valid or not, rising."""
        if not NAME.fullmatch(model):
            return []
        return [self._version(model, number) for number in sorted(map(int, _entries(self._root / model, _NUMBER)))]

    def _newest(self, model: str) -> int | None:
        return next((version.number for version in reversed(self._numbered(model)) if version.exists()), None)

    def _existing(self, model: str, version: int) -> int:
        if not self._version(model, version).exists():
            raise self._no_such(model, version)
        return version

    def _no_such(self, model: str, version: int | None = None) -> NotFound:
        if version is None:
            return NotFound(
                f"A model must have been trained to be used; there are {_listed([BUILT_IN, *self.models()])}; received "
                f"{model[:100]!r}. Ask for one of these, or train it."
            )
        return NotFound(
            f"A version must exist to be used; {model[:100]!r} has {_listed(self.versions(model))}; received version "
            f"{version}. Ask for one of these, or train the model."
        )

    def _published(self, card: ModelCard) -> bool:
        """Whether this card's job has published its version whole. Raises Conflict when another job has."""
        version = self._version(card.model, card.version)
        try:
            version.verify()
            job_id = version.card().job_id
        except (NotFound, CorruptVersion):
            return False
        if job_id != card.job_id:
            raise Conflict(
                f"A version is published by the one job that reserved it; {version} was by {job_id!r}; received "
                f"{card.job_id!r}. Reserve another version."
            )
        return True

    def _move_in(self, staged: Path, card: ModelCard) -> None:
        """Rename into place. NFS may report a failure for a rename that was done, so what lies there decides."""
        target = self._root / card.model / str(card.version)
        for attempt in (1, 2, 3):
            target.parent.mkdir(parents=True, exist_ok=True)  # each time: a delete may have taken it
            try:
                staged.rename(target)
            except OSError as error:
                if self._published(card):
                    return
                if attempt == 3 or error.errno not in GONE | _IN_THE_WAY:
                    raise
                if error.errno in _IN_THE_WAY:
                    logger.warning("moved aside: what lay where %r version %d goes", card.model, card.version)
                    with suppress(FileNotFoundError):  # another attempt of the job moved it
                        self._bury(target)
            else:
                return

    def _bury(self, folder: Path) -> Path:
        self._trash.mkdir(parents=True, exist_ok=True)
        return folder.rename(self._trash / uuid.uuid4().hex)

    @contextmanager
    def _locked(self, model: str) -> Iterator[Connection]:
        """A write transaction that no other set_alias or delete of the model runs beside.

        SQLite has one writer at a time; PostgreSQL locks the rows of the model's reservations.
        """
        with self._engine.begin() as connection:
            rows = select(model_versions.c.version).where(model_versions.c.model == model)
            connection.execute(rows.with_for_update()).all()
            yield connection


def _entries(folder: Path, name: re.Pattern[str] | None = None) -> list[str]:
    """Names in a folder that match; none when the folder is not there."""
    try:
        return [entry.name for entry in folder.iterdir() if name is None or name.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _moved(connection: Connection, model: str) -> dict[str, int]:
    """The aliases that somebody has set, with the version that each points at."""
    rows = connection.execute(select(aliases.c.alias, aliases.c.version).where(aliases.c.model == model))
    return {row.alias: row.version for row in rows}


def _no_alias(model: str, alias: str, those: Collection[str]) -> NotFound:
    return NotFound(
        f"An alias must be set to be used or removed; {model!r} has {_listed(sorted(those))}; received "
        f"{alias[:100]!r}. Ask for one of these, or set it."
    )


def _refuse_held(connection: Connection, model: str, version: int) -> None:
    held = sorted(alias for alias, at in _moved(connection, model).items() if at == version)
    if held:
        raise Conflict(
            f"A version that an alias was set to cannot be deleted; {_listed(held)} of {model!r} points at version "
            f"{version}. Point the alias at another version first, or remove it."
        )


def _staged_card(staged: Path, model: str, version: int) -> ModelCard:
    try:
        card = ModelCard.model_validate_json((staged / MODEL).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ValueError(f"A staged version holds a valid {MODEL}; received {staged}.") from error
    if (card.model, card.version) != (model, version):
        raise ValueError(
            f"The staged card must be of {model!r} version {version}; received {card.model!r} version {card.version}."
        )
    if not (staged / WEIGHTS).is_file():
        raise ValueError(f"A staged version holds {WEIGHTS}; {staged} does not.")
    return card


def _listed(things: Sequence[object]) -> str:
    """At most 20 of them, for a message."""
    return ", ".join(map(str, things[:20])) + (", …" if len(things) > 20 else "") or "none"
