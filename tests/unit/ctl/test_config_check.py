"""`config check FILE` where jamaintd cannot be started."""

from pathlib import Path

import pytest

from jamaint.ctl.verbs.service import config
from jamaint.errors import JamaintError


def test_config_check_tells_that_jamaintd_cannot_be_started(tmp_path: Path) -> None:
    program = tmp_path / "jamaintd"
    program.write_text("#!/nonexistent/python\n")
    program.chmod(0o755)
    with pytest.raises(JamaintError, match="jamaintd cannot be started: No such file or directory"):
        config._run([str(program), "--check", "--config", "x.yaml"])
