"""Sign a request that shall be kept, so that nobody else can ask for it."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil

from wideevents.errors import ConfigurationError

HEADER = "X-Wideevents-Keep"
"""The header that a signature comes in with."""

SECRET = "WIDEEVENTS_KEEP_SECRET"  # noqa: S105 - the name of the variable that it stands in
"""Where the environment has the secret; several of them, for a change, stand apart by blanks."""

SHORTEST = 16
"""Characters of a secret: below it can be found by trying."""

LONGEST = 7 * 86_400
"""Seconds that a signature may be good for: who has read it in a log can use it until it ends."""

PURPOSE = b"wideevents.keep "
"""What is signed begins with it, so that a secret that also signs something else gives nothing away."""

_signed = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})").fullmatch


@dataclass(frozen=True, slots=True)
class Signer:
    """
    Sign a moment until which a request may ask to be kept, and tell whether such a signature is good.

    A signature is the moment in seconds since the epoch, a dot, and the HMAC-SHA256 of it in hex. Of several secrets
    the first signs, and all are good, so that one can be changed without a gap. *clock* tells seconds since the epoch.

    Raise `ConfigurationError` for a secret that cannot be used.
    """

    secrets: tuple[str, ...] = field(repr=False)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", checked(self.secrets, "secrets"))

    @classmethod
    def of(cls, secret: str | tuple[str, ...] | None, environ: Mapping[str, str]) -> Signer | None:
        """
        Return what signs with *secret*, by default with that of *environ*; None where there is none.

        Raise `ConfigurationError` for a secret that cannot be used.
        """
        setting, given = ("secret", secret) if secret is not None else (SECRET, environ.get(SECRET, "").split())
        secrets = checked(given, setting)
        return cls(secrets) if secrets else None

    def sign(self, seconds: float) -> str:
        """Return a signature that is good for *seconds*; raise `ConfigurationError` for none, or more than a week."""
        if not 0 < seconds <= LONGEST:  # false for NaN, too
            raise ConfigurationError.of("seconds", seconds, f"a number above 0 of at most {LONGEST}, a week")
        until = str(ceil(self.clock() + seconds))
        return f"{until}.{_mac(self.secrets[0], until)}"

    def accepts(self, value: object) -> bool:
        """Tell whether *value* is a signature that is still good. Never raise: anybody may send anything."""
        found = _signed(value) if isinstance(value, str) else None
        if found is None or int(found[1]) <= self.clock():
            return False
        return any(hmac.compare_digest(_mac(secret, found[1]), found[2]) for secret in self.secrets)


def checked(secrets: object, setting: str) -> tuple[str, ...]:
    """
    Return *secrets*, one or several, as a tuple.

    Raise `ConfigurationError`, naming *setting* and no secret, for what cannot be used.
    """
    several = secrets if isinstance(secrets, tuple | list) else (secrets,)
    if not all(isinstance(secret, str) and len(secret.strip()) >= SHORTEST for secret in several):
        raise ConfigurationError(
            f"{setting} cannot be used: a secret must be text of at least {SHORTEST} characters. "
            f'Make one with python -c "import secrets; print(secrets.token_hex())".'
        )
    return tuple(several)


def _mac(secret: str, until: str) -> str:
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), PURPOSE + until.encode(), "sha256").hex()
