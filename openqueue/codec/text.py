"""JSON text in and out, byte for byte the same with and without orjson."""

from __future__ import annotations

import importlib
import json
import math
import re
from typing import Any, Final, NoReturn

from openqueue.codec.plain import MAX_DEPTH, is_finite, plain, plain_scalar
from openqueue.errors import PayloadInvalid, PayloadTooLarge

try:
    _orjson: Any = importlib.import_module("orjson")
except ImportError:  # the `fast` extra is not installed
    _orjson = None

_NATIVE_OPTIONS: Final = (
    _orjson.OPT_PASSTHROUGH_DATACLASS | _orjson.OPT_PASSTHROUGH_DATETIME | _orjson.OPT_PASSTHROUGH_SUBCLASS
    if _orjson
    else 0
)
# orjson spells small floats otherwise than json (1e-7, 0.00001), and in some releases great ones too (1e16)
_EXPONENT: Final = re.compile(rb"(?:^|[:,\[])-?[0-9][0-9.]*[eE]")
_HINT_OF_EXPONENT: Final = b"e-" if _orjson and _orjson.dumps(1e16) == b"1e+16" else b"e"
# orjson turns integers above 64 bits into floats
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER: Final = b"0" * 19
# PostgreSQL stores neither NUL nor surrogates
_UNSTORABLE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def encode(value: Any, *, what: str, limit: int) -> str:
    """Return compact JSON of at most ``limit`` bytes, or raise PayloadInvalid with paths below ``what``.

    Beside JSON's own types it writes tuples as arrays, dataclasses as objects, enums as their values,
    and datetime, date, time (ISO 8601), timedelta (ISO 8601 duration), Decimal and UUID as strings.
    """
    written = _encode_fast(value) if _orjson else None
    if written is None:
        made = plain(value, what=what)
        written = json.dumps(made, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(written) > limit:
        raise PayloadTooLarge([(what, f"takes {len(written):,} bytes as JSON, and the limit is {limit:,}")])
    return written.decode()


def decode(text: str, *, what: str = "payload") -> Any:
    """Return the value of JSON text that keeps the rules of `encode`, or raise PayloadInvalid."""
    try:
        written = text.encode()
        value = _read(text, written)
    except ValueError as error:
        raise PayloadInvalid([(what, f"is not JSON: {error}")]) from error
    if _UNSTORABLE.search(written):
        plain(value, what=what)
    return value


def _encode_fast(value: Any) -> bytes | None:
    """Return what json would write for this value, or None where only the walk can tell whether it may."""
    try:
        written: bytes = _orjson.dumps(value, default=plain_scalar, option=_NATIVE_OPTIONS)
    except TypeError:
        return None
    if b"\\u0000" in written or b"0.0000" in written:
        return None
    if _HINT_OF_EXPONENT in written and _EXPONENT.search(written):
        return None
    # orjson writes NaN as null, and nests four times as deep as we do
    if (b"null" in written and not is_finite(value)) or _too_deep(written):
        return None
    return written


def _read(text: str, written: bytes) -> Any:
    if _too_deep(written):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if _orjson and _LONG_INTEGER not in written.translate(_DIGITS):
        return _orjson.loads(written)
    return json.loads(text, parse_constant=_refuse_number, parse_float=_finite)


def _too_deep(written: bytes) -> bool:
    if written.count(b"[") + written.count(b"{") <= MAX_DEPTH:
        return False
    # without escapes every other piece between quotes is outside of strings
    outside = _STRING.sub(b"", written) if b"\\" in written else b"".join(written.split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level, everywhere
        if not brackets:
            return False
    return True


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)
