"""What happens when two things happen at once, or the disk is full."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graft.errors import Conflict
from graft.registry import Registry
from graft.registry.manifest import MANIFEST
from tests.graft.registry.versions import publish, stage


class TestPublishing:
    def test_staged_files_are_not_a_version_yet(self, registry: Registry) -> None:
        stage(registry, "signs", 1)
        assert registry.models() == []
        assert registry.versions("signs") == []

    def test_the_same_job_may_publish_again(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        before = (root / "signs" / "1" / MANIFEST).stat().st_ino
        again = stage(registry, "signs", 1)
        registry.publish(again, "signs", 1)
        assert not again.exists()
        assert (root / "signs" / "1" / MANIFEST).stat().st_ino == before

    def test_another_job_may_not(self, registry: Registry) -> None:
        publish(registry, "signs", 1)
        with pytest.raises(Conflict, match="'signs' version 1 was by 'job_1'; received 'job_other'"):
            registry.publish(stage(registry, "signs", 1, job="job_other"), "signs", 1)
        assert registry.card("signs", 1).job_id == "job_1"

    @pytest.mark.parametrize("damage", ["half", "corrupt"])
    def test_what_is_in_the_way_is_moved_aside(self, registry: Registry, root: Path, damage: str) -> None:
        target = root / "signs" / "1"
        if damage == "half":
            target.mkdir(parents=True)
            (target / "weights.safetensors").write_bytes(b"half")
        else:
            publish(registry, "signs", 1)
            (target / "weights.safetensors").write_bytes(b"corrupt")
        publish(registry, "signs", 1)
        registry.verify("signs", 1)

    def test_a_rename_that_nfs_reports_as_failed(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        rename = Path.rename

        def done_but_denied(self: Path, target: Path) -> Path:
            rename(self, target)
            raise FileNotFoundError(errno.ENOENT, "the retransmitted request found nothing")

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", done_but_denied)
        registry.publish(staged, "signs", 1)
        monkeypatch.undo()
        registry.verify("signs", 1)

    def test_the_model_s_folder_goes_just_before_the_rename(
        self, registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename, tries = Path.rename, 0

        def after_a_delete(self: Path, target: Path) -> Path:
            nonlocal tries
            tries += 1
            if tries == 1:
                (root / "signs").rmdir()
            return rename(self, target)

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", after_a_delete)
        registry.publish(staged, "signs", 1)
        assert (tries, registry.versions("signs")) == (2, [1])

    def test_a_publish_that_cannot_be_done_says_so(
        self, registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def always_in_the_way(self: Path, target: Path) -> Path:
            if target.parent == root / "signs":
                raise OSError(errno.ENOTEMPTY, "Directory not empty")
            return rename(self, target)

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", always_in_the_way)
        with pytest.raises(OSError, match="not empty"):
            registry.publish(staged, "signs", 1)
        assert staged.is_dir()
        assert registry.versions("signs") == []

    def test_what_is_no_version_is_refused(self, registry: Registry) -> None:
        with pytest.raises(ValueError, match=r"holds a valid model\.json"):
            registry.publish(registry.stage("signs"), "signs", 1)
        with pytest.raises(ValueError, match="must be of 'signs' version 2; received 'signs' version 1"):
            registry.publish(stage(registry, "signs", 1), "signs", 2)
        bare = stage(registry, "signs", 1)
        (bare / "weights.safetensors").unlink()
        with pytest.raises(ValueError, match=r"holds weights\.safetensors"):
            registry.publish(bare, "signs", 1)
        linked = stage(registry, "signs", 1)
        (linked / "report" / "link.png").symlink_to("/etc/hostname")
        with pytest.raises(ValueError, match="plain files"):
            registry.publish(linked, "signs", 1)
        assert registry.models() == []

    def test_two_attempts_of_one_job_at_once_make_one_version(self, registry: Registry) -> None:
        with ThreadPoolExecutor(4) as pool:
            for version in range(1, 11):
                attempts = [stage(registry, "signs", version) for _ in range(4)]
                for done in [pool.submit(registry.publish, staged, "signs", version) for staged in attempts]:
                    done.result()
                registry.verify("signs", version)
        assert registry.versions("signs") == list(range(1, 11))
