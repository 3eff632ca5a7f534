"""The settings: environment variables named GRAFT_*. Read at the composition roots only; listed in docs/settings.md."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self, get_args

from pydantic import ByteSize, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from graft.types import Precision, PrecisionSetting

MIB = 1024 * 1024
# The driver that each scheme of a database's address means: those that are installed and tested.
DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
BROKERS = ("redis", "rediss", "redis+socket")


class Settings(BaseSettings):
    """Every field is an environment variable: `host` is GRAFT_HOST."""

    model_config = SettingsConfigDict(env_prefix="GRAFT_", extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="Address to listen on. Any other than loopback needs GRAFT_API_KEYS.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    home: Path = Field(Path("~/.graft"), description="Folder for datasets, features, registry, checkpoints, weights.")
    api_keys: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Full-scope keys, with commas between."
    )
    weights_dir: Path | None = Field(None, description="Folder with VGG16 weight files under their official names.")
    weights_url: str = Field(
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/",
        description="Where the official Keras files are fetched from; a mirror's address goes here.",
    )
    precision: PrecisionSetting = Field(
        "auto",
        description="Precision of `vgg16`, and of new trainings unless their recipe says another: float32, bfloat16, "
        "or auto, which is bfloat16 where the hardware has it.",
    )
    database_url: str | None = Field(
        None, description="Database, such as postgresql://user@host/graft; empty: SQLite in the home folder."
    )
    broker_url: str | None = Field(None, description="Broker, such as redis://host; empty: files in the home folder.")
    lease_seconds: float = Field(
        60.0, gt=0, description="A running job that was not heard of for so long is given to another worker."
    )
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="How often a supervisor renews its job's lease; a third of the lease at most."
    )
    predict_body_bytes: int = Field(20 * MIB, gt=0, description="Largest body of a prediction request.")
    predict_pictures: int = Field(32, gt=0, description="Most pictures in one prediction request.")
    predict_timeout_seconds: float = Field(30.0, gt=0, description="Deadline of a prediction.")
    picture_pixels: int = Field(50_000_000, gt=0, description="Most pixels of one picture, before it is decoded.")
    archive_bytes: int = Field(5 * 1024 * MIB, gt=0, description="Largest archive, packed and unpacked.")
    archive_entries: int = Field(100_000, gt=0, description="Most members of an archive.")
    archive_file_bytes: int = Field(64 * MIB, gt=0, description="Largest member of an archive, unpacked.")
    archive_data_bytes: int = Field(
        1024 * MIB, gt=0, description="Largest annotation or data file of an import (JSON, CSV, IDX, CIFAR)."
    )
    archive_ratio: int = Field(100, gt=0, description="Highest compression ratio of an archive's member.")
    models_memory_bytes: int = Field(
        2 * 1024 * MIB, gt=0, description="Memory for loaded grafts; the least recently used leave first."
    )
    features_budget: ByteSize | None = Field(
        None,
        ge=0,
        description="Disk space for features, such as 50GiB; the least recently used leave first. "
        "Empty: 20 GiB, or half of the free disk where that is less.",
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return frozenset(k.strip() for k in value.split(",") if k.strip()) if isinstance(value, str) else value

    @field_validator("precision", mode="before")
    @classmethod
    def _built_precision(cls, value: object) -> object:
        words = ("auto", *get_args(Precision))
        if value not in words:
            but = ", which is not built yet" if value == "int8" else ""
            raise ValueError(f"GRAFT_PRECISION must be one of {', '.join(words)}; received {value}{but}.")
        return value

    @field_validator("weights_dir")
    @classmethod
    def _folder_of_weights(cls, value: Path | None) -> Path | None:
        if value is not None and not value.expanduser().is_dir():
            raise ValueError(f"GRAFT_WEIGHTS_DIR must name a folder; received {value}, which is none.")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None:
            _database_address(value)
        return value

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        if value is not None and value.partition("://")[0] not in BROKERS:
            raise ValueError(
                f"GRAFT_BROKER_URL must begin with redis://, rediss:// or redis+socket://; received {_scheme(value)}. "
                "Leave it empty for files in the home folder."
            )
        return value

    @field_validator("home", "weights_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @model_validator(mode="after")
    def _keys_off_loopback(self) -> Self:
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"GRAFT_HOST other than loopback needs API keys; received {self.host} and no keys. "
                "Set GRAFT_API_KEYS, or leave GRAFT_HOST at 127.0.0.1."
            )
        return self

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> Self:
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            raise ValueError(
                "GRAFT_LEASE_SECONDS must be at least three times GRAFT_HEARTBEAT_SECONDS, as one may come late; "
                f"received {self.lease_seconds:g} and {self.heartbeat_seconds:g}."
            )
        return self

    @property
    def stop_seconds(self) -> float:
        """What the API may need from SIGTERM to its end: a drain, an accepted prediction's whole deadline, a margin."""
        return self.predict_timeout_seconds + 10

    @property
    def sqlalchemy_url(self) -> URL:
        if self.database_url is not None:
            return _database_address(self.database_url)
        return URL.create("sqlite", database=str(self.home / "graft.db"))


def _database_address(text: str) -> URL:
    """With the driver that Graft uses. Raises ValueError for any other database."""
    rule = "GRAFT_DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE"
    advice = "Leave it empty for SQLite in the home folder."
    try:
        address = make_url(text)
        driver = DRIVERS[address.drivername]
    except (ArgumentError, ValueError, KeyError):
        raise ValueError(f"{rule}; received {_scheme(text)}. {advice}") from None
    if driver == "sqlite" and address.database in (None, "", ":memory:"):
        raise ValueError(f"{rule}; received no file, and several processes share the database. {advice}")
    return address.set(drivername=driver)


def _scheme(address: str) -> str:
    """What an error may say of an address, which may hold a password."""
    scheme, found, _ = address.partition("://")
    return f"an address that begins with {scheme}://" if found else "one without ://"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host` (a name or an address)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
