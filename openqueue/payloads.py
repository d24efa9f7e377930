"""Where payloads are: in the row of their run, or, above PAYLOAD_LIMIT, in a storage with a pointer in the row.

A stored payload is a file of its own for each run, written before the run is and never changed. Its name begins with
the run's id, so that what no run needs any more is found by looking at names (`processes/sweeps/stored.py`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from openqueue import codec
from openqueue.conf import config
from openqueue.errors import PayloadInvalid, PayloadTooLarge, PayloadUnavailable
from openqueue.ids import made_at

logger = logging.getLogger("openqueue")

POINTER: Final = "$openqueue.stored"
"""The only key of the object that stands in a row for a payload that lies in the storage."""
LARGEST: Final = 64 * 1024**2
"""Bytes of a payload in a storage: a worker reads it whole."""
SHOWN: Final = 1024**2
"""Bytes of a stored payload that pages and the API still read to show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What a pointer says."""

    name: str
    bytes: int
    sha256: str


def encode(payload: Mapping[str, Any]) -> str:
    """Return a checked payload as text, whole wherever it is going to be kept.

    Raises:
        PayloadInvalid: it has no JSON form, or looks like a pointer.
        PayloadTooLarge: it is above PAYLOAD_LIMIT and there is no LARGE_PAYLOADS, or above 64 MiB.
    """
    if POINTER in payload:
        raise PayloadInvalid(
            [(POINTER, "is a name that OpenQueue keeps for itself: call the argument otherwise")]
        )
    limit = config.payload_limit if config.large_payloads is None else max(LARGEST, config.payload_limit)
    return codec.encode(payload, what="payload", limit=limit)


def kept(text: str, *, run: UUID) -> str:
    """Return what the row of a run holds of its payload: the text, or a pointer to where it was put."""
    if config.large_payloads is None or len(text) * 4 <= config.payload_limit:
        return text
    written = text.encode()
    if len(written) <= config.payload_limit:
        return text
    at = datetime.fromtimestamp(made_at(run), tz=UTC)
    name = _storage().save(f"{folder()}/{at:%Y-%m-%d}/{run}.json", ContentFile(written))
    pointer = {"name": name, "bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
    return codec.encode({POINTER: pointer}, what="payload", limit=config.payload_limit)


def refuse_stored(text: str, *, why: str) -> None:
    """Raise PayloadTooLarge for a payload that may lie nowhere but in a row; ``why`` says so."""
    if len(text.encode()) > config.payload_limit or POINTER in text:
        raise PayloadTooLarge(
            [
                (
                    "payload",
                    f"is above PAYLOAD_LIMIT ({config.payload_limit:,} bytes), and {why}. Pass the name of what is "
                    f"large instead",
                )
            ]
        )


def decode(text: str) -> Any:
    """Return the payload that a row's text means, from wherever it lies.

    Raises:
        PayloadUnavailable: the storage does not answer, or has not got it.
    """
    payload = codec.decode(text)
    return opened(payload) if POINTER in text else payload


def opened(payload: Any) -> Any:
    """Return the payload that a row's value means; as `decode`."""
    found = pointed(payload)
    return payload if found is None else codec.decode(_read(found))


def shown(payload: Any) -> Any:
    """Return a payload to be shown; of one that is large, or is not to be had now, only where it lies. Never raises."""
    found = pointed(payload)
    if found is None:
        return payload
    if found.bytes <= SHOWN:
        try:
            return opened(payload)
        except PayloadUnavailable:
            logger.warning("a stored payload is not to be had", extra={"stored": found.name}, exc_info=True)
    return {POINTER: {"storage": config.large_payloads, "bytes": found.bytes}}


def pointed(payload: Any) -> Pointer | None:
    """Return what a pointer says; None for a payload that is in its row."""
    if not isinstance(payload, Mapping) or set(payload) != {POINTER}:
        return None
    told = payload[POINTER]
    return Pointer(name=str(told["name"]), bytes=int(told["bytes"]), sha256=str(told["sha256"]))


def folder() -> str:
    """Return where this project's payloads lie in the storage."""
    return f"openqueue/{config.namespace}/payloads"


def days() -> list[str]:
    """Return the names of the folders that there are, a day each."""
    try:
        return sorted(_storage().listdir(folder())[0])
    except FileNotFoundError:
        return []


def files(day: str) -> Iterator[tuple[UUID, str]]:
    """Return whose payloads lie in the folder of a day, each with its name there."""
    for name in _storage().listdir(f"{folder()}/{day}")[1]:
        try:
            yield UUID(name[:36]), f"{folder()}/{day}/{name}"
        except ValueError:  # not ours
            continue


def delete(names: Sequence[str]) -> None:
    """Delete files; one that is gone already is no fault."""
    storage = _storage()
    for name in names:
        storage.delete(name)


def _storage() -> Storage:
    alias = config.large_payloads
    if alias is None:
        raise PayloadUnavailable(
            "A payload lies in a storage, and OPENQUEUE['LARGE_PAYLOADS'] names none any more. Name the storage again "
            "until no run is left that needs it."
        )
    return storages[alias]


def _read(stored: Pointer) -> str:
    if not stored.name.startswith(f"{folder()}/"):
        raise PayloadUnavailable(
            f"The payload lies at {stored.name!r}, outside of {folder()}. Was NAMESPACE changed? Change it back until "
            f"these runs have ended."
        )
    try:
        with _storage().open(stored.name, "rb") as file:
            written: bytes = file.read()
    except PayloadUnavailable:
        raise
    except Exception as error:  # storages raise what their libraries raise
        raise PayloadUnavailable(
            f"The storage {config.large_payloads!r} did not give {stored.name!r}: {type(error).__name__}. Do workers "
            f"use the same storage as whoever triggers?"
        ) from error
    if hashlib.sha256(written).hexdigest() != stored.sha256:
        raise PayloadUnavailable(
            f"The storage {config.large_payloads!r} holds something else at {stored.name!r} than was written."
        )
    return written.decode()
