# `make up` starts the service, `make test` checks it. Both need only Python 3.11-3.13, make and a shell.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CUDA build of TensorFlow only where an NVIDIA driver answers.
DEVICE := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: up test lint lock clean

# Without weights it starts all the same: /health/ready says what is missing, and the service goes on looking for them.
up: $(VENV)/.installed-$(DEVICE)
	@$(BIN)/graft weights fetch || true
	@exec $(BIN)/graft up

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Two at a time, a file of tests each: many of them wait for processes that they start.
test: lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile

# pip reads the lock in hash-checking mode: what is installed is what was locked.
$(VENV)/.installed-$(DEVICE): locks/$(DEVICE).txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"Graft needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v[0]}.{v[1]}. Name another one: make PYTHON=python3.11")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing Graft ($(DEVICE)) into $(VENV): a few minutes, once."
	@$(PIP) install --require-hashes -r locks/$(DEVICE).txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-$(DEVICE) locks/dev.txt
	@$(PIP) install --require-hashes -r locks/dev.txt
	@touch $@

# Needs uv: pip install uv
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(LOCK) pyproject.toml --extra cpu --group build -o locks/cpu.txt
	$(LOCK) pyproject.toml --extra gpu --group build -o locks/gpu.txt
	$(LOCK) --group dev -c locks/cpu.txt -o locks/dev.txt

clean:
	rm -rf $(VENV)
