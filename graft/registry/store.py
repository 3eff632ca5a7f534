"""The registry directory: ROOT/NAME/VERSION/, staged aside, renamed into place whole, renamed away whole.

A version without a valid manifest does not exist. Aliases are rows in SQL; without one, `stable` is the newest version.
Nothing is ever unpickled: `model.json` is parsed by our schema, the weights are safetensors.
"""

import errno
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Engine

from graft.database import reading
from graft.disk import room_for, sync
from graft.errors import Conflict, CorruptVersion, NotFound
from graft.registry import aliases
from graft.registry.card import MODEL, NAME, STABLE, WEIGHTS, ModelCard, check_name, check_trainable
from graft.registry.manifest import seal
from graft.registry.missing import no_alias, no_model, no_version
from graft.registry.version import GONE, Signature, Version

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
        return list(self._models())

    def versions(self, model: str) -> list[int]:
        """The versions that exist, rising; empty for a model that nobody trained."""
        return [number for number in self._numbers(model) if self._version(model, number).exists()]

    def latest(self, model: str) -> int:
        """The newest version. Raises NotFound when the model has none."""
        newest = self._newest(model)
        if newest is None:
            raise no_model(model, self._models())
        return newest

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a caller means: the one named, else the alias's, else `stable`'s. Raises NotFound.

        One that is named, or that an alias was set to, may be damaged; reading it says so.
        """
        if version is None:
            name = STABLE if alias is None else alias
            moved = self._moved(model)
            if name not in moved:
                newest = self.latest(model)
                if name != STABLE:
                    raise no_alias(model, name, {STABLE, *moved})
                return newest
            version = moved[name]
        if not self._version(model, version).present():
            raise self._no_such(model, version)
        return version

    def candidates(self, model: str, alias: str = STABLE) -> list[int]:
        """The versions that may answer for an alias, the best first; damaged ones are among them.

        The one that somebody set the alias to; else, for `stable`, all, newest first. Raises NotFound.
        """
        moved = self._moved(model)
        if alias in moved:
            return [moved[alias]]
        numbers = self._numbers(model)
        if alias != STABLE or not numbers:
            self.latest(model)
            raise no_alias(model, alias, {STABLE, *moved})
        return numbers[::-1]

    def aliases(self, model: str) -> dict[str, int]:
        """Alias -> version, sorted by name; `stable` is always there. Raises NotFound for a model without versions."""
        return dict(sorted({STABLE: self.latest(model), **self._moved(model)}.items()))

    # What a version holds

    def card(self, model: str, version: int) -> ModelCard:
        """The verified `model.json`. Raises NotFound, CorruptVersion."""
        return self._version(model, version).card()

    def load(self, model: str, version: int) -> tuple[ModelCard, dict[str, np.ndarray]]:
        """The verified card, and parameter name -> float32 array, read-only, of the verified weights that belong to it.

        Raises NotFound, CorruptVersion.
        """
        return self._version(model, version).load()

    def file(self, model: str, version: int, name: str) -> Path:
        """The path of a verified file, such as `report/confusion_matrix.png`. Raises NotFound, CorruptVersion."""
        return self._version(model, version).file(name)

    def verify(self, model: str, version: int) -> None:
        """Read every file of a version. Raises NotFound; CorruptVersion naming the file that does not match."""
        self._version(model, version).verify()

    def signature(self, model: str, version: int) -> Signature:
        """What changes as soon as a file of the version does, without reading one. Raises NotFound."""
        return self._version(model, version).signature()

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
        with aliases.locked(self._engine, model) as connection:
            if version is None:
                aliases.remove_all(connection, model)
            else:
                folder /= str(version)
                aliases.refuse_held(connection, model, version)
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
        with aliases.locked(self._engine, model) as connection:
            if not self._version(model, version).exists():
                raise self._no_such(model, version)
            aliases.point(connection, model, alias, version)

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away; `stable` then follows the newest version again. Raises NotFound, Conflict (`vgg16`)."""
        check_trainable(model)
        self.latest(model)
        with aliases.locked(self._engine, model) as connection:
            aliases.remove(connection, model, alias)

    def sweep(self) -> None:
        """Remove what interrupted publishes and deletes left behind, and log the versions that are not valid."""
        for name in _entries(self._trash):
            shutil.rmtree(self._trash / name, ignore_errors=True)
        for name in _entries(self._staging):
            with suppress(FileNotFoundError):  # published, or swept by another process
                if time.time() - (self._staging / name).stat().st_mtime > _STAGING_SECONDS:
                    shutil.rmtree(self._staging / name, ignore_errors=True)
        for model in _entries(self._root, NAME):
            for number in self._numbers(model):
                try:
                    self._version(model, number).manifest()
                except (NotFound, CorruptVersion) as error:
                    logger.warning("not served: %s", error)

    # Inside

    def _version(self, model: str, number: int) -> Version:
        if not NAME.fullmatch(model):  # it must not lead out of the root
            raise self._no_such(model, number)
        return Version(self._root / model / str(number), model, number)

    def _models(self) -> Iterator[str]:
        return (name for name in sorted(_entries(self._root, NAME)) if self._newest(name) is not None)

    def _numbers(self, model: str) -> list[int]:
        """Of the version folders, valid or not, rising."""
        return sorted(map(int, _entries(self._root / model, _NUMBER))) if NAME.fullmatch(model) else []

    def _newest(self, model: str) -> int | None:
        return next((number for number in self._numbers(model)[::-1] if self._version(model, number).exists()), None)

    def _moved(self, model: str) -> dict[str, int]:
        """The aliases that somebody has set, with the version that each points at."""
        if not NAME.fullmatch(model):  # a database may refuse characters that no name has
            return {}
        with reading(self._engine) as connection:
            return aliases.read(connection, model)

    def _no_such(self, model: str, version: int | None = None) -> NotFound:
        there = self.versions(model)
        return no_model(model, self._models()) if version is None or not there else no_version(model, version, there)

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


def _entries(folder: Path, name: re.Pattern[str] | None = None) -> list[str]:
    """Names in a folder that match; none when the folder is not there."""
    try:
        return [entry for entry in os.listdir(folder) if name is None or name.fullmatch(entry)]  # noqa: PTH208 - twice as fast
    except (FileNotFoundError, NotADirectoryError):
        return []


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
