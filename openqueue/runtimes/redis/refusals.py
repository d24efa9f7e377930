"""What a Redis server refuses, in words that say what to do."""

from __future__ import annotations

from typing import Final

from redis import exceptions

REMEDIES: Final = {
    "OOM": "Redis is full. Raise maxmemory, or find what else fills it; keep maxmemory-policy at noeviction.",
    "READONLY": "This Redis is a replica. Lead the URL to the primary, or let Sentinel find it.",
    "MISCONF": "Redis cannot save to its disk and refuses writes. Look at its log and its disk.",
    "LOADING": "Redis is loading its data after a start. It goes on by itself.",
    "BUSY": "Somebody's script keeps Redis busy. It goes on by itself, or after SCRIPT KILL.",
    "WRONGPASS": "Redis does not accept user and password. Put the right ones into the URL.",
    "NOPERM": "The user of the URL may not do this. The page of this runtime shows the rules that it needs.",
    "MOVED": "This Redis is a node of a Cluster. Add 'cluster': True to the OPTIONS.",
    "CLUSTERDOWN": "The Redis Cluster does not serve all its slots. Look at CLUSTER INFO.",
    "MASTERDOWN": "The replica has lost its primary. Lead the URL to the primary.",
    "NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write asks for, and refuses writes.",
}
WORDS: Final = {
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.AuthenticationError: "WRONGPASS",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.MovedError: "MOVED",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.MasterDownError: "MASTERDOWN",
}
"""The client takes the first word off these."""
ANSWERS: Final = (exceptions.ResponseError, exceptions.BusyLoadingError, exceptions.AuthenticationError)
"""Errors that the server itself told: nothing was done."""


def is_answer(error: BaseException) -> bool:
    """Tell whether the server answered, and refused; else nobody knows what it did."""
    return isinstance(error, ANSWERS) or is_demotion(error)


def is_demotion(answer: object) -> bool:
    """Tell whether a server answered that it is no primary; Sentinel's connection makes another error of it."""
    return isinstance(answer, exceptions.ReadOnlyError) or (
        isinstance(answer, Exception) and isinstance(answer.__context__, exceptions.ReadOnlyError)
    )


def explained(error: BaseException) -> str:
    """Return what the server or the client said, and the remedy."""
    said = " ".join(str(error).split())[:200]
    word = next((word for kind, word in WORDS.items() if isinstance(error, kind)), None)
    if word is None:
        word = next((word for word in REMEDIES if said.startswith(f"{word} ") or f"-{word} " in said), None)
    return said if word is None else f"{REMEDIES[word]} ({said})"
