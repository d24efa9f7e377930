"""The same project on one runtime after the other, each with its real server and a worker: what the pages say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from openqueue import runtimes
from openqueue.models import Outbox, Run
from tests.app.tasks import add
from tests.crash.conftest import stage as stage
from tests.crash.stage import Stage
from tests.eventually import eventually
from tests.servers.rabbitmq import ADMIN

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AT = "/admin/openqueue"
PRIORITY = "Its broker hands messages out in the order in which they came."


@pytest.fixture
def ada(page: Page, sign_in: Callable[[User], None]) -> Page:
    """A page of who may do everything."""
    sign_in(User.objects.create_superuser("ada"))
    return page


@pytest.fixture
def runtime(request: pytest.FixtureRequest, stage: Stage, settings: Any) -> Iterator[str]:
    """Every queue lives on the runtime that the test is about."""
    name = request.param
    if name != "database":
        server = request.getfixturevalue(f"{name}_server")
        kind, options = {
            "redis": lambda: ("redis.RedisRuntime", {"url": server.url}),
            "rabbitmq": lambda: (
                "rabbitmq.RabbitMQRuntime",
                {"url": server.url_of(ADMIN), "management": server.management},
            ),
            "kafka": lambda: ("kafka.KafkaRuntime", server.options | {"partitions": 2}),
        }[name]()
        stage.settings["RUNTIMES"] = {
            "default": {"BACKEND": f"openqueue.runtimes.{kind}", "OPTIONS": options}
        }
        if name == "kafka":  # topics and a group of its own: a log keeps what other tests announced
            stage.settings["NAMESPACE"] = f"openqueue-{uuid4().hex[:8]}"
        settings.OPENQUEUE = stage.settings
    yield name
    stage.close()  # before its broker goes
    runtimes.close_all()


def send(page: Page, fields: dict[str, str]) -> int:
    """Send a form by hand with fields that it does not offer; return the status of the answer."""
    token = page.locator("input[name=csrfmiddlewaretoken]").first.get_attribute("value") or ""
    headers = {"HX-Request": "true", "Referer": page.url}
    form: dict[str, Any] = {"csrfmiddlewaretoken": token, **fields}
    return page.request.post(page.url, form=form, headers=headers).status


def cells(page: Page) -> dict[str, str]:
    """Return what the broker says of the queue `default`, by the heading of its column."""
    table = page.locator("#oq-part-brokers table").first
    expect(table).to_be_visible()
    heads = table.locator("thead th").all_inner_texts()[1:]
    return dict(zip(heads, table.locator("#oq-broker-default-default td").all_inner_texts(), strict=True))


@pytest.mark.parametrize("runtime", ["redis", "rabbitmq", "kafka"], indirect=True)
def test_a_queue_shows_what_its_broker_says_of_it(ada: Page, runtime: str, stage: Stage):
    waiting = {"redis": "Messages", "rabbitmq": "Messages", "kafka": "Lag"}[runtime]
    for number in range(3):
        add.trigger(a=number, b=1)
    # By the publisher of this process: a broker that it never met before takes it a moment.
    eventually(lambda: Outbox.objects.filter(announced_at__isnull=False).count() == 3, within=20)
    ada.goto(f"{AT}/queue/default/")
    assert cells(ada)[waiting] == "3"
    stage.worker()
    eventually(lambda: Run.objects.filter(status="completed").count() == 3, within=40)

    extra = {
        "redis": {"Being worked on": "0"},
        "rabbitmq": {"Being worked on": "0", "Consumers": "1"},
        "kafka": {"Partitions": "2", "Consumers": "1"},
    }[runtime]

    seen: list[dict[str, str]] = []  # a failure shows what was there

    def has_settled() -> bool:
        ada.goto(f"{AT}/queue/")
        seen.append(cells(ada))
        return {waiting: "0", **extra}.items() <= seen[-1].items()

    eventually(has_settled, within=30)


@pytest.mark.parametrize("runtime", ["database", "redis", "kafka"], indirect=True)
def test_what_a_runtime_cannot_is_not_offered_told_by_health_and_refused(ada: Page, runtime: str):
    add.trigger(a=1, b=1)
    ada.goto(f"{AT}/health/")
    ada.locator("#oq-part-runtimes").get_by_text("Capabilities:").wait_for()
    table = ada.get_by_role("region", name="Capabilities default")
    expect(table.get_by_role("row", name="Priorities")).to_contain_text(
        PRIORITY if runtime == "kafka" else "✓"
    )
    ada.goto(f"{AT}/enqueue/?task=app.add")
    expect(ada.get_by_label("Priority")).to_have_count(0 if runtime == "kafka" else 1)
    expect(ada.get_by_text(PRIORITY)).to_have_count(1 if runtime == "kafka" else 0)
    fields = {"act": "enqueue", "payload": '{"a": 1, "b": 2}', "priority": "5"}
    assert send(ada, fields) == (501 if runtime == "kafka" else 200)
    assert Run.objects.count() == (1 if runtime == "kafka" else 2)
    ada.goto(f"{AT}/outbox/")
    offered = ada.locator("#oq-part-rows").get_by_role("button", name="Publish now")
    expect(offered).to_have_count(0 if runtime == "database" else Run.objects.count())
