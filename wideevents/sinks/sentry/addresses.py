"""Know where reports are sent, and refuse a Sentry that is not one's own."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from wideevents._version import __version__
from wideevents.errors import ConfigurationError

try:
    from sentry_sdk.utils import Dsn
except ImportError as missing:
    raise ImportError("wideevents.sinks.sentry needs sentry-sdk: pip install 'wideevents[sentry]'") from missing

HOSTED = ("sentry.io", "glitchtip.com", "bugsink.com")
"""Domains at which somebody else runs it; all that is below them, too."""

PRIVATE = ("local", "internal", "lan", "localhost")
"""Top-level domains that no public name has (RFC 6762, RFC 6761, and ICANN on .internal)."""

ALLOWED = "a DSN, as http://key@sentry.internal:9000/1"
WAY_OUT = "SentrySink(dsn, allow_hosted=True) sends reports there all the same."
LEFT_ALONE = "If it is meant for an SDK of the application's own, configure(sentry=False) leaves it to that."

_name = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*").fullmatch
_number = re.compile(r"\d+|0x[0-9a-f]*").fullmatch


@dataclass(frozen=True, slots=True)
class Address:
    """
    Know where reports are posted; *authorization* is a header, which is shown to nobody.

    The host is the one that was judged, letter by letter: what is connected to is not read from the DSN again.
    """

    host: str
    port: int
    path: str
    secure: bool
    authorization: str = field(repr=False)

    @classmethod
    def of(cls, dsn: object, *, setting: str = "sentry", allow_hosted: bool = False) -> Address:
        """
        Read a *dsn*, the value of *setting*.

        Raise `ConfigurationError` for one that cannot be used, and unless *allow_hosted* for that of a hosted service,
        and for plain http to a public host: anybody on the way could read what the reports hold.
        """
        # Only ASCII: in other scripts a host can look like one name, and be resolved as another.
        if not isinstance(dsn, str) or not dsn.isascii() or not dsn.isprintable() or re.search(r"[\s\\]", dsn):
            raise _unusable(setting, dsn)
        try:
            read = Dsn(dsn)
        except ValueError:
            raise _unusable(setting, dsn) from None
        host = read.host.removesuffix(".")
        number = _numbered(host)
        if number is None and (not _name(host) or _number(host.rpartition(".")[2])):
            raise _unusable(setting, dsn)
        secure = read.scheme == "https"
        if not allow_hosted:
            _require_own(setting, host, number, secure=secure)
        authorization = read.to_auth(f"wideevents/{__version__}").to_header()
        return cls(host, read.port, f"{read.path}api/{read.project_id}/envelope/", secure, authorization)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.secure}://{host}:{self.port}"


def _require_own(setting: str, host: str, number: IPv4Address | IPv6Address | None, *, secure: bool) -> None:
    """Refuse what is not the team's own, in a sentence that says what to do."""
    if any(host == domain or host.endswith(f".{domain}") for domain in HOSTED):
        why = "is a hosted service, and reports of errors hold what is nobody else's business: run one yourselves"
    elif not secure and _is_public(host, number):
        why = "is public, and plain http would show the reports to everybody on the way: use https"
    else:
        return
    environment = f" {LEFT_ALONE}" if setting == "SENTRY_DSN" else ""
    raise ConfigurationError(f"{setting} cannot be used: {host} {why}. {WAY_OUT}{environment}")


def _is_public(host: str, number: IPv4Address | IPv6Address | None) -> bool:
    if number is not None:
        return number.is_global
    return "." in host and host.rpartition(".")[2] not in PRIVATE


def _numbered(host: str) -> IPv4Address | IPv6Address | None:
    """Return the number that *host* is, also one written as the resolver takes it: "127.1", "0x7f000001"."""
    try:
        number = ip_address(host)
    except ValueError:
        if not _number(host.rpartition(".")[2]):
            return None
        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    inner = number.ipv4_mapped if isinstance(number, IPv6Address) else None
    return inner or number


def _unusable(setting: str, dsn: object) -> ConfigurationError:
    """Refuse a DSN; the key in it is not repeated."""
    shown = dsn
    if isinstance(dsn, str) and "@" in dsn:
        shown = f"{dsn.partition('://')[0]}://[redacted]@{dsn.rpartition('@')[2]}"
    return ConfigurationError.of(setting, shown, ALLOWED)
