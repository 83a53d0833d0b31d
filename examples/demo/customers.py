"""Behave like people in a shop: most of them well, some of them not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

from examples.demo.browser import Browser, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("anna", "bela", "chen", "dora", "emil", "fola", "gita", "hugo")
REQUESTS = 50
PASSWORD = "correct horse battery staple"
WORDS = ("tea", "coffee", "mug", "kettle", "press", "unicorn")
CARDS = {
    "approved": "4242 4242 4242 4242",
    "declined": "4000 0000 0000 0002",
    "timeout": "4000 0000 0000 0341",
    "crash": "4000 0000 0000 0119",
}
SECRETS = (PASSWORD, *CARDS.values(), *(card.replace(" ", "") for card in CARDS.values()))


def crowd(port: int, seed: int = 7) -> list[Sent]:
    """Let everybody shop at the same time; return what they sent."""
    with ThreadPoolExecutor(len(NAMES)) as pool:
        visits = pool.map(lambda name: visit(Browser(port, name), Random(f"{name}{seed}")), NAMES)

        return [sent for visited in visits for sent in visited]


def visit(browser: Browser, dice: Random) -> list[Sent]:
    """Do everything once, in any order, then what comes to mind."""
    sign_up(browser, dice)
    for habit in dice.sample(HABITS, len(HABITS)):
        habit(browser, dice)
    while len(browser.sent) < REQUESTS:
        dice.choices(HABITS, WEIGHTS)[0](browser, dice)

    return browser.sent


def sign_up(browser: Browser, dice: Random) -> None:
    browser.send("GET", "/cart")
    browser.send(
        *("POST", "/accounts"),
        {
            "email": f"{browser.name}@example.org",
            "password": PASSWORD,
            "plan": dice.choice(["STARTER", "PLUS", "BUSINESS"]),
            "country": dice.choice(["DE", "CA", "FR", "JP"]),
        },
    )


def search(browser: Browser, dice: Random) -> None:
    browser.send("GET", f"/products?q={dice.choice(WORDS)}&page={dice.randint(1, 2)}")


def look(browser: Browser, dice: Random) -> None:
    browser.send("GET", f"/products/{dice.randint(1, 30)}")


def look_again(browser: Browser, dice: Random) -> None:
    path = f"/products/{dice.randint(1, 17)}"
    seen = browser.send("GET", path)
    browser.send("GET", path, headers={"If-None-Match": seen.get("ETag", "")})


def peek(browser: Browser, _: Random) -> None:
    browser.send("HEAD", "/products")


def get_lost(browser: Browser, dice: Random) -> None:
    browser.send("GET", dice.choice(["/produkte", "/products/9999", "/wp-login.php"]))


def insist(browser: Browser, _: Random) -> None:
    browser.send("DELETE", "/products")


def stammer(browser: Browser, _: Random) -> None:
    browser.send("POST", "/cart/items", b'{"product_id": 3, "quantity":')


def mistype(browser: Browser, _: Random) -> None:
    browser.send("POST", "/session", {"email": f"{browser.name}@example.org", "password": f"{PASSWORD}!"})


def dress(browser: Browser, _: Random) -> None:
    browser.send("GET", "/static/shop.css", quiet=True)


def check_health(browser: Browser, _: Random) -> None:
    browser.send("GET", "/healthz", quiet=True)


def read_report(browser: Browser, _: Random) -> None:
    browser.send("GET", "/reports/movements.csv")


def leave_report(browser: Browser, _: Random) -> None:
    browser.leave("/reports/movements.csv")


def buy(fate: str) -> Callable[[Browser, Random], None]:
    """Return the habit of buying with a card that meets this *fate*."""

    def habit(browser: Browser, dice: Random) -> None:
        for product_id in dice.sample(range(1, 30), dice.randint(1, 2)):
            browser.send("POST", "/cart/items", {"product_id": product_id, "quantity": dice.randint(1, 3)})
        if dice.random() < 0.4:
            browser.send("POST", "/cart/coupons", {"code": dice.choice(["SPRING", "WELCOME", "NOPE"])})
        browser.send("POST", "/checkout", {"card": CARDS[fate]})

    return habit


FREQUENT = {search: 8, look: 8, look_again: 3, buy("approved"): 6, buy("declined"): 2}
RARE = [peek, get_lost, insist, stammer, mistype, dress, check_health, read_report, leave_report]
HABITS = [*FREQUENT, *RARE, buy("timeout"), buy("crash")]
WEIGHTS = [*FREQUENT.values(), *[1] * (len(HABITS) - len(FREQUENT))]
