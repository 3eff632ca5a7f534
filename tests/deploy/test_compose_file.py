"""The compose file's contract: known settings, commands that exist, hardened services, health checks, three volumes."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner

from graft.children import RULES
from graft.cli import app
from graft.jobs import QUEUE_OF
from graft.settings import Settings
from tests.deploy.compose import OWN, ROOT, command_of, compose, image_of, services

SERVICES = services()
GRAFT = {name: service for name, service in SERVICES.items() if "build" in service}
every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
graft_service = pytest.mark.parametrize("service", GRAFT.values(), ids=GRAFT)


@graft_service
def test_the_environment_is_settings_that_graft_takes(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = image_of(service).environment | service["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    known = {f"GRAFT_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in environment if name.startswith("GRAFT_")} <= known
    settings = Settings()
    assert settings.sqlalchemy_url.host in SERVICES
    assert settings.sqlalchemy_url.password == OWN["POSTGRES_PASSWORD"]
    assert settings.broker_url == "redis://redis"
    assert settings.api_keys == ({"alice", "bob"} if "ports" in service else set())


@pytest.mark.parametrize("missing", OWN)
def test_without_keys_or_a_password_it_says_how_to_make_one(missing: str) -> None:
    with pytest.raises(LookupError, match=f"{missing}: Set it to .* openssl rand -hex 16"):
        services({name: value for name, value in OWN.items() if name != missing})


@graft_service
def test_its_command_exists(service: dict[str, Any]) -> None:
    program, *arguments = command_of(service)
    assert program == "graft"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


def test_every_queue_has_a_worker_and_there_is_an_api() -> None:
    default = [command_of(service) for service in GRAFT.values() if "profiles" not in service]
    assert sorted(default) == [
        ["graft", "api"],
        *(["graft", "worker", queue] for queue in sorted({*QUEUE_OF.values()})),
    ]


@every_service
def test_a_service_can_do_no_more_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user") or image_of(service).user != "root"
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & service.keys()
    assert all(volume.split(":")[0] in compose()["volumes"] for volume in service["volumes"])


@every_service
def test_a_service_has_limits_and_starts_again(service: dict[str, Any]) -> None:
    assert service["restart"] == "unless-stopped"
    assert float(service["cpus"]) > 0
    assert service["mem_limit"][-1] in "mg"
    assert service["pids_limit"] > 0


@graft_service
def test_it_shares_one_home_and_waits_for_the_servers(service: dict[str, Any]) -> None:
    assert service["volumes"] == [f"home:{image_of(service).environment['GRAFT_HOME']}"]
    assert service["depends_on"] == {server: {"condition": "service_healthy"} for server in ("postgres", "redis")}


@graft_service
def test_it_has_the_time_to_stop_in_good_order(service: dict[str, Any]) -> None:
    assert float(service["stop_grace_period"].removesuffix("s")) >= max(RULES.grace, Settings().stop_seconds)


def test_those_that_are_asked_have_health_checks() -> None:
    checked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert checked == {"api", "api-gpu", "postgres", "redis"}


def test_only_the_api_is_published_and_only_on_this_machine_by_default() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {name: ["127.0.0.1:8000:8000"] for name in ("api", "api-gpu")}
    several = services(OWN | {"API_ADDRESS": "0.0.0.0", "API_PORTS": "8000-8002"})
    assert several["api"]["ports"] == ["0.0.0.0:8000-8002:8000"]
    assert compose()["networks"]["data"] == {"internal": True}
    assert all(SERVICES[name]["networks"] == ["data"] for name in ("postgres", "redis", "datasets"))


def test_the_servers_keep_what_they_hold_and_are_pinned() -> None:
    assert SERVICES["redis"]["command"] == ["redis-server", "--appendonly", "yes"]
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    for name in ("redis", "postgres"):
        assert SERVICES[name]["image"].startswith(f"{name}:")
        assert len(SERVICES[name]["image"].partition("-bookworm@sha256:")[2]) == 64


@pytest.mark.parametrize("name", ["api", "training"])
def test_the_gpu_profile_changes_the_image_and_adds_the_device(name: str) -> None:
    cpu, gpu = SERVICES[name], SERVICES[f"{name}-gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (gpu["profiles"], device["driver"], device["capabilities"]) == (["gpu"], "nvidia", ["gpu"])
    assert gpu["build"] == cpu["build"] | {"args": {"DEVICE": "gpu"}}
    changed = {"profiles", "deploy", "build", "image"}
    assert {k: v for k, v in gpu.items() if k not in changed} == {k: v for k, v in cpu.items() if k not in changed}


def test_docker_compose_reads_it_as_these_tests_do() -> None:
    programs = (["docker", "compose"], ["docker-compose"])
    here = [p for p in programs if shutil.which(p[0]) and not subprocess.run([*p, "version"], check=False).returncode]
    if not here:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    command = [*here[0], "--profile", "gpu", "config", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **OWN}, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)["services"]
    assert read.keys() == SERVICES.keys()
    for name, service in GRAFT.items():
        assert read[name]["environment"] == service["environment"]
        assert read[name].get("command") == service.get("command")
