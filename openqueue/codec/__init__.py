"""JSON text in and out, by the same rules with and without orjson; and errors as JSON, whatever they are."""

from __future__ import annotations

from openqueue.codec.plain import MAX_DEPTH
from openqueue.codec.report import ERROR_LIMIT, clip, describe, fit
from openqueue.codec.text import decode, encode

__all__ = ["ERROR_LIMIT", "MAX_DEPTH", "clip", "decode", "describe", "encode", "fit"]
