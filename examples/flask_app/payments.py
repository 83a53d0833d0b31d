"""Stand in for a payment provider that sometimes declines, times out or crashes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random

from examples.flask_app.errors import PaymentDeclinedError, PaymentTimeoutError

__owner__ = "payments"

TEST_CARDS = {
    "4242424242424242": "approved",
    "4000000000000002": "declined",
    "4000000000000341": "timeout",
    "4000000000000119": "crash",
}


class ProviderCrashError(RuntimeError):
    """The provider's library broke; no code of the shop expects it."""


@dataclass(frozen=True, slots=True)
class PaymentProvider:
    """Take money: a test card decides what happens, and for all others the dice do."""

    failure_rate: float = 0.0
    patience_s: float = 0.05
    random: Random = field(default_factory=Random)
    name: str = "paperplane"

    def charge(self, card: str, amount_cents: int) -> str:
        """
        Return the provider's reference.

        Raise `PaymentDeclinedError` or `PaymentTimeoutError`; `ProviderCrashError` is what nobody reckons with.
        """
        fate = TEST_CARDS.get(card.replace(" ", "")) or self.roll()
        if fate == "declined":
            raise PaymentDeclinedError("the card was declined")
        if fate == "timeout":
            time.sleep(self.patience_s)
            raise PaymentTimeoutError(f"no answer within {self.patience_s} s")
        if fate == "crash":
            raise ProviderCrashError("unexpected answer: <html>502 Bad Gateway</html>")

        return f"pp_{self.random.getrandbits(48):012x}_{amount_cents}"

    def roll(self) -> str:
        if self.random.random() >= self.failure_rate:
            return "approved"

        return self.random.choice(["declined", "timeout", "crash"])
