"""Say what is secret, by the key that names it and by the shape of the text itself."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from wideevents import shapes
from wideevents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARKER = "[redacted]"

_suspicious = shapes.suspicious
NEWLINE = "\n"

# A secret word may close a run-together word (`clientsecret`, `csrfmiddlewaretoken`): no plain word ends in these.
_ENDINGS = """
    password passwd passphrase passcode secret token apikey accesskey secretkey privatekey signingkey encryptionkey
    credential sessionid cardnumber creditcard connectionstring
"""
# These have to begin a word: `preauthorization` is a step of a payment.
_PHRASES = """
    pw passwort pwd userpwd dbpwd authorization authorisation proxyauthorization basicauth proxyauth httpauth
    authheader authcode authorizationcode authkey bearer jwt cookie setcookie sessioncookie csrf xsrf sessionkey
    phpsessid sessid connectsid samlresponse samlassertion clientassertion amzsignature googsignature dbpass smtppass
    userpass mysqlpass redispass ftppass ldappass adminpass rootpass passwordconfirmation passwordconfirm
    passwordrepeat passwordagain passwordplain passwordplaintext pincode pinnumber cardpin userpin otp otpcode totp
    hotp onetimecode mfacode 2facode twofactorcode verificationcode backupcode recoverycode accesscode cardno ccnumber
    ccnum ccno debitcard cvv cvc cardpan cvvcode cvccode securitycode iban bankaccount ssn socialsecurity
    socialinsurance decryptionkey masterkey sharedkey hmackey aeskey accountkey deploykey subscriptionkey
    secretkeybase seedphrase mnemonic connstring connstr dsn
"""
_TAILS = "value hash hashed digest header number raw hex pem"
# Language models count tokens; OpenTelemetry's gen_ai.usage.* and the vendors' own names for that are no secrets.
_COUNTED = """
    input output prompt completion total max min num n nb avg mean usage used remaining available limit context cached
    cache cacheread cachecreation reasoning thinking audio image text vision prediction billed generated consumed
    budget llm maxnew minnew numnew ratelimitreset
