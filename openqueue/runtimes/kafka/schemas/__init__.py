"""Requests of the protocol that kafka-python has no words for."""

from __future__ import annotations
