#!/bin/sh
# Writes requirements.lock for every supported Python at once, with hashes: `lock.sh VENV_BIN [UV OPTION]…`.
# pip-tools resolves for the Python that it runs under, and then lacks what another one needs (async-timeout on 3.11.2).
set -eu
bin=$1
shift
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$bin/python" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check uv
# What the editable installation is built with, without isolation.
printf 'hatchling>=1.26\neditables>=0.5\n' >"$tools/build.in"
"$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --extra cache --extra dev --extra embedded --extra fast --extra ics "$@" \
    pyproject.toml "$tools/build.in" --output-file requirements.lock >/dev/null
