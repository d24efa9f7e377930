"""What Kafka or its client says when it refuses, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

ABSENT: Final = (
    "It does not answer, or hangs up. Is it there, does it advertise an address that leads to it from here, do "
    "'security_protocol', 'ca', user and password fit?"
)
NO_SHARE_GROUPS: Final = (
    "This broker has no share groups: they need Kafka 4.2 or newer, with the feature share.version at 1 or more. "
    "Upgrade it, or drop 'group_mode'."
)
REMEDIES: Final = {
    "UnknownTopicOrPartitionError": (
        "The topic does not exist, or this user may not see it. Create it, or set 'create_topics': True and let the "
        "user create topics."
    ),
    "TopicAuthorizationFailedError": (
        "This user may not do this with the topic. The page of this runtime shows the rules that it needs."
    ),
    "GroupAuthorizationFailedError": (
        "This user may not use the consumer group. The page of this runtime shows the rules that it needs."
    ),
    "ClusterAuthorizationFailedError": (
        "This user may not do this in the cluster. The page of this runtime shows the rules that it needs."
    ),
    "SaslAuthenticationFailedError": "Kafka does not accept user and password. Put the right ones into the OPTIONS.",
    "UnsupportedSaslMechanismError": "The listener does not offer this 'sasl_mechanism'.",
    "InvalidReplicationFactorError": "'replication' asks for more copies than there are brokers.",
    "NotEnoughReplicasError": "Fewer replicas are in step than min.insync.replicas asks for; Kafka refuses writes.",
    "UnsupportedVersionError": "The brokers are too old for this, or what it needs is switched off there.",
    "ShareGroupsUnsupported": NO_SHARE_GROUPS,
    "KafkaTimeoutError": ABSENT,
    "KafkaConnectionError": ABSENT,
    "RequestTimedOutError": ABSENT,
}


class KafkaFailed(ConnectionError):
    """Kafka did not do what was asked. The message says where, why, and what to do."""

    def __init__(self, where: str, error: BaseException | str, *, certain: bool) -> None:
        said = error if isinstance(error, str) else explained(error)
        super().__init__(f"Kafka at {where}: {said}")
        self.certain = certain
        """True: nothing was done. False: nobody knows."""


def explained(error: BaseException) -> str:
    """Return what the server or the client said, and the remedy."""
    return advised(" ".join(f"{type(error).__name__}: {error}".split())[:200], kinds(error))


def advised(said: str, names: Collection[str]) -> str:
    """Return what was said with the remedy for an error of one of these names."""
    remedy = next((text for name, text in REMEDIES.items() if name in names), None)
    return said if remedy is None else f"{remedy} ({said})"


def kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
