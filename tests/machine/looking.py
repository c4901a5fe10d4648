"""Secrets and looks where workers are units: handed by systemd to the one that uses them, and told to nobody."""

from machine import FailedError, Machine

CONFIG = "/etc/jamaint/conf.d/30-looks.yaml"
SECRET = "/etc/jamaint/secrets/shop"
PASSWORD = "zqplanted-Xk2 @:/% of a shop"
ASKS = f"""\
tasks:
  asks:
    executor: noop
    conditions:
      - postgresql: {{ dsn: "postgresql://shop@127.0.0.1/shop", password: {{ file: {SECRET} }}, max_transaction: 1h }}
      - tcp: {{ host: 127.0.0.1, port: 5432 }}
      - command: {{ command: [/bin/sh, -c, 'test "$(id -un)" = otto'], user: otto }}
  tidy:
    type: cleanup
    category: database
    mass_deletion: {{ share: 100%, items: 1000 }}
    config:
      dsn: "postgresql://shop@127.0.0.1/shop"
      password: {{ file: {SECRET} }}
      cleanup_old_data: [{{ table: visits, age_column: at, older_than: 10d }}]
"""


def looks_with_secrets(machine: Machine) -> str:
    """A password that only root may read is used by the worker that needs it, and is found nowhere"""
    machine.must("psql", "-qc", f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor", name="postgres")
    machine.must("createdb", "--owner=shop", "shop", name="postgres")
    rows = "SELECT now() - i * interval '1 day' AS at, i AS id FROM generate_series(1, 1000) i"
    machine.must("psql", "-qd", "shop", "-c", f"SET ROLE shop; CREATE TABLE visits AS {rows}", name="postgres")
    machine.must(
        "psql", "-qd", "shop", "-c", "ALTER TABLE visits ADD PRIMARY KEY (id); ANALYZE visits", name="postgres"
    )
    machine.must("mkdir", "-m", "0700", "/etc/jamaint/secrets")
    machine.write(SECRET, f"{PASSWORD}\n")
    machine.must("chmod", "0600", SECRET)
    machine.write(CONFIG, ASKS)
    machine.must("jamaintctl", "config", "apply")
    machine.must("systemctl", "reload", "jamaintd")
    asked = machine.must("jamaintctl", "execute", "asks")
    ended = machine.must("jamaintctl", "execute", "tidy")
    why = machine.must("jamaintctl", "why", "asks")
    left = machine.must("psql", "-Atd", "shop", "-c", "SELECT count(*) FROM visits", name="postgres").strip()
    machine.must("rm", "-r", CONFIG, "/etc/jamaint/secrets")
    machine.must("jamaintctl", "config", "apply")
    machine.must("systemctl", "reload", "jamaintd")
    found = {
        what: machine.run("sh", "-c", f"{command} | grep -ac zqplante[d]").stdout.strip()
        for what, command in {
            "the journal": "journalctl --no-pager -o verbose",
            "the database": "su postgres -c 'pg_dump jamaint'",
            "the state": "find /var/lib/jamaint* -type f -exec cat {} +",
            "the units": "cat /etc/systemd/system/jamaint*/* /etc/systemd/system/jamaint* /etc/jamaint/workers.json",
            "arguments and environments": "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ",
        }.items()
    }
    if left != "9" or any(count != "0" for count in found.values()):
        raise FailedError(f"{left} rows left; the password is found in {found}\n{asked}{ended}{why}")
    conditions = next(line.strip() for line in why.splitlines() if " condition " in line)
    return f"{conditions}\n{ended.strip().splitlines()[-1]}; {left} rows left\nfound in {', '.join(found)}: nowhere"
