"""The settings' rules, and that docs/settings.md lists every one as it is."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

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
        "GRAFT_PRECISION": "float32",
        "GRAFT_DATABASE_URL": "",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.port == 9000
    assert settings.api_keys == {"one", "two"}
    assert settings.weights_dir == tmp_path / "weights"
    assert settings.database_url is None
    assert settings.sqlalchemy_url == f"sqlite:///{tmp_path}/graft.db"


def test_the_home_folder_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().home == tmp_path / ".graft"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "graft.example"])
def test_an_address_off_loopback_needs_keys(host: str) -> None:
    with pytest.raises(ValidationError, match=f"GRAFT_HOST other than loopback needs API keys; received {host}"):
        Settings(host=host)
    assert Settings(host=host, api_keys=frozenset({"key"})).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).api_keys == frozenset()


@pytest.mark.parametrize("word", ["bfloat16", "int8", "auto"])
def test_a_precision_that_is_not_built_yet_is_called_so(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("GRAFT_PRECISION", word)
    with pytest.raises(ValidationError, match=f"float32 for now; received {word}, which is not built yet"):
        Settings()


def test_an_unknown_precision_is_answered_with_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_PRECISION", "float16")
    with pytest.raises(ValidationError, match=r"one of float32, bfloat16, int8, auto .* received float16"):
        Settings()
