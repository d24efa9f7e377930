"""Which servers this machine has; standard library only, for it is asked before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

HOW_TO_GET_POSTGRESQL = (
    "PostgreSQL 15 or newer is not installed; on Debian and Ubuntu: sudo apt-get install postgresql"
)
MARIADB_PACKAGES = ("mariadb-server", "libmariadb-dev", "pkg-config", "gcc", "libc6-dev")
"""The server, and what mysqlclient is compiled with."""
HOW_TO_GET_MARIADB = (
    "MariaDB 10.11 or newer, or what its Python client is compiled with, is not installed; on Debian and Ubuntu: "
    f"sudo apt-get install {' '.join(MARIADB_PACKAGES)}"
)

HOW_TO_GET_REDIS = (
    "Redis 6.2 or newer, or Valkey, is not installed; on Debian and Ubuntu: sudo apt-get install redis-server"
)

KAFKA_PACKAGES = ("openjdk-17-jre-headless", "maven")
KAFKA_VERSION = "4.3.1"
KAFKA_POM = Path(__file__).with_name("kafka-pom.xml")
HOW_TO_GET_KAFKA = (
    f"Apache Kafka {KAFKA_VERSION} is not here; with Java 17 and Maven (on Debian and Ubuntu: sudo apt-get install "
    f"{' '.join(KAFKA_PACKAGES)}) python3 tests/run.py fetches it"
)

HOW_TO_GET_RABBITMQ = (
    "RabbitMQ 3.10 or newer is not installed; on Debian and Ubuntu: sudo apt-get install rabbitmq-server"
)

HOW_TO_GET_PGBOUNCER = "PgBouncer is not installed; on Debian and Ubuntu: sudo apt-get install pgbouncer"

HOW_TO_GET_CHROMIUM = "Chromium is not installed; on Debian and Ubuntu: sudo apt-get install chromium"

HOW_TO_GET_NODE = "Node 18 or newer is not installed; on Debian and Ubuntu: sudo apt-get install nodejs"


def node_binary() -> str | None:
    """Return the path of Node, if one is installed that has `fetch`."""
    found = shutil.which("node")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)", said)
    return found if version and int(version[1]) >= 18 else None


def chromium_binary() -> str | None:
    """Return the path of Chromium, if the system has one; browsers that Playwright fetched are not looked for."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def pgbouncer_binary() -> str | None:
    """Return the path of PgBouncer, if it is installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def postgresql_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server installed, if there is any."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(re.sub(r"[^0-9.]", "", path.parts[-3]) or 0),
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def postgresql_version() -> str:
    """Return the version that tests of this machine run on, such as 15.18."""
    folder = postgresql_binaries()
    if folder is None:
        return ""
    command = [folder / "postgres", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return match[0] if (match := re.search(r"\d+(\.\d+)+|\d+\w*$", said)) else said.strip()


def redis_binary(name: str = "redis-server") -> Path | None:
    """Return the path of redis-server or redis-sentinel; Valkey's do as well."""
    for known in (name, name.replace("redis", "valkey")):
        if (found := shutil.which(known, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")) is not None:
            return Path(found)
    return None


def java_binary() -> str | None:
    """Return the path of Java, if it is installed."""
    return shutil.which("java")


def kafka_folder() -> Path:
    """Return where the broker's jars are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "openqueue-tests", f"kafka-{KAFKA_VERSION}")


def kafka_jars() -> Path | None:
    """Return the folder of the broker's jars, if they were fetched."""
    return kafka_folder() if kafka_folder().is_dir() else None


def fetch_kafka() -> bool:
    """Have Maven fetch the broker's jars; tell whether they are there."""
    maven, folder = shutil.which("mvn"), kafka_folder()
    if kafka_jars() is None and maven is not None:
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [
            maven, "-q", "-B", "-f", KAFKA_POM, f"-Dkafka.version={KAFKA_VERSION}", "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={fresh}",
        ]  # fmt: skip
        if not subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            fresh.rename(folder)  # whole or not at all
        shutil.rmtree(fresh, ignore_errors=True)
    return kafka_jars() is not None


def rabbitmq_binaries() -> Path | None:
    """Return the folder of the newest RabbitMQ's own scripts: Debian's on the PATH start its own server."""
    found = sorted(
        Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"),
        key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[-3])],
    )
    return found[-1].parent if found and shutil.which("erl") and shutil.which("epmd") else None


def mariadb_binary() -> Path | None:
    """Return the server's program, if it is installed with what makes its data folder."""
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which("mariadbd", path=folders)
    return Path(found) if found and shutil.which("mariadb-install-db", path=folders) else None


def can_compile_mysqlclient() -> bool:
    """Tell whether this machine has a C compiler and the headers of MariaDB's client library."""
    if not shutil.which("pkg-config") or not (shutil.which("gcc") or shutil.which("cc")):
        return False
    return not subprocess.run(["pkg-config", "--exists", "libmariadb"], check=False).returncode


def mariadb_version() -> str:
    """Return the version that tests of this machine run on, such as 10.11.19."""
    program = mariadb_binary()
    if program is None:
        return ""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return match[0] if (match := re.search(r"\d+(\.\d+)+", said)) else said.strip()
