"""Leases as text: which attempt of which run a worker holds, sealed for the credential that claimed it."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

from openqueue.control.callers import Caller
from openqueue.errors import LeaseForeign, PayloadInvalid
from openqueue.types import Claimed

MARK: Final = "oql_"
BODY: Final = struct.Struct("!16s16s16sI")
"""Run, token of the claim, worker, attempt."""
SEAL: Final = 32
"""Bytes of an HMAC-SHA256."""
LONGEST: Final = len(MARK) + (BODY.size + SEAL + 2) // 3 * 4


class Lease(NamedTuple):
    """One attempt that a worker holds, or held: whether it still does is the database's to say."""

    run_id: UUID
    token: UUID
    worker_id: UUID
    attempt: int

    @classmethod
    def of(cls, attempt: Claimed) -> Self:
        """Return the lease of a claimed attempt."""
        return cls(attempt.run_id, attempt.token, attempt.worker_id, attempt.attempt)

    def written(self, owner: str) -> str:
        """Return it as this owner's worker is given it; nobody can make or change one."""
        body = BODY.pack(self.run_id.bytes, self.token.bytes, self.worker_id.bytes, self.attempt)
        seal = next(_seals(body, owner))
        return MARK + base64.urlsafe_b64encode(body + seal).decode().rstrip("=")


def read(text: str, *, caller: Caller) -> Lease:
    """Return the lease of a text.

    Raises:
        LeaseForeign: it was not given to this caller; also one that was made up.
    """
    written = text.removeprefix(MARK)
    try:
        raw = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise LeaseForeign from error
    body, seal = raw[: BODY.size], raw[BODY.size :]
    is_ours = any(hmac.compare_digest(seal, one) for one in _seals(body, caller.owner))
    if not text.startswith(MARK) or len(raw) != BODY.size + SEAL or not is_ours:
        raise LeaseForeign
    run, token, worker, attempt = BODY.unpack(body)
    return Lease(UUID(bytes=run), UUID(bytes=token), UUID(bytes=worker), attempt)


def read_all(texts: Sequence[str], *, what: str, caller: Caller) -> list[Lease]:
    """Return the leases of a request, in its order.

    Raises:
        LeaseForeign: one was not given to this caller; nothing was done.
        PayloadInvalid: one is named twice.
    """
    leases = [read(text, caller=caller) for text in texts]
    first: dict[tuple[UUID, UUID], int] = {}
    for number, lease in enumerate(leases):
        if first.setdefault((lease.run_id, lease.token), number) != number:
            raise PayloadInvalid([(f"{what}[{number}].lease", f"is that of {what}[{first[lease[:2]]}] too")])
    return leases


def _seals(body: bytes, owner: str) -> Iterator[bytes]:
    """Yield the seal by each of the project's keys, the newest first."""
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        signed = f"{owner}:{body.hex()}"
        yield salted_hmac("openqueue.lease", signed, secret=key, algorithm="sha256").digest()
