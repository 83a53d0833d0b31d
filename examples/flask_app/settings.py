"""Default settings of the shop; `SHOP_*` in the environment and the factory's argument override them."""

from __future__ import annotations

DATABASE = "shop.sqlite3"
ENVIRONMENT = "development"
FLIGHT: str | None = None  # a directory: then what a killed worker was at is told
OUTPUT: str | None = None  # then WIDEEVENTS_OUTPUT says where events go
SECRET_KEY = "only for this example"

PASSWORD_METHOD = "scrypt"
PAYMENT_SEED: int | None = None
PAYMENT_FAILURE_RATE = 0.0
PAYMENT_PATIENCE_S = 0.05
RECOMMENDATIONS_SEED: int | None = None
RECOMMENDATIONS_FAILURE_RATE = 0.02

WIDEEVENTS_QUIET = ("/healthz", "/static/<path:filename>")
