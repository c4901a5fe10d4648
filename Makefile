# make run: set up and start with a sample; make test: set up and pass all tests. Nothing else has to be installed.
# make deb: the Debian package, in dist/; make acceptance: that package on a Debian 12 that boots (as root).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := cache,dev,embedded,fast,ics

.PHONY: run test lint setup bench deb acceptance clean

run: setup
	@$(BIN)/python packaging/sample.py $(BIN)

test: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered | tail -n 25

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python bench/run.py

deb: setup
	@sh packaging/deb/needs.sh dpkg-dev binutils
	@$(BIN)/python packaging/deb/build.py

acceptance: deb
	@[ "$$(id -u)" != 0 ] || sh packaging/deb/needs.sh mmdebstrap systemd-container lintian || true
	@$(BIN)/python tests/machine/run.py $$(ls -t dist/jamaint_*.deb | head -n 1)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock $(wildcard packaging/bin/*)
	@echo "setting up $(VENV), which takes about a minute"
	@sh packaging/venv.sh $(PYTHON) $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	[ ! -L .run ] || rm -rf "$$(readlink -f .run)"
	rm -rf $(VENV) .run dist
