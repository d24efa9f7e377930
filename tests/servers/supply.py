"""Installs what the tests' servers need and the machine lacks: Debian's packages in one go, Kafka's artifacts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection

from tests.servers.installed import (
    HOW_TO_GET_KAFKA,
    HOW_TO_GET_MARIADB,
    HOW_TO_GET_POSTGRESQL,
    HOW_TO_GET_RABBITMQ,
    HOW_TO_GET_REDIS,
    KAFKA_PACKAGES,
    MARIADB_PACKAGES,
    can_compile_mysqlclient,
    chromium_binary,
    fetch_kafka,
    java_binary,
    kafka_jars,
    mariadb_binary,
    node_binary,
    pgbouncer_binary,
    postgresql_binaries,
    rabbitmq_binaries,
    redis_binary,
)

# Debian's packages would make and start servers of their own on the usual ports, which nobody asked for.
APT = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
case "$*" in *postgresql*)
    apt-get install -y -q --no-install-recommends postgresql-common
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/openqueue-tests.conf
esac
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d /etc/postgresql-common/createcluster.d/openqueue-tests.conf' EXIT
fi
apt-get install -y -q --no-install-recommends "$@"
"""


def bring(cells: Collection[str], say: Callable[[str], None]) -> dict[str, str]:
    """Install what these cells lack; return database -> how to get it, for each that is missing all the same.

    A broker that is missing is said only: its tests are left out at home, and are errors under CI.
    """
    asked, has_tests = " ".join(cells), any(name.startswith("py") for name in cells)
    wanted = {
        "postgresql": "postgresql" in asked and postgresql_binaries() is None,
        "pgbouncer": "postgresql-crash" in asked and pgbouncer_binary() is None,
        "chromium": "-browser" in asked and chromium_binary() is None,
        "nodejs": has_tests and node_binary() is None,
        "curl": has_tests and shutil.which("curl") is None,
        "redis-server": has_tests and redis_binary() is None,
        "rabbitmq-server": has_tests and rabbitmq_binaries() is None,
    }
    packages = [package for package, is_wanted in wanted.items() if is_wanted]
    if "mariadb" in asked and not can_mariadb():
        packages += MARIADB_PACKAGES
    if has_tests and (java_binary() is None or (kafka_jars() is None and shutil.which("mvn") is None)):
        packages += KAFKA_PACKAGES
    if packages:
        apt(*packages, say=say)
    if has_tests:
        brokers = {
            HOW_TO_GET_REDIS: redis_binary() is not None,
            HOW_TO_GET_RABBITMQ: rabbitmq_binaries() is not None,
            HOW_TO_GET_KAFKA: fetch_kafka() and java_binary() is not None,
        }
        for how in [how for how, is_there in brokers.items() if not is_there]:
            say(how)
    missing = {
        "postgresql": "" if postgresql_binaries() else HOW_TO_GET_POSTGRESQL,
        "mariadb": "" if can_mariadb() else HOW_TO_GET_MARIADB,
    }
    return {name: how for name, how in missing.items() if how}


def can_mariadb() -> bool:
    return mariadb_binary() is not None and can_compile_mysqlclient()


def apt(*packages: str, say: Callable[[str], None]) -> None:
    """Install packages, through sudo where that is needed; say so, and say when it did not work."""
    package = " ".join(packages)
    root = os.geteuid() == 0
    sudo = ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]
    say(f"installing {package} with apt{'' if root else ' through sudo'}")
    command = [*([] if root else sudo), "sh", "-c", APT, "apt", *packages]
    try:
        stdin = None if sys.stdin.isatty() else subprocess.DEVNULL
        installed = subprocess.run(command, stdin=stdin, check=False)
    except FileNotFoundError:
        say(f"cannot: there is no {command[0]} here")
        return
    if installed.returncode:
        say(f"could not install it; as root: apt-get install {package}")
