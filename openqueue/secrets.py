"""Secret arguments: encrypted where they are stored, hidden where they are shown."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from openqueue.errors import FieldError, PayloadInvalid, SecretsUnavailable, SecretUnreadable

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

ENVELOPE: Final = "$secret"
"""The only key of the object that stands in a payload for an encrypted value."""
MASK: Final = "[secret]"

HUMP: Final = re.compile(r"([a-z0-9])([A-Z])")

_SHORTEST_INSIDE: Final = 4
_SALT: Final = b"openqueue.secrets.v1"


def seal(payload: Mapping[str, Any], *, fields: Iterable[str]) -> dict[str, Any]:
    """Return the payload with these fields encrypted; raise SecretsUnavailable without `cryptography`."""
    sealed, cipher = dict(payload), _cipher()
    for field in fields:
        if field in sealed:
            sealed[field] = {ENVELOPE: cipher.encrypt(_write(sealed[field], path=field)).decode("ascii")}
    return sealed


def unseal(payload: Mapping[str, Any], *, fields: Iterable[str]) -> dict[str, Any]:
    """Return the payload with these fields decrypted; raise SecretUnreadable where no key fits.

    A field that is not encrypted stays: its run was triggered before the field became a secret.
    """
    opened = dict(payload)
    for field in fields:
        token = _token(opened.get(field))
        if token is not None:
            opened[field] = _decrypt(token, field=field)
    return opened


def redact(payload: Mapping[str, Any], *, fields: Iterable[str]) -> dict[str, Any]:
    """Return the payload with a mask in place of these fields, encrypted or not."""
    return dict(payload) | {field: MASK for field in fields if field in payload}


def veil(value: Any, *, names: tuple[str, ...]) -> Any:
    """Return a JSON value with a mask in place of what stands, at any depth, under a name that says secret."""
    if isinstance(value, dict):
        return {
            key: MASK if item not in (None, "") and says_secret(key, names=names) else veil(item, names=names)
            for key, item in value.items()
        }
    return [veil(item, names=names) for item in value] if isinstance(value, list) else value


def unveil(value: Any, *, old: Any, names: tuple[str, ...]) -> Any:
    """Return a value that somebody edited who saw the old one veiled: a mask that was left stands for what it hid."""
    if isinstance(value, dict) and isinstance(old, dict):
        return {
            key: old[key]
            if item == MASK and key in old and says_secret(key, names=names)
            else unveil(item, old=old.get(key), names=names)
            for key, item in value.items()
        }
    if isinstance(value, list) and isinstance(old, list):
        return [
            unveil(item, old=old[at] if at < len(old) else None, names=names) for at, item in enumerate(value)
        ]
    return value


def says_secret(name: str, *, names: tuple[str, ...]) -> bool:
    """Tell whether one of these is a word, or some words, of a name: `apiKey`, `X-API-KEY` and `my_api_key` alike."""
    pattern = _words(names)
    return (
        pattern is not None and pattern.search(HUMP.sub(r"\1_\2", name).lower().replace("-", "_")) is not None
    )


@lru_cache(maxsize=8)
def _words(names: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile(rf"(?:^|_)(?:{'|'.join(map(re.escape, names))})(?:_|$)") if names else None


def hide(value: Any, *, payload: Mapping[str, Any], fields: Iterable[str]) -> Any:
    """Return a JSON value (a result, a described error, a log line) with the texts of secret fields masked.

    ``payload`` is the unsealed one. Texts under four characters are masked only where they stand alone.
    """
    texts = {text for field in fields if field in payload for text in _texts(payload[field])} - {""}
    # as they are and as repr() shows them, the longest first: one secret may begin with another
    shown = sorted(texts | {repr(text)[1:-1] for text in texts}, key=len, reverse=True)
    return _hidden(value, shown) if shown else value


def available() -> bool:
    """Tell whether `cryptography` is installed."""
    try:
        _multi_fernet(("probe",))
    except SecretsUnavailable:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _hidden(value: Any, shown: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {_hidden(key, shown): _hidden(item, shown) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, shown) for item in value]
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    if text in shown:
        return MASK
    for secret in shown:
        if len(secret) >= _SHORTEST_INSIDE:
            text = text.replace(secret, MASK)
    return text if isinstance(value, str) or text != str(value) else value


def _token(value: Any) -> str | None:
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get(ENVELOPE), str):
        return str(value[ENVELOPE])
    return None


def _write(value: Any, *, path: str) -> bytes:
    """The value's JSON. Its text is ASCII, so that what a database cannot store does not matter inside."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError as error:
        reason = "holds NaN or infinity, or contains itself; JSON has neither"
        raise PayloadInvalid([FieldError(path, reason)]) from error
    except TypeError as error:
        raise PayloadInvalid([FieldError.without_json_form(path, value)]) from error


def _decrypt(token: str, *, field: str) -> Any:
    cipher = _cipher()
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - the `crypto` extra, which _cipher found

    try:
        return json.loads(cipher.decrypt(token.encode()))
    except InvalidToken as error:
        raise SecretUnreadable(f"{field}: {SecretUnreadable.default_message()}") from error


def _cipher() -> MultiFernet:
    return _multi_fernet(_keys())


def _keys() -> tuple[str, ...]:
    """Read at every use, so that rotated and overridden settings are obeyed; the first key encrypts."""
    own = (getattr(settings, "OPENQUEUE", None) or {}).get("SECRET_KEYS") or ()
    return ((own,) if isinstance(own, str) else tuple(own)) or (
        settings.SECRET_KEY,
        *settings.SECRET_KEY_FALLBACKS,
    )


@lru_cache(maxsize=8)
def _multi_fernet(keys: tuple[str, ...]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - the `crypto` extra
    except ImportError as error:
        raise SecretsUnavailable from error
    return MultiFernet([Fernet(_fernet_key(key)) for key in keys])


def _fernet_key(key: str) -> bytes:
    """Make the 32 bytes that Fernet wants out of a string of any length, kept apart from other uses of it."""
    return base64.urlsafe_b64encode(hmac.digest(key.encode(), _SALT, "sha256"))
