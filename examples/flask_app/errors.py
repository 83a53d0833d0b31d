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

from wideevents import WideError


class ShopError(WideError):
    """Explain itself to a customer, and by its code to a customer's program."""

    status = 400
    code = "shop_error"


class InvalidInputError(ShopError):
    code = "invalid_input"


class SignInError(ShopError):
    status = 401
    code = "sign_in_failed"


class NotSignedInError(ShopError):
    status = 401
    code = "sign_in_needed"


class PaymentDeclinedError(ShopError):
    status = 402
    code = "payment_declined"
    fix = "pay with another card"


class NotOnSaleError(ShopError):
    status = 404
    code = "not_on_sale"


class EmailTakenError(ShopError):
    status = 409
    code = "email_taken"
    fix = "sign in, or have a new password sent"


class EmptyCartError(ShopError):
    status = 409
    code = "empty_cart"


class OutOfStockError(ShopError):
    status = 409
    code = "out_of_stock"


class PaymentTimeoutError(ShopError):
    status = 504
    code = "payment_timeout"
    why = "the payment provider did not answer in time"
    fix = "nothing was charged: try again in a minute"
