"""A dataset as a row of the database."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, select, update

from graft.datasets.checking.splits import SplitRequest
from graft.datasets.layouts.listing import Boxes
from graft.errors import InvalidFields, NotFound
from graft.tables import datasets as table

State = Literal["open", "validating", "ready", "rejected"]
MAX_NAME = 200


@dataclass(frozen=True)
class NewDataset:
    """What a caller says of a dataset before there are files. Raises InvalidFields."""

    name: str
    splits: SplitRequest = field(default_factory=SplitRequest)
    boxes: Boxes = "crop"

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= MAX_NAME:
            raise InvalidFields(f"name must have 1 to {MAX_NAME} characters; received {len(self.name)}.")


@dataclass(frozen=True)
class Dataset:
    """A row. counts: split -> class -> pictures; created_at: epoch milliseconds.

    batches: ids of what was added, oldest first; sealed: so many of them make up the revision; files: in all of them.
    revision, classes and counts are those of the last revision, also while the next one is made. checks: what its
    validation found, one entry a kind; problems: file by file.
    """

    id: str
    name: str
    state: State
    revision: str | None
    boxes: Boxes
    batches: tuple[str, ...]
    sealed: int
    files: int
    classes: tuple[str, ...] | None
    counts: dict[str, dict[str, int]] | None
    checks: list[dict[str, Any]] | None
    problems: list[dict[str, Any]]
    created_at: int


COLUMNS = [table.c[field] for field in Dataset.__dataclass_fields__]


def dataset_of(row: RowMapping) -> Dataset:
    values = {field: row[field] for field in Dataset.__dataclass_fields__}
    classes = None if row["classes"] is None else tuple(row["classes"])
    return Dataset(**{**values, "batches": tuple(row["batches"] or ()), "classes": classes})


def get(connection: Connection, dataset_id: str, *, lock: bool = False) -> Dataset:
    """lock: nobody else changes it until the transaction ends; on SQLite that is so anyway. Raises NotFound."""
    query = select(*COLUMNS).where(table.c.id == dataset_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no dataset {dataset_id!r}. GET /api/v1/datasets lists what is there.")
    return dataset_of(row)


def change(engine: Engine, seen: Dataset, **values: Any) -> Dataset | None:
    """Change the row, if state and batches are still as they were seen. Raises NotFound."""
    with engine.begin() as connection:
        now = get(connection, seen.id, lock=True)
        if (now.state, now.batches) != (seen.state, seen.batches):
            return None
        statement = update(table).where(table.c.id == seen.id).values(**values)
        return dataset_of(connection.execute(statement.returning(*COLUMNS)).mappings().one())


def split_request(connection: Connection, dataset_id: str) -> SplitRequest:
    query = select(table.c.split_request).where(table.c.id == dataset_id)
    return SplitRequest(**connection.execute(query).scalar_one())
