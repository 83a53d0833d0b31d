"""Test the stand-in for the payment provider."""

from __future__ import annotations

from collections import Counter
from random import Random

from examples.flask_app.payments import PaymentProvider


class TestPaymentProvider:
    def test_rolls_the_same_dice_again(self) -> None:
        """A seed makes a bad day repeatable."""
        days = [PaymentProvider(0.5, random=Random(3)) for _ in range(2)]

        assert [days[0].roll() for _ in range(50)] == [days[1].roll() for _ in range(50)]

    def test_fails_at_its_rate(self) -> None:
        """Of a thousand payments about a tenth meet each fate when three in ten fail."""
        provider = PaymentProvider(0.3, random=Random(3))
        fates = Counter(provider.roll() for _ in range(1000))

        assert set(fates) == {"approved", "declined", "timeout", "crash"}
        assert 650 < fates["approved"] < 750

    def test_takes_other_cards(self) -> None:
        """A provider that never fails approves a card it does not know."""
        assert PaymentProvider(random=Random(3)).charge("5555 5555 5555 4444", 100).endswith("_100")
