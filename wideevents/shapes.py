"""Know a secret by what it looks like."""

from __future__ import annotations

import base64
import binascii
import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]

# What may stand before a secret, asked after its first character so that the search can skip by that character.
_LEFT = r"(?:(?<![A-Za-z0-9].)|(?<=%[0-9A-Fa-f]{2}.)|(?<=\\[nrt].))"
_TOKENS = (  # (prefixes that their vendors document, what follows them)
    ("ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}"),
    ("github_pat_", r"\w{40,}"),
    ("glpat- gldt- glrt- glptt- glft-", r"[\w-]{20,}(?:\.\w+)*"),
    ("xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp-", r"[A-Za-z0-9-]{10,}"),
    ("sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{16,}"),
    ("whsec_", r"[A-Za-z0-9+/=]{24,}"),
    ("AKIA ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("AIz", r"a[\w-]{35,}"),
    ("ya29.", r"[\w.-]*[\w-]{20}"),
    ("GOCSPX-", r"[\w-]{20,}"),
    ("SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    ("SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("npm_", r"[A-Za-z0-9]{36,}"),
    ("pypi-", r"[\w-]{50,}"),
    ("hf_", r"[A-Za-z0-9]{30,}"),
    ("sk-", r"(?=(?:[A-Za-z_-]{0,64}\d){2})[\w-]{20,}"),
    ("dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{64}"),
    ("shpat_ shpca_ shppa_ shpss_", r"[0-9a-fA-F]{32}"),
    ("lin_api_", r"[A-Za-z0-9]{32,}"),
    ("PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    ("sntrys_ sntryu_", r"[\w+/=-]{40,}"),
    ("dapi", r"[0-9a-f]{32}(?:-\d)?(?![A-Za-z0-9])"),
    ("AGE-SECRET-KEY-", r"1[0-9A-Z]{58}"),
    ("dckr_pat_", r"[\w-]{20,}"),
    ("hvs.", r"[\w-]{24,}"),
    ("rubygems_", r"[0-9a-f]{48}"),
)
_PREFIXES = [prefix for prefixes, _ in _TOKENS for prefix in prefixes.split()]

# What follows the colon is no port, so it is a password.
_USERINFO = r"""://[^\s/?#:@\[\]"'<>]*:(?!\d*(?:[/?#,;\s"'<>)\]]|$))"""
# RFC 7519, RFC 7516. A run that no dot follows is consumed too, or many of them would be scanned again and again.
_JWT = re.compile(rf"e{_LEFT}yJ[\w-]{{8,}}(?P<rest>\.[\w-]*\.[\w-]*(?:\.[\w-]+\.[\w-]+)?)?", re.ASCII)
_SHAPES = (  # the group `secret` is hidden where there is one, else the whole match
    re.compile(
        "|".join(f"{p[0]}{_LEFT}{re.escape(p[1:])}{tail}" for ps, tail in _TOKENS for p in ps.split()), re.ASCII
    ),
    # RFC 7468, and OpenPGP's armour. Certificates and public keys are public. A block without END goes up to a quote.
    re.compile(
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]*+(?:-(?!----)[^-]*+)*+-----END [A-Z0-9 ]+-----|[^-\"'`<{]*+(?:-(?!----)[^-\"'`<{]*+)*+)"
    ),
    # RFC 3986 wants `/?#` encoded in a password, but people paste them raw.
    re.compile(rf"""{_USERINFO}(?=(?P<secret>[^\s/?#"'<>]{{1,1024}}(?=@)|[^\s@"'<>]{{1,1024}}(?=@)))"""),
    re.compile(r"://hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/-]+)", re.ASCII),
    re.compile(r"://discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/(?P<secret>[\w-]+)", re.ASCII),
    re.compile(r":(?<=\d{8}:)(?P<secret>AA[\w-]{33,})", re.ASCII),  # Telegram, after the bot's public number
)

# RFC 6750 and RFC 7617. The value is only looked at, so that "basic basic dXNlcjpw" finds its second word.
_BEARER = re.compile(
    rf"""[bB]{_LEFT}(?i:earer)(?:%20|[\s:=+])+(?=["']?(?P<secret>(?!\w+=["']\w)[\w.~+/-]{{8,}}=*))""", re.ASCII
)
_BASIC = re.compile(rf"""[bB]{_LEFT}(?i:asic)(?:%20|[\s:=+])+(?=["']?(?P<secret>[\w+/-]{{4,}}={{0,2}}))""", re.ASCII)
_UNLIKE_PROSE = re.compile(r"\d|[a-z][A-Z]|\w[_.~+]\w|=|.{20}")

# The brands' ranges of ISO/IEC 7812 in the groups (~) that they print; Maestro only where few others are.
_SIXTEEN = (
    r"(?:4\d{3}|5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|6011|64[4-9]\d|65\d\d|62\d\d|35(?:2[89]|[3-8]\d)"
    r"|3095|3[89]\d\d|5018|5020|5038|5893|6304|6759|676[1-3])~\d{4}~\d{4}~\d{4}"
)
_NINETEEN = r"(?:4\d{3}|62\d\d|6304|6759)~\d{4}~\d{4}~\d{4}~\d{3}"
_LAYOUTS = (
    _SIXTEEN,
    _NINETEEN,
    r"3[47]\d\d~\d{6}~\d{5}",
    r"3(?:0[0-5]|[689]\d)\d~\d{6}~\d{4}",
    r"4\d{12}|62\d{4}[ -]?\d{11,13}|(?:6304|6759)\d{14}",
)
# A card may begin inside of what only looks like one, so it is looked at from behind its first digit and not consumed.
_CARDS = tuple(
    re.compile(rf"[2-6]{_LEFT}(?<!_.)(?<!\w\..)(?<!\d-.)(?<=(?=((?:{digits})(?!\w|\.\w|-\d))).)", re.ASCII)
    for digits in ("|".join(layout.replace("~", sign) for sign in ("", " ", "-")) for layout in _LAYOUTS)
)

# A colon assigns beside quotes, as in JSON and in a repr, and before a value that mixes letters and digits.
_MIXED = r"[ \t]+(?:(?i:token|api-?key|key|negotiate)[ \t]+)?(?=\S{0,64}\d)(?=\S{0,64}[A-Za-z])[^\s\"'&;,]{6}"
_QUOTED = r"[ \t]*[bBuUrR]?\\*[\"']"
_COLON = rf":(?:(?<=[\"']:)|(?<=[\"'][ \t]:)|(?={_QUOTED})|(?={_MIXED}))"
SIGN = re.compile(rf"=(?![=~])>?|{_COLON}")
VALUE = re.compile(
    r"""[ \t]*(?:[bBuUrR]?"(?P<double>[^"\\\n]*+(?:\\.[^"\\\n]*+)*+)|[bBuUrR]?'(?P<single>[^'\\\n]*+(?:\\.[^'\\\n]*+)*+)
    |[bBuUrR]?\\+["'](?P<escaped>[^"'\\\n]*)|(?P<list>[\[(][^\[\](){}\n]*[\])])|(?P<number>-?\d[\d.eE+-]*)(?=[\s,)\]}])
    |(?:(?i:token|api-?key|key|negotiate|bearer|basic)[ \t]+)?(?P<bare>[^\s"'&;,{][^\s"'&;,]*))""",
    re.DOTALL | re.VERBOSE,
)
HARMLESS = re.compile(r"(?i:none|null|nil|true|false|undefined)?[)\]}>.:]*|\*+|%s|\?|\.\.\.|\s+")


def _hints() -> Iterator[str]:
    """
    Name what every secret that tells itself contains, each beginning with a character that clean text seldom has.

    `re` skips quickly to such characters only if all alternatives begin with a plain one, hence the looks behind.
    """
    yield r"J(?<=eyJ)"
    yield r"-----BEGIN"
    yield r"b(?i:earer|asic)[\s:=%+]"
    yield r"B(?i:earer|asic)[\s:=%+]"
    yield rf":(?=AA|//(?:hooks\.slack|discord))|{_USERINFO}"
    yield from (rf"{digit}\d\d\d[ -]?\d\d(?:[ -]?\d){{7}}" for digit in "23456")
    for last, prefixes in groupby(sorted(_PREFIXES, key=lambda prefix: prefix[-1]), key=lambda prefix: prefix[-1]):
        group = list(prefixes)
        near = "|".join(sorted({re.escape(prefix[-3:]) for prefix in group}))  # one quick look before the exact ones
        behind = "|".join(f"(?<={re.escape(prefix)})" for prefix in group)
        yield rf"{re.escape(last)}(?<={near})(?=[\w+/.-]{{10}})(?:{behind})"


suspicious = re.compile("|".join(_hints())).search
"""Look whether a text can hold a secret at all; what only stands behind a name and a sign is not asked for."""


def spans(text: str) -> Iterator[Span]:
    """Yield where the secrets of *text* stand that tell themselves, by their shape."""
    yield from (found.span() for found in _JWT.finditer(text) if found["rest"])
    for pattern in _SHAPES:
        yield from matches(pattern, text)
    yield from (found.span("secret") for found in _BEARER.finditer(text) if _UNLIKE_PROSE.search(found["secret"]))
    yield from (found.span("secret") for found in _BASIC.finditer(text) if _is_basic(found["secret"]))
    yield from (found.span(1) for card in _CARDS for found in card.finditer(text) if _passes_luhn(found[1]))


def matches(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Yield where *pattern* is found: its group `secret`, if it has one, else the whole."""
    group = "secret" if "secret" in pattern.groupindex else 0
    yield from (found.span(group) for found in pattern.finditer(text))


def _is_basic(token: str) -> bool:
    """Tell a `user:password` in base64 from a word of prose, which has no colon in it when it is decoded."""
    body = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b":" in base64.b64decode(body + "=" * (-len(body) % 4))
    except binascii.Error:
        return False


def _passes_luhn(card: str) -> bool:
    """Check the last digit of a card number (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in card if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
