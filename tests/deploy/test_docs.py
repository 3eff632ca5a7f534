"""docs/containers.md against the compose file: the variables it lists, the settings it shows, the services it names."""

import re
from typing import Any

import yaml

from graft.settings import Settings
from tests.deploy.compose import OWN, ROOT, VARIABLE, services

DOCS = (ROOT / "docs" / "containers.md").read_text()
ROW = re.compile(r"^\| `([A-Z_]+)` \| `([^`]+)` \| .+ \|$", re.MULTILINE)


def test_the_docs_list_every_variable_with_its_default() -> None:
    found = VARIABLE.findall((ROOT / "docker-compose.yml").read_text())
    assert dict(ROW.findall(DOCS)) == {name: default for name, kind, default in found if kind == "-"}
    assert {name for name, kind, _ in found if kind == "?"} == OWN.keys()


def test_the_docs_name_every_service() -> None:
    named = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", DOCS, re.MULTILINE)
    assert {name.strip("`") for row in named for name in row.split(", ")} == services().keys()


def test_the_override_in_the_docs_is_of_services_and_settings_that_exist() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    overridden: dict[str, dict[str, Any]] = yaml.safe_load(block)["services"]
    assert overridden.keys() <= services().keys()
    shown = {name for service in overridden.values() for name in service["environment"]}
    assert shown <= {f"GRAFT_{name.upper()}" for name in Settings.model_fields}
