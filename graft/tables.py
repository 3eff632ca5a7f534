"""The SQL tables, for SQLite and PostgreSQL alike. Times are epoch milliseconds by the database's clock."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),  # validate, train, plan, predict, export
    Column("queue", String(20), nullable=False),  # datasets, training
    Column("state", String(20), nullable=False),
    Column("model", String(63)),
    Column("version", Integer),  # set once published
    Column("dataset", String(40)),
    Column("revision", String(64)),
    Column("recipe", JSON),
    Column("priority", Integer, nullable=False, default=0),
    Column("fence", Integer, nullable=False, default=0),  # rises with every claim
    Column("failures", Integer, nullable=False, default=0),  # lost or crashed runs
    Column("owner", String(200)),
    Column("lease_until", BigInteger),
    Column("progress", JSON),
    Column("metrics", JSON),
    Column("result", JSON),
    Column("error_code", String(60)),
    Column("error_message", Text),
    Column("metadata", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("queued_at", BigInteger, nullable=False),  # the last time that it entered the queue
    Column("started_at", BigInteger),  # the first claim
    Column("finished_at", BigInteger),
    Index(None, "queue", "state", "priority", "created_at"),
    Index(None, "state", "lease_until"),
)

# Of a job: it waits, runs, or is being cancelled.
unfinished = jobs.c.finished_at.is_(None)
# Of a job: it cannot run before its dataset has been validated.
waits_for_dataset = and_(jobs.c.kind.in_(["train", "plan"]), jobs.c.dataset.is_not(None), jobs.c.revision.is_(None))

job_events = Table(
    "job_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("type", String(40), nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "job_id", "id"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("state", String(20), nullable=False),  # open, validating, ready, rejected
    Column("revision", String(64)),  # set once ready, and kept while the next one is made
    Column("split_request", JSON, nullable=False),  # validation_split, test_split, split_seed
    Column("boxes", String(10), nullable=False, server_default="crop"),  # crop, whole: what marked objects make
    Column("batches", JSON),  # ids of what was added, oldest first
    Column("sealed", Integer, nullable=False, server_default="0"),  # so many of them make up the revision
    Column("files", Integer, nullable=False, server_default="0"),  # in the batches
    Column("classes", JSON),
    Column("counts", JSON),  # {split: {class: pictures}}
    Column("checks", JSON),  # what is worth knowing, one entry a kind
    Column("problems", JSON, nullable=False),  # file by file
    Column("created_at", BigInteger, nullable=False),
)

# A row is a reservation: made before the rename that publishes, by one job, and kept when the version is deleted,
# so that no number is ever given twice.
model_versions = Table(
    "model_versions",
    metadata,
    Column("model", String(63), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("job_id", String(40), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("job_id"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("version", Integer, nullable=False),
)

# Who has sent an Idempotency-Key, and with what. The id of what is created is derived from `id`.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", String(64), primary_key=True),  # sha256 of the caller and the key
    Column("fingerprint", String(64), nullable=False),  # sha256 of the request
    Column("created_at", BigInteger, nullable=False),
)
