"""What is measured for `doctor`, and what is found of it: values alone."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How a check came out, from well to bad.

    `NOTE` asks for nothing; `FAIL` keeps the bridge from its work.
    """

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True, gc=False):
    """One line of `doctor`: what was looked at, what is the matter, and what helps."""

    check: str
    verdict: Verdict
    detail: str
    advice: str = ""


class SecretFile(Struct, frozen=True, gc=False):
    """A file or folder that is nobody else's to read; `keys` are the secrets in it.

    `is_sheltered`: its folder lets nobody else in, whatever its own mode is. `stranger` is the id
    of its owner where that is neither root, nor this command's user, nor the daemon's.
    """

    path: str
    mode: int
    is_config: bool = False
    keys: tuple[str, ...] = ()
    stranger: int | None = None
    is_sheltered: bool = False


class StoreFacts(Struct, frozen=True, gc=False, kw_only=True):
    """What the store's place is like. `owner` and `folder_owner` are user ids.

    `sync_ms` is None where nothing could be written, for the reason in `write_error`.
    `daemon_pid` is None where none runs, and 0 where that can't be told. `strangers` are the files
    beside it that belong to another user than it does.
    """

    path: str
    exists: bool
    is_relative: bool = False
    strangers: tuple[str, ...] = ()
    owner: int | None = None
    folder_owner: int | None = None
    user: int = 0
    mode: int = 0o600
    write_error: str = ""
    sync_ms: float | None = None
    free_bytes: int = 0
    size_total: int = 0
    size_bytes: int = 0
    schema: str | None = None
    schema_error: str = ""
    daemon_pid: int | None = None


class EndpointFacts(Struct, frozen=True, gc=False, kw_only=True):
    """How far a way to an upstream is open: each step was tried once the one before it worked."""

    host: str
    port: int
    is_tls: bool
    addresses: int = 0
    dns_error: str = ""
    dns_ms: float = 0.0
    connect_error: str = ""
    connect_ms: float = 0.0
    tls_error: str = ""
    expires_at: float | None = None


class AnswerFacts(Struct, frozen=True, gc=False, kw_only=True):
    """What Cention answered to a list being asked for, which changes nothing there.

    `date` is what it says the time is, in Unix seconds; `at` this machine's clock halfway there.
    `media_type` is what it says that its body is.
    """

    upstream: str
    status: int = 0
    media_type: str = ""
    error: str = ""
    seconds: float = 0.0
    date: float | None = None
    at: float = 0.0
    needs_lists: bool = False


class LimitFacts(Struct, frozen=True, gc=False):
    """Limits in force on the daemon, or on this command where none runs; None: no limit."""

    is_daemon: bool
    open_files: int | None
    memory_bytes: int | None
    memory_used_bytes: int | None = None


class UnitFacts(Struct, frozen=True, gc=False):
    """What systemd says of the unit, or why nothing is known."""

    properties: Mapping[str, str] = {}
    skipped: str = ""
