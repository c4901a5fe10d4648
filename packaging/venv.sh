#!/bin/sh
# Makes the virtual environment; a bare Debian lacks python3-venv, which is then installed (with sudo when not root).
set -eu
python=$1
venv=$2
[ -x "$venv/bin/python" ] && [ -x "$venv/bin/pip" ] && exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "jamaint needs Python 3.11 or newer, and $python is $("$python" -V)" >&2
    exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing python3-venv, which makes virtual environments"
    $sudo apt-get update -qq && $sudo apt-get install -y -qq python3-venv >/dev/null
fi
"$python" -m venv --clear "$venv"
