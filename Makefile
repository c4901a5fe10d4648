# make run: set up and start with a sample; make test: set up and pass all tests. Nothing else has to be installed.
# make deb: the Debian package, in dist/; make acceptance: that package on Debian 12 and 13, booted (as root).
# make clean: throw the sample away; make distclean: also the virtual environment and dist/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint setup lock bench mutants deb acceptance clean distclean

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

# Which changes of the deciding modules no test notices; of some groups only: make mutants GROUPS="guards policies"
mutants: setup
	nice $(BIN)/python bench/mutants.py $(GROUPS)

deb: setup
	@sh packaging/deb/needs.sh dpkg-dev binutils
	@$(BIN)/python packaging/deb/build.py

acceptance: deb
	@[ "$$(id -u)" != 0 ] || sh packaging/deb/needs.sh mmdebstrap systemd-container lintian || true
	@$(BIN)/python tests/machine/run.py $$(ls -t dist/jamaint_*.deb | head -n 1)
	@$(BIN)/python tests/machine/stock.py $(STOCK)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock packaging/setup.sh $(wildcard packaging/bin/*)
	@sh packaging/setup.sh $(PYTHON) $(VENV)
	@touch $@

# The versions that everybody gets, resolved for every supported Python at once; packages keep theirs unless named:
# make lock UPGRADE="--upgrade-package redis"
lock: setup
	@sh packaging/lock.sh $(BIN) $(UPGRADE)

clean:
	[ ! -L .run ] || rm -rf "$$(readlink -f .run)"
	rm -rf .run

distclean: clean
	rm -rf $(VENV) dist
