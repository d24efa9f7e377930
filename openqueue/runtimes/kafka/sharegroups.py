"""What the cluster tells of share groups. kafka-python knows nothing of them: it is taught two messages.

Source: KIP-932, https://cwiki.apache.org/confluence/x/CIq3FQ
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import for_code
from kafka.protocol.api_message import ApiMessage

from openqueue.runtimes.kafka import schemas
from openqueue.runtimes.kafka.cluster import Cluster
from openqueue.runtimes.kafka.refusals import NO_SHARE_GROUPS, KafkaFailed
from openqueue.runtimes.kafka.topics import Place

logger = logging.getLogger("openqueue")

HEARTBEAT: Final = 76
"""The number of ShareGroupHeartbeat: brokers without share groups do not offer it."""
BEYOND: Final = 2**63
"""An offset that no record has."""
OLDEST: Final = {"share.auto.offset.reset": "earliest"}


class DescribeShareGroupOffsetsRequest(ApiMessage, load_json=schemas):  # type: ignore[misc, call-arg]  # untyped
    """Ask from where a share group goes on in each partition."""


class DescribeShareGroupOffsetsResponse(ApiMessage, load_json=schemas):  # type: ignore[misc, call-arg]  # untyped
    """Tell it."""


class Reach(NamedTuple):
    """How far a share group is in one partition."""

    start: int
    """All before it was taken by somebody for good; behind it are records that wait, and some that are taken too."""
    lag: int | None
    """Records that nobody has taken for good; None: the broker does not tell."""


class ShareGroup:
    """Asks about one share group by kafka-python's admin client."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.begins_early = False

    def reach(self, places: Iterable[Place]) -> dict[Place, Reach]:
        """Return how far the group is; a partition that it has never looked at is left out.

        Raises:
            KafkaFailed: no answer, or a refusal.
        """
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, partition in places:
            topics[topic].append(partition)
        if not topics:
            return {}
        (group,) = self.cluster.ask(
            lambda admin: admin._manager.run(self.describe, admin, dict(topics))
        ).groups
        if group.error_code:
            raise KafkaFailed(
                self.cluster.options.where, for_code(group.error_code)(group.error_message), certain=True
            )
        return {
            Place(topic.topic_name, one.partition_index): Reach(
                one.start_offset, one.lag if one.lag >= 0 else None
            )
            for topic in group.topics
            for one in topic.partitions
            if not one.error_code and one.start_offset >= 0
        }

    def passed(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the offset before which everything was taken for good.

        The broker writes down that offset with the next verdict only: of an idle partition it is old. The lag is not.
        """
        return {
            place: BEYOND if reach.lag == 0 else reach.start for place, reach in self.reach(places).items()
        }

    def depth(self, places: Collection[Place]) -> int:
        """Return how many records nobody has taken for good."""
        reach = self.reach(places)
        told = {place: one.lag for place, one in reach.items() if one.lag is not None}
        untold = [place for place in places if place not in told]
        starts = self.cluster.ends([place for place in untold if place not in reach], first=True)
        starts |= {place: reach[place].start for place in untold if place in reach}
        following = self.cluster.ends(untold)
        return sum(told.values()) + sum(max(0, following[place] - starts[place]) for place in untold)

    async def describe(self, admin: Any, topics: dict[str, list[int]]) -> Any:
        self.refuse_old_broker(admin)
        kind = DescribeShareGroupOffsetsRequest.Group
        request = DescribeShareGroupOffsetsRequest(
            groups=[
                kind(
                    group_id=self.name,
                    topics=[kind.Topic(topic_name=name, partitions=some) for name, some in topics.items()],
                )
            ]
        )
        coordinators = await admin._find_coordinator_ids([self.name])
        return await admin._manager.send(request, node_id=coordinators[self.name])

    def prepare(self) -> None:
        """See that the broker has share groups, and have this one begin with the oldest record, not with the newest.

        Raises:
            KafkaFailed: it has none.
        """
        self.cluster.ask(self.refuse_old_broker)
        if self.begins_early:
            return
        self.begins_early = True
        resource = ConfigResource(ConfigResourceType.GROUP, self.name, configs=OLDEST)
        try:
            self.cluster.ask(lambda admin: admin.alter_configs([resource]))
        except KafkaFailed as error:
            logger.info(
                "could not set share.auto.offset.reset=earliest: what was published before the group's first"
                " consumer is announced again later",
                extra={"group": self.name, "error": str(error)},
            )

    def refuse_old_broker(self, admin: Any) -> None:
        if HEARTBEAT not in admin._manager.broker_version_data.api_versions:
            raise KafkaFailed(self.cluster.options.where, NO_SHARE_GROUPS, certain=True)
