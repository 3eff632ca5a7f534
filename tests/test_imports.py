"""What an import must not bring along: seconds and hundreds of megabytes, in processes that do not compute."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("modules", ["app.main, worker.celery_app", "graft.cli, graft.up", "graft.vgg16.weights"])
def test_these_modules_leave_tensorflow_alone(modules: str) -> None:
    script = f"import sys, {modules}; print(sorted({{'tensorflow', 'keras'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