"""
# RUM's id of a visit in the OpenTelemetry semantic conventions, not the key to a login, which is `session_id`.
_SAFE = ("session.id",)
# Too common as a field's name to be hidden there, yet in a query string they only ever carry a credential.
_IN_QUERIES = frozenset({"pass", "auth", "sid", "sig", "signature"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
_COUNT = re.compile(f"(?:{'|'.join(_COUNTED.split())})tokens|(?:per|first|output)token")

_SHORT = 4  # characters; nothing is secret in a text as short, while `otp=1` already is
_KNOWN = 4_096  # verdicts on names, and clean queries, that are remembered
_KNOWN_LENGTH = 512  # characters of one of them; a longer one hardly comes again, and a client may send 64 KB of it


@dataclass(frozen=True, slots=True)
class Redaction:
    """
    Say what never leaves the process: secrets by key, secrets by value.

    *keys* are more secret names, in any case style; *values* more regular expressions, of which the group `secret` is
    hidden if there is one, else the whole match; *safe* are whole dotted keys that are never hidden for their name.
    Raise `ConfigurationError` for a setting that could hide nothing, or everything.
    """

    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    short: int = field(init=False, repr=False, compare=False)
    """The length in characters up to which a text need not be looked at; the user's own patterns may be short."""
    _queries: set[str] = field(init=False, repr=False, compare=False, default_factory=set)
    _routes: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)
    _verdicts: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)
    _named: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _safe: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for setting in ("keys", "values", "safe"):
            object.__setattr__(self, setting, _texts(f"redact.{setting}", getattr(self, setting)))

        for setting, entries in (("keys", self.keys), ("safe", self.safe)):
            _require_words(f"redact.{setting}", entries)

        object.__setattr__(self, "short", 0 if self.values else _SHORT)
        object.__setattr__(self, "_named", _named(self.keys))
        object.__setattr__(self, "_patterns", tuple(_compiled(value) for value in self.values))
        object.__setattr__(self, "_safe", frozenset(_plain(key) for key in (*_SAFE, *self.safe)))

    def hides(self, key: str) -> bool:
        """
        Tell whether the value of *key* is a secret, by the words that the key ends in.

        The whole key is read, and not its last segment alone: a mapping `card` with a `number` becomes `card.number`.
        """
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._remember(key, _plain(key) not in self._safe and self._ends_secretly(key))
        return verdict

    def hides_any(self, route: str, parameters: Mapping[str, object]) -> bool:
        """Tell whether the value of any of *parameters* is a secret; those of one *route* have the same names."""
        verdict = self._routes.get(route)
        if verdict is None:
            if len(self._routes) >= _KNOWN:
                self._routes.clear()
            verdict = self._routes[route] = any(map(self.hides, parameters))
        return verdict

    def text(self, text: str) -> str:
        """
        Return *text* with the marker for every secret in it, and the same object if there is none.

        What one mark uncovers is looked at again, so that a text that went through twice is as after once.
        """
        shaped = bool(self._patterns) or _suspicious(text) is not None
        if not shaped and "=" not in text and ":" not in text:
            return text

        while (masked := _masked(text, self._spans(text) if shaped else self._assigned(text))) != text:
            text = masked

        return text

    def head(self, text: str, length: int) -> str:
        """
        Return what `text` gives for the first *length* characters, up to the end of a word.

        Half a secret would not be recognised as one. A word that takes half of them is no secret, and is cut.
        """
        if len(text) > length:
            text = text[:length]
            whole, *word = text.rsplit(None, 1) or [text]
            text = whole if word and len(whole) > length // 2 else text
        return self.text(text)

    def end(self, text: str, length: int) -> str:
        """Return what `text` gives for the last *length* characters, from the beginning of a line."""
        if len(text) > length:
            text = text[-length:]
            start = text.find(NEWLINE, 0, length // 2) + 1
            text = text[start:]
        return self.text(text)

    def query(self, query: str) -> str:
        """
        Return *query*, a URL's query string, without the values of secret names and without secrets in the rest.

        Names and values are decoded to be judged (WHATWG URL, application/x-www-form-urlencoded), also when they were
        encoded twice; what is clean stays as it was sent, and the same object is returned if all of it is.
        """
        if query in self._queries:
            return query

        parts = re.split(r"(&|;(?=[^&;=]*=))", query)
        parts[::2] = map(self._parameter, parts[::2])
        masked = "".join(parts)
        if masked != query:
            return masked

        if len(query) <= _KNOWN_LENGTH:
            if len(self._queries) >= _KNOWN:
                self._queries.clear()
            self._queries.add(query)
        return query

    def path(self, path: str, parameters: Mapping[str, object]) -> str:
        """Return *path*, a URL's path, without the values of those route *parameters* whose names are secret."""
        for name, value in parameters.items():
            if value not in (None, "") and self.hides(name):
                path = _without(path, str(value))

        return path

    def _parameter(self, part: str) -> str:
        name, _, value = part.partition("=")
        if value and self._hides_parameter(name):
            return f"{name}={MARKER}"

        decoded = _decoded(part)
        shown = self.text(decoded)
        return part if shown is decoded else quote_plus(shown, safe="=[]:/@,", errors="replace")

    def _hides_parameter(self, name: str) -> bool:
        verdict = self._verdicts.get(f"?{name}")
        if verdict is None:
            decoded = _decoded(name)
            verdict = self._remember(f"?{name}", decoded.casefold() in _IN_QUERIES or self.hides(decoded))
        return verdict

    def _remember(self, key: str, verdict: bool) -> bool:
        if len(key) <= _KNOWN_LENGTH:
            if len(self._verdicts) >= _KNOWN:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict

    def _ends_secretly(self, key: str) -> bool:
        words = _words(key)[-12:]
        endings = ["".join(words[start:]) for start in range(len(words))]
        return not any(map(_COUNT.fullmatch, endings)) and any(map(self._named.fullmatch, endings))

    def _spans(self, text: str) -> Iterator[shapes.Span]:
        """Yield where secrets stand, and the markers of earlier rounds, which nothing may match into."""
        yield from (found.span() for found in re.finditer(re.escape(MARKER), text))
        yield from shapes.spans(text)
        for pattern in self._patterns:
            yield from shapes.matches(pattern, text)
        yield from self._assigned(text)

    def _assigned(self, text: str) -> Iterator[shapes.Span]:
        """Yield the values that stand behind a secret name and a sign, as in `password=hunter2`."""
        end = 0
        for sign in shapes.SIGN.finditer(text):
            if sign.start() < end or not self._names(text[max(0, sign.start() - 80) : sign.start()]):
                continue

            value = shapes.VALUE.match(text, sign.end())
            if value and value.lastgroup and not shapes.HARMLESS.fullmatch(value[value.lastgroup]):
                end = value.end()
                yield value.span(value.lastgroup)

    def _names(self, before: str) -> bool:
        """Judge the name that *before* ends in: one word for the safe list, with spaces for `card number=`."""
        phrase = re.split(r"[^\w.\[\] -]+", before.rstrip(" \t\"'\\:"))[-1]
        return self.hides(phrase) and _plain(phrase.rpartition(" ")[2]) not in self._safe


def _texts(setting: str, entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        raise ConfigurationError.of(setting, entries, "a list or tuple of strings")

    return tuple(entries)


def _require_words(setting: str, entries: tuple[str, ...]) -> None:
    for entry in entries:
        if not _words(entry):
            raise ConfigurationError.of(setting, entry, "names with at least one letter or digit")


def _compiled(value: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError.of("redact.values", value, f"a regular expression ({error})") from error

    if pattern.search(""):
        raise ConfigurationError.of("redact.values", value, "a regular expression that does not match the empty text")

    return pattern


def _named(keys: tuple[str, ...]) -> re.Pattern[str]:
    """Compile the names that are secret when a key's last words, joined, are one of them."""
    phrases = "|".join([*_PHRASES.split(), *(re.escape("".join(_words(key))) for key in keys)])
    return re.compile(rf"(?:\w*(?:{'|'.join(_ENDINGS.split())})|{phrases})s?(?:{'|'.join(_TAILS.split())}|\d)*")


def _words(key: str) -> list[str]:
    """Split *key* into its words in lower case: `userAPIToken2` is user, api, token and 2."""
    return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFKC", key))]


def _plain(key: str) -> str:
    """Write *key* in the one style that safe keys are compared in."""
    return ".".join("_".join(_words(segment)) for segment in key.split("."))


def _masked(text: str, spans: Iterator[shapes.Span]) -> str:
    """Put one marker for each run of *spans* that overlap or touch."""
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if not pieces or start > end:
            pieces += text[end:start], MARKER
        end = max(end, stop)

    return "".join((*pieces, text[end:]))


def _decoded(text: str) -> str:
    """Undo percent-encoding up to three times, as deep as redirects are nested in practice."""
    if "%" not in text and "+" not in text:
        return text

    text = unquote_plus(text)
    for _ in range(2):
        text = unquote(text)

    return text


def without(value: Any, texts: tuple[str, ...]) -> Any:
    """Return *value*, which is plain, with the marker for every one of *texts* in it."""
    kind = type(value)
    if kind is str:
        for text in texts:
            value = value.replace(text, MARKER)
    elif kind is list:
        return [without(item, texts) for item in value]
    elif kind is dict:
        return {key: without(item, texts) for key, item in value.items()}
    return value


def _without(path: str, value: str) -> str:
    """Mask the segments of *path* that are *value*, and wherever else it stands if no segment is."""
    forms = {_segment(value), _segment(unquote(value))}
    segments = [MARKER if segment and _segment(unquote(segment)) in forms else segment for segment in path.split("/")]
    if MARKER in segments:
        return "/".join(segments)

    for form in sorted(
        {value, unquote(value), quote(value, errors="replace"), quote(value, safe="", errors="replace")},
        key=len,
        reverse=True,
    ):
        path = path.replace(form, MARKER)

    return path


def _segment(text: str) -> str:
    """Even out what URL converters read alike: `007` is the integer 7, and a UUID has no case."""
    return text.casefold().lstrip("0")
