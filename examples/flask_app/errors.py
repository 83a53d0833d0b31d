"""
The errors that the shop tells its customers about.

    ShopError
    ├── InvalidInputError      400
    ├── SignInError            401
    ├── NotSignedInError       401
    ├── PaymentDeclinedError   402
    ├── NotOnSaleError         404
    ├── EmailTakenError        409
    ├── EmptyCartError         409
    ├── OutOfStockError        409
    └── PaymentTimeoutError    504
"""

from __future__ import annotations


class ShopError(Exception):
    """Carry the status and the word for it that a client's program can rely on."""

    status = 400
    slug = "shop_error"


class InvalidInputError(ShopError):
    slug = "invalid_input"


class SignInError(ShopError):
    status = 401
    slug = "sign_in_failed"


class NotSignedInError(ShopError):
    status = 401
    slug = "sign_in_needed"


class PaymentDeclinedError(ShopError):
    status = 402
    slug = "payment_declined"


class NotOnSaleError(ShopError):
    status = 404
    slug = "not_on_sale"


class EmailTakenError(ShopError):
    status = 409
    slug = "email_taken"


class EmptyCartError(ShopError):
    status = 409
    slug = "empty_cart"


class OutOfStockError(ShopError):
    status = 409
    slug = "out_of_stock"


class PaymentTimeoutError(ShopError):
    status = 504
    slug = "payment_timeout"
