"""docker-compose.yml and the Dockerfile, read without a Docker engine: what would run, and with which settings."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# What a user has to bring.
OWN = {"GRAFT_API_KEYS": "alice,bob", "POSTGRES_PASSWORD": "secret"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@dataclass
class Stage:
    """A stage of the Dockerfile, with what it has from the one it begins with."""

    begins_with: str
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health: str = ""
    user: str = "root"
    copied: list[str] = field(default_factory=list)  # out of the checkout


def interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}` in every text. Raises LookupError with the message."""
    if isinstance(value, dict):
        return {key: interpolated(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner, environment) for inner in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        found = environment.get(name)
        if not found and kind == "?":
            raise LookupError(f"{name}: {text}")
        return found or text or ""

    return VARIABLE.sub(one, value)


def compose(environment: Mapping[str, str] = OWN) -> dict[str, Any]:
    """The compose file as the variables of a user's shell make it."""
    written: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return {key: interpolated(value, environment) for key, value in written.items()}


def services(environment: Mapping[str, str] = OWN) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(environment)["services"]
    return found


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            begin, name = rest.split(" AS ")
            parent = found.get(begin, Stage(begin))
            stage = Stage(begin, dict(parent.environment), parent.command, parent.health, parent.user)
            found[name] = stage
        elif instruction == "ENV":
            stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))
        elif instruction == "CMD":
            stage.command = json.loads(rest)
        elif instruction == "HEALTHCHECK":
            stage.health = rest
        elif instruction == "USER":
            stage.user = rest
        elif instruction == "COPY" and not rest.startswith("--from"):
            stage.copied += rest.split()[:-1]
    return found


def image_of(service: Mapping[str, Any]) -> Stage:
    """What the service's container has from its image."""
    return stages()[service["build"]["target"]]


def command_of(service: Mapping[str, Any]) -> list[str]:
    command: list[str] = service.get("command") or image_of(service).command
    return command
