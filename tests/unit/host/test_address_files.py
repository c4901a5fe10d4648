"""What an address needs on this machine is missed before anybody connects."""

from pathlib import Path

import pytest

from jamaint.host.address_files import missing_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSERVICEFILE", raising=False)
    return tmp_path


def test_a_service_that_is_not_there(home: Path) -> None:
    assert "write host, port and database instead" in (missing_file("postgresql:///?service=maint") or "")
    (home / ".pg_service.conf").write_text("[other]\nhost=x\n")
    assert "is not in" in (missing_file("postgresql:///?service=maint") or "")
    assert missing_file("postgresql:///?service=other") is None


def test_a_certificate_that_is_not_there(home: Path) -> None:
    address = "postgresql://u@db/x?sslmode=verify-full"
    assert "sslrootcert=FILE" in (missing_file(address) or "")
    assert "cannot be read" in (missing_file(f"{address}&sslrootcert={home}/ca.crt") or "")
    (home / ".postgresql").mkdir()
    (home / ".postgresql" / "root.crt").write_text("x")
    assert missing_file(address) is None
