"""Signs webhooks as Standard Webhooks says, so that receivers can tell ours from others', and old ones from new.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

PREFIX: Final = "whsec_"
BYTES: Final = 32


def make_secret() -> str:
    """Return a new signing secret, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def headers(body: bytes, *, id: str, timestamp: int, secret: str) -> dict[str, str]:
    """Return what proves that these bytes come from who has the secret. ``timestamp``: seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join([id.encode(), str(timestamp).encode(), body])
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
