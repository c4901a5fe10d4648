"""logs.cleanup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from jamaint.executors.shared.log_config import ALGORITHMS, log_pattern, switch
from jamaint.schema import paths
from jamaint.schema.errors import Flaw
from jamaint.schema.executor_config import GrantedName, Work, setting_of
from jamaint.schema.fields import Account, Seconds, Section, between, one_of, some
from jamaint.schema.units import DAY


def _directory(value: Any, info: ValidationInfo) -> str:
    return paths.allowed_root(paths.plain_directory(value), setting_of(info).state_dir, "this moves files to ")


class CompressLogs(Section):
    """Logs older than `older_than` are compressed."""

    algorithm: Annotated[str, PlainValidator(one_of(ALGORITHMS))] = "gzip"
    older_than: Seconds = DAY


class ArchiveLogs(Section):
    """Logs older than `older_than` are moved to `directory`."""

    directory: Annotated[str, PlainValidator(_directory)] = Field(
        description="the directory that logs are moved to, such as /var/backups/logs"
    )
    older_than: Seconds = Field(description="the age from which logs are moved, such as 7d")


class LogsCleanup(Work):
    """logs.cleanup: files are removed after `retention_days`, compressed and archived before that if asked."""

    log_paths: Annotated[tuple[Annotated[str, PlainValidator(log_pattern)], ...], AfterValidator(some)] = Field(
        description='the files to look after, such as ["/var/log/app/*.log*"]'
    )
    retention_days: Annotated[int, PlainValidator(between(1, 36525))] = Field(
        description="how many days a log is kept, such as 30"
    )
    compress_logs: Annotated[CompressLogs | None, BeforeValidator(switch)] = None
    archive_logs: ArchiveLogs | None = None
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()
    user: Account | None = None

    def normalised(self) -> dict[str, Any]:
        compress, archive = self.compress_logs, self.archive_logs
        return {
            "log_paths": list(self.log_paths),
            "retention_seconds": self.retention_days * DAY,
            "compress": compress and {"algorithm": compress.algorithm, "older_than_seconds": compress.older_than},
            "archive": archive and {"directory": archive.directory, "older_than_seconds": archive.older_than},
            "exclude": list(self.exclude),
            "user": self.user,
        }

    def named(self) -> Iterator[GrantedName]:
        for index, pattern in enumerate(self.log_paths):
            yield GrantedName("path", ("log_paths", index), pattern)
        if self.archive_logs:
            yield GrantedName("path", ("archive_logs", "directory"), self.archive_logs.directory)
        if self.user:
            yield GrantedName("user", ("user",), self.user)

    def doubts(self) -> Iterator[Flaw]:
        days = self.retention_days
        for key, part in (("compress_logs", self.compress_logs), ("archive_logs", self.archive_logs)):
            if part and part.older_than >= days * DAY:
                problem = f"never happens: logs are removed after {days} d, and this begins after that"
                yield Flaw((key, "older_than"), problem)
