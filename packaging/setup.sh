#!/bin/sh
# Makes the virtual environment VENV with the packages of requirements.lock and this project: `setup.sh PYTHON VENV`.
# Nothing needs root. A Debian without python3-venv has no pip to start with: pip then comes from Debian's own package
# python3-pip-whl, fetched and verified by apt-get into a directory of ours, and nothing is installed on the machine.
set -eu
python=$1
venv=$2

fail() {
    echo "set-up: $*" >&2
    exit 1
}

# Print pip's progress as a line for every tenth package; pip says nothing for a minute otherwise.
show_progress() {
    awk -v total="$(grep -c '^[a-z].*==' requirements.lock)" '
        /^Collecting / { if (++count % 10 == 0) { print "  " count " of at most " total " packages"; fflush() } }
        /^Installing collected/ { print "  installing them"; fflush() }
        /^FAILED$/ { failed = 1 }
        END { exit failed }'
}

# Print the directory of a pip that runs without being installed. $1: a directory for what is fetched.
fetch_pip() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "$python has no ensurepip, so it cannot make a virtual environment with pip: install the package of your" \
            "distribution that brings it, then run make again"
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    set -- "$1" -qq -o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o "APT::Sandbox::User="
    directory=$1
    shift
    apt-get "$@" update >&2 && (cd "$directory" && apt-get "$@" download python3-pip-whl >&2) ||
        fail "python3-venv is missing and apt-get cannot fetch python3-pip-whl: as root, run" \
            "'apt-get install python3-venv', then run make again"
    dpkg-deb --extract "$directory"/python3-pip-whl_*.deb "$directory"
    echo "$directory"/usr/share/python-wheels/pip-*.whl
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "jamaint needs Python 3.11 or newer, and $python is $("$python" -V): name another one, as in" \
        "'make run PYTHON=/usr/bin/python3.11'"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "1 of 3: making $venv with $("$python" -V)"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    else
        "$python" -m venv --clear --without-pip "$venv"
        fetched=$(mktemp -d)
        trap 'rm -rf "$fetched"' EXIT
        pip=$(fetch_pip "$fetched")
        "$venv/bin/python" "$pip/pip" install --quiet --disable-pip-version-check --no-index "$pip"
    fi
fi
echo "2 of 3: fetching the packages of requirements.lock, about a minute"
{
    "$venv/bin/python" -m pip install --progress-bar off --disable-pip-version-check --require-hashes \
        -r requirements.lock || echo FAILED
} | show_progress || fail "pip could not install the packages of requirements.lock, see above; make goes on where it was"
echo "3 of 3: installing jamaint into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
