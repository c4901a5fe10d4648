#!/bin/sh
# Brings the peers of the bench: into $BENCH_WORK (default /var/tmp/jamaint-bench), and nowhere else.
set -eu
python=${PYTHON:-python3}
work=${BENCH_WORK:-/var/tmp/jamaint-bench}
mkdir -p "$work"
"$python" -m venv "$work/peers"
"$work/peers/bin/python" -m pip install --quiet --disable-pip-version-check \
    procrastinate==3.10.0 'psycopg[binary,pool]>=3.2' \
    apscheduler==4.0.0a6 'sqlalchemy[asyncio]>=2.0' sniffio asyncpg==0.32.0 \
    supervisor==4.3.0 'setuptools<80' croniter==7.0.0
# Its third version cannot stand beside its fourth.
"$python" -m venv "$work/peers3"
"$work/peers3/bin/python" -m pip install --quiet --disable-pip-version-check apscheduler==3.11.3
# Unpacked, not installed: the package would start a server that bans people.
if command -v apt-get >/dev/null && [ ! -d "$work/fail2ban" ]; then
    cd "$work"
    if apt-get download -qq fail2ban; then
        dpkg-deb --extract fail2ban_*.deb fail2ban && rm fail2ban_*.deb
    else
        echo "fail2ban is left out: apt does not have it (apt-get update?)" >&2
    fi
fi
