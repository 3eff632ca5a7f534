"""The settings' rules, and that docs/settings.md lists every one as it is."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from graft.database import connect, migrate
from graft.settings import Settings, is_loopback

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
ROW = re.compile(r"^\| `(GRAFT_\w+)` \| (?:`([^`]+)`|empty)(?: \(([\d]+) ([MG])iB\))? \| (.+) \|$", re.MULTILINE)


def test_the_docs_list_every_setting_as_the_class_has_it() -> None:
    documented = [(name, default, text) for name, default, _, _, text in ROW.findall(DOCS.read_text())]
    assert documented == [
        (f"GRAFT_{name.upper()}", str(field.default) if field.default else "", field.description)
        for name, field in Settings.model_fields.items()
    ]


def test_the_docs_give_sizes_in_words_that_match_their_numbers() -> None:
    sized = [row for row in ROW.findall(DOCS.read_text()) if row[2]]
    assert sized
    for _, default, count, unit, _ in sized:
        assert int(default) == int(count) * {"M": 2**20, "G": 2**30}[unit]


def test_each_variable_reaches_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "GRAFT_HOST": "0.0.0.0",
        "GRAFT_PORT": "9000",
        "GRAFT_HOME": str(tmp_path),
        "GRAFT_API_KEYS": " one, two,,",
        "GRAFT_WEIGHTS_DIR": "weights",
        "GRAFT_PRECISION": "bfloat16",
        "GRAFT_DATABASE_URL": "",
        "GRAFT_FEATURES_BUDGET": "50GiB",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    settings = Settings()
    assert settings.port == 9000
    assert settings.api_keys == {"one", "two"}
    assert settings.weights_dir == tmp_path / "weights"
    assert settings.precision == "bfloat16"
    assert settings.database_url is None
    assert settings.features_budget == 50 * 2**30
    assert str(settings.sqlalchemy_url) == f"sqlite:///{tmp_path}/graft.db"


def test_the_home_folder_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().home == tmp_path / ".graft"


def test_a_folder_of_weights_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=f"GRAFT_WEIGHTS_DIR must name a folder; received {tmp_path / 'none'}"):
        Settings(weights_dir=tmp_path / "none")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "graft.example"])
def test_an_address_off_loopback_needs_keys(host: str) -> None:
    with pytest.raises(ValidationError, match=f"GRAFT_HOST other than loopback needs API keys; received {host}"):
        Settings(host=host)
    assert Settings(host=host, api_keys=frozenset({"key"})).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).api_keys == frozenset()


def test_the_hardware_decides_the_precision_unless_somebody_does() -> None:
    assert Settings().precision == "auto"


@pytest.mark.parametrize(
    ("word", "received"), [("int8", "int8, which is not built yet"), ("float16", "float16"), ("BFLOAT16", "BFLOAT16")]
)
def test_another_precision_is_answered_with_the_words(
    monkeypatch: pytest.MonkeyPatch, word: str, received: str
) -> None:
    monkeypatch.setenv("GRAFT_PRECISION", word)
    with pytest.raises(ValidationError, match=rf"one of auto, float32, bfloat16; received {received}\."):
        Settings()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_reached_by_the_driver_that_is_installed(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://graft:secret@db:5433/jobs?sslmode=require")
    expected = "postgresql+psycopg://graft:secret@db:5433/jobs?sslmode=require"
    assert settings.sqlalchemy_url.render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "address",
    [
        "mysql://graft:secret@db/x",
        "postgresql+asyncpg://u:secret@db/x",
        "postgresql://u:secret@db:port/x",
        "graft:secret",
    ],
)
def test_another_database_is_refused_without_repeating_its_password(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(database_url=address)
    (problem,) = caught.value.errors()
    assert re.search(r"GRAFT_DATABASE_URL must be postgresql://.* received (an address|one)", problem["msg"])
    assert "secret" not in problem["msg"]


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match=r"GRAFT_DATABASE_URL must be .* received no file"):
        Settings(database_url=address)


@pytest.mark.parametrize("name", ["what? now", "100%", "a#b", "c:d@e", "ünï"])
def test_the_database_is_in_the_home_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    engine = connect(Settings(home=tmp_path / name).sqlalchemy_url)
    migrate(engine)
    engine.dispose()
    assert (tmp_path / name / "graft.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("address", ["redis://host:6379/1", "rediss://host", "redis+socket:///run/redis.sock"])
def test_redis_is_a_broker(address: str) -> None:
    assert Settings(broker_url=address).broker_url == address


@pytest.mark.parametrize("address", ["amqp://u:secret@host", "localhost:6379", "REDIS://host"])
def test_no_other_broker_is(address: str) -> None:
    with pytest.raises(ValidationError, match="GRAFT_BROKER_URL must begin with redis://") as caught:
        Settings(broker_url=address)
    assert "secret" not in caught.value.errors()[0]["msg"]


def test_a_lease_must_outlive_heartbeats() -> None:
    assert Settings(lease_seconds=3, heartbeat_seconds=1).lease_seconds == 3
    rule = r"GRAFT_LEASE_SECONDS must be at least three times GRAFT_HEARTBEAT_SECONDS.* received 2.9 and 1"
    with pytest.raises(ValidationError, match=rule):
        Settings(lease_seconds=2.9, heartbeat_seconds=1)


@pytest.mark.parametrize("name", ["lease_seconds", "heartbeat_seconds", "predict_timeout_seconds"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_time_is_a_finite_number(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GRAFT_{name.upper()}", value)
    with pytest.raises(ValidationError, match="finite number"):
        Settings()
