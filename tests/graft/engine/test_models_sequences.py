"""Any sequence of what happens to a model's versions, held against a few lines that say who should answer."""

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from graft.engine.models import Models
from graft.errors import CorruptVersion, NotFound
from graft.registry import MODEL, STABLE, WEIGHTS, Registry
from graft.registry.manifest import MANIFEST
from tests.graft.engine.preparing import DEADLINE, Prepare, Watched, assert_whole
from tests.graft.registry.versions import FILES, publish

SERVED = {MODEL, WEIGHTS, MANIFEST}  # the files that an answer needs
LARGE = 10**9  # bytes: so much and nothing beside it
an_alias = st.sampled_from([STABLE, "canary"])
a_file = st.sampled_from([*FILES, MANIFEST])
some = st.integers(0, 99)  # picks one of those that there are
a_place = st.floats(0, 1, exclude_max=True)


class Sequences(RuleBasedStateMachine):
    """Each run has a model of its own in the registry."""

    registry: ClassVar[Registry]
    root: ClassVar[Path]
    runs: ClassVar = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.model = f"m{next(self.runs)}"
        self.published = 0
        self.versions: dict[int, dict[str, bytes]] = {}  # those that exist -> their damaged files, as these were
        self.unfit: set[int] = set()
        self.aliases: dict[str, int] = {}
        self.start()

    # What happens

    @rule()
    def start(self) -> None:
        """The process, again."""
        self.prepare, self.metrics = Prepare(), Watched()
        self.prepare.nbytes["large"] = LARGE
        self.prepare.failing = {version: CorruptVersion("it was trained badly") for version in self.unfit}
        self.models = Models(
            self.registry, memory_bytes=LARGE, prepare=self.prepare, metrics=self.metrics, patience=DEADLINE
        )
        self.loaded: set[int] = set()
        self.quarantine: set[int] = set()
        self.answered: dict[str, int] = {}

    @rule(fit=st.booleans())
    def train(self, fit: bool) -> None:
        self.published += 1
        if not fit:
            self.unfit.add(self.published)
            self.prepare.failing[self.published] = CorruptVersion("it was trained badly")
        publish(self.registry, self.model, self.published)
        self.versions[self.published] = {}

    @precondition(lambda self: self.versions)
    @rule(which=some, name=a_file, where=a_place, flip=st.integers(0, 255))
    def damage(self, which: int, name: str, where: float, flip: int) -> None:
        """Flip bits of a byte; for a flip of none, cut the file there."""
        version = self.pick(which, self.versions)
        found = self.path(version, name).read_bytes()
        before = self.versions[version].pop(name, found)
        at = int(where * len(found))
        broken = found[:at] + (bytes([found[at] ^ flip]) + found[at + 1 :] if flip and found else b"")
        self.write(version, name, broken)
        if broken != before:
            self.versions[version][name] = before

    @precondition(lambda self: self.damaged())
    @rule(which=some)
    def restore(self, which: int) -> None:
        version = self.pick(which, self.damaged())
        for name, before in self.versions[version].items():
            self.write(version, name, before)
        self.versions[version] = {}

    @precondition(lambda self: self.unaliased())
    @rule(which=some)
    def delete(self, which: int) -> None:
        version = self.pick(which, self.unaliased())
        self.registry.delete(self.model, version)
        del self.versions[version]
        self.quarantine.discard(version)

    @precondition(lambda self: self.sealed())
    @rule(alias=an_alias, which=some)
    def point(self, alias: str, which: int) -> None:
        self.aliases[alias] = self.pick(which, self.sealed())
        self.registry.set_alias(self.model, alias, self.aliases[alias])

    @precondition(lambda self: self.sealed() and self.aliases)
    @rule(which=some)
    def remove_alias(self, which: int) -> None:
        alias = sorted(self.aliases)[which % len(self.aliases)]
        self.registry.delete_alias(self.model, alias)
        del self.aliases[alias]

    @rule()
    def let_go(self) -> None:
        """Another model takes all of the memory."""
        assert self.models.get("large")[0] == 1000
        assert self.metrics.in_memory == (1, LARGE)
        self.loaded = set()

    @rule(alias=an_alias)
    def ask_by_alias(self, alias: str) -> None:
        following = sorted(self.versions, reverse=True) if alias == STABLE else []
        candidates = [self.aliases[alias]] if alias in self.aliases else following
        last = self.answered.get(alias)
        expected = next((version for version in candidates if self.can_answer(version)), None)
        if expected is not None:
            self.answered[alias] = expected
        elif not candidates:
            self.answered.pop(alias, None)
        elif last in self.versions and last not in candidates and self.can_answer(last):
            expected = last
        self.check(expected, bool(candidates), alias=alias)

    @rule(version=st.integers(1, 12))
    def ask_by_number(self, version: int) -> None:
        exists = version in self.versions
        self.check(version if exists and self.can_answer(version) else None, exists, version=version)

    # What should be true

    def can_answer(self, version: int) -> bool:
        """Whether a version is in memory or comes there now; one that cannot goes into quarantine."""
        if version not in self.loaded and (version in self.unfit or not SERVED.isdisjoint(self.versions[version])):
            self.quarantine.add(version)
            return False
        self.loaded.add(version)
        return True

    def check(self, expected: int | None, exists: bool, **asked: Any) -> None:
        if expected is None:
            with pytest.raises(CorruptVersion if exists else NotFound):
                self.models.get(self.model, **asked)
        else:
            version, loaded = self.models.get(self.model, **asked)
            assert version == expected
            assert_whole(self.model, version, loaded)

    @invariant()
    def what_is_told(self) -> None:
        assert set(self.models.quarantined(self.model)) == self.quarantine
        for version in range(1, self.published + 1):
            assert self.metrics.in_quarantine(self.model, version) == (version in self.quarantine)
        models, nbytes = self.metrics.in_memory
        assert models is not None
        assert models >= len(self.loaded & self.versions.keys())
        assert nbytes is not None
        assert nbytes <= LARGE

    # Helpers

    def pick(self, which: int, versions: Iterable[int]) -> int:
        there = sorted(versions)
        return there[which % len(there)]

    def damaged(self) -> list[int]:
        return [version for version, files in self.versions.items() if files]

    def sealed(self) -> list[int]:
        return [version for version, files in self.versions.items() if MANIFEST not in files]

    def unaliased(self) -> set[int]:
        return set(self.versions) - set(self.aliases.values())

    def path(self, version: int, name: str) -> Path:
        return self.root / self.model / str(version) / name

    def write(self, version: int, name: str, data: bytes) -> None:
        """As a copy that is moved into place, so that the version counts as changed."""
        aside = self.root / "aside"
        aside.write_bytes(data)
        aside.replace(self.path(version, name))
        self.quarantine.discard(version)


def test_who_answers(registry: Registry, root: Path) -> None:
    publish(registry, "large", 1000)
    Sequences.registry, Sequences.root = registry, root
    slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(Sequences, settings=settings(slow, max_examples=40, stateful_step_count=30))
