"""JSON in and out: one parser with limits, one renderer, and no other media type, whatever a project's settings say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from openqueue import codec
from openqueue.api.problems import MEDIA_TYPE as PROBLEM
from openqueue.api.problems import Refusal
from openqueue.errors import PayloadInvalid
from openqueue.wording import Said

JSON: Final = "application/json"
MOST_BYTES: Final = 8 * 2**20
"""Of one body: a thousand runs of a few kilobytes, or a few dozen at PAYLOAD_LIMIT."""


class JSONBody(BaseParser):
    """JSON by the codec's rules: no NaN, no NUL, no half surrogates, 64 levels at most."""

    media_type = JSON

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value; the connection is not read beyond the limit."""
        written: bytes = stream.read(MOST_BYTES + 1)
        if len(written) > MOST_BYTES:
            raise Refusal(413, "payload_too_large", f"A body has {MOST_BYTES:,} bytes at most.")
        try:
            return codec.decode(written.decode("utf-8"), what="body")
        except UnicodeDecodeError as error:
            raise Refusal(400, "invalid_json", "The body is not UTF-8.") from error
        except PayloadInvalid as error:
            raise Refusal(400, "invalid_json", "The body is not JSON.", faults=error.errors) from error


class JSONAnswer(BaseRenderer):
    """JSON of values: dataclasses, moments and ids among them."""

    media_type = JSON
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the bytes of a body."""
        if data is None:
            return b""
        return json.dumps(
            msgspec.to_builtins(data, enc_hook=_plain), ensure_ascii=False, separators=(",", ":")
        ).encode()


def _plain(value: Any) -> str:
    if isinstance(value, Said):
        return str(value)
    raise TypeError(f"A body cannot hold a {type(value).__name__}.")


class JSONOnly(BaseContentNegotiation):
    """JSON, or 406. There is no ?format=."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the parser of JSON, if that is what the body is said to be."""
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next(iter(parsers)) if kind == JSON else None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer of JSON, if the caller can read it."""
        if not any(request.accepts(kind) for kind in (JSON, PROBLEM)):
            raise NotAcceptable("Answers are application/json.")
        return next(iter(renderers)), JSON


def tag(content: bytes) -> str:
    """Return a weak ETag: two bodies of the same facts have the same one."""
    return f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
