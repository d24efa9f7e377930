"""A private Kafka: one KRaft node on free loopback ports, own folder, gone with the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from tests.servers.installed import HOW_TO_GET_KAFKA, java_binary, kafka_jars
from tests.servers.ports import answers, free_port
from tests.servers.private import USER, PrivateServer

RULES = {
    "TOPIC": ("DESCRIBE", "READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS"),
    "GROUP": ("DESCRIBE", "READ"),
}
"""What docs/runtimes/kafka.md says that OpenQueue needs, by names that begin with the namespace."""
QUICK = ("-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""A small JVM that is soon there: no second compiler, no collector with threads of its own."""
LOGGING = """
status = error
appender.log.type = Console
appender.log.name = log
appender.log.layout.type = PatternLayout
appender.log.layout.pattern = %d %p %c %m%n
rootLogger.level = warn
rootLogger.appenderRef.log.ref = log
"""
STANZAS = {"plain": "plain.Plain", "scram-sha-512": "scram.Scram"}
SERVER: dict[str, Any] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "ADMIN",
    "listener.security.protocol.map": (
        "CONTROLLER:PLAINTEXT,ADMIN:PLAINTEXT,CLIENT:SASL_PLAINTEXT,PROXY:SASL_PLAINTEXT,TLS:SASL_SSL"
    ),
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # whoever comes by a listener without a password: the tests themselves
    "auto.create.topics.enable": "false",
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "group.share.heartbeat.interval.ms": 500,  # a new member is given its partitions by its second one
    "group.share.min.heartbeat.interval.ms": 500,
    "log.cleaner.dedupe.buffer.size": 2**21,
    "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 500,
    "num.network.threads": 2,
    "num.io.threads": 2,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 1,
}


class KafkaMissing(RuntimeError):
    pass


class Kafka(PrivateServer):
    """One node. `where` is the listener of the user with few rights, `admin` that of whoever may do anything."""

    name = "kafka"

    def __init__(self, *, proxied: int | None = None, papers: Path | None = None, **settings: Any) -> None:
        """Take a node of one's own.

        proxied: the port at which a listener more, `ports["PROXY"]`, says that it can be reached.
        papers: the folder of server.pem and server.key, with which the listener "TLS" shows itself.
        """
        super().__init__()
        self.settings = {name.replace("_", "."): value for name, value in settings.items()}
        names = [
            "CONTROLLER",
            "ADMIN",
            "CLIENT",
            *(["PROXY"] if proxied else []),
            *(["TLS"] if papers else []),
        ]
        self.ports = {name: free_port() for name in names}
        self.advertised = self.ports | ({"PROXY": proxied} if proxied else {})
        self.papers = papers
        self.cluster = "q" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # no option begins with a q

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.ports['CLIENT']}"

    def options_at(self, listener: str) -> dict[str, Any]:
        """Return the same, by another listener."""
        return self.options | {"brokers": [f"127.0.0.1:{self.advertised[listener]}"]}

    @property
    def options(self) -> dict[str, Any]:
        """OPTIONS of a runtime that comes as the user with few rights."""
        return {
            "brokers": [self.where],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "username": USER,
            "password": self.password,
        }

    @property
    def administrator(self) -> dict[str, Any]:
        """What a kafka-python client takes to come as somebody who may do anything."""
        return {"bootstrap_servers": f"127.0.0.1:{self.ports['ADMIN']}"}

    def admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(**self.administrator)

    def _find(self) -> None:
        self.java, self.jars = java_binary(), kafka_jars()
        if self.java is None or self.jars is None:
            raise KafkaMissing(HOW_TO_GET_KAFKA)

    def _initialise(self) -> None:
        self._inside("log4j2.properties").write_text(LOGGING)
        self.configure()
        format_it = ("kafka.tools.StorageTool", "format", *self.format)
        self.run(*format_it, f"--cluster-id={self.cluster}", "-c", self.conf)

    @property
    def conf(self) -> Path:
        return self._inside("server.properties")

    format: tuple[str, ...] = ("--standalone",)

    def _settle_in(self) -> None:
        self.grant()

    def configure(self) -> None:
        module = "org.apache.kafka.common.security.{}LoginModule required{};"
        users = {"plain": f' user_{USER}="{self.password}"'}
        logins = {name: module.format(kind, users.get(name, "")) for name, kind in STANZAS.items()}
        local = "{}://127.0.0.1:{}".format
        settings = (
            SERVER
            | {
                "node.id": 1,
                "log.dirs": f"{self.folder}/data",
                "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.ports.get('CONTROLLER', 0)}",
                "listeners": ",".join(local(name, port) for name, port in self.ports.items()),
                "advertised.listeners": ",".join(local(name, port) for name, port in self.advertised.items()),
                **{
                    f"listener.name.{listener.lower()}.{mechanism}.sasl.jaas.config": entry
                    for listener in self.ports.keys() - {"CONTROLLER", "ADMIN"}
                    for mechanism, entry in logins.items()
                },
            }
            | self.settings
        )
        if self.papers is not None:
            store = self._inside("server.pem")
            store.write_bytes(
                b"".join((self.papers / f"server.{kind}").read_bytes() for kind in ("key", "pem"))
            )
            prefix = "listener.name.tls.ssl.keystore"
            settings |= {f"{prefix}.type": "PEM", f"{prefix}.location": store}
        self.conf.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def command(self, *words: object) -> list[str]:
        properties = f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties"
        return [str(self.java), *QUICK, properties, "-cp", f"{self.jars}/*", *map(str, words)]

    def run(self, *words: object) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{words[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, *, wait: bool = True) -> None:
        self._run_on(*self.command("kafka.Kafka", self.conf))
        if wait:
            self.wait_until_it_answers()

    def grant(self) -> None:
        """Give the user what the documentation says, and nothing else."""
        rules = [
            ACL(
                f"User:{USER}",
                "*",
                ACLOperation[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType[kind], "openqueue", ACLResourcePatternType.PREFIXED),
            )
            for kind, operations in RULES.items()
            for operation in operations
        ]
        with self.admin() as admin:
            admin.create_acls(rules)

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if answers(self.ports["ADMIN"]):
                with self.admin() as admin:
                    admin.list_topics()
                return
            time.sleep(0.05)
        raise RuntimeError(f"Kafka does not answer:\n{self.log()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL is a crash."""
        assert self._process is not None
        os.kill(self._process.pid, number)
        self._process.wait(30)


class SecondNode(Kafka):
    """A broker more in the cluster of another, which stays its only controller."""

    format = ("--no-initial-controllers",)

    def __init__(self, first: Kafka) -> None:
        super().__init__(process_roles="broker", node_id=2)
        self.first = first
        self.password, self.cluster = first.password, first.cluster
        del self.ports["CONTROLLER"], self.advertised["CONTROLLER"]

    def configure(self) -> None:
        self.settings["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{self.first.ports['CONTROLLER']}"
        super().configure()

    def _settle_in(self) -> None:
        """Nothing to grant: the first has done it."""
