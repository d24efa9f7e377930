"""Look at flows; cancel one, and begin anew what did not complete."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from openqueue.control import flows
from openqueue.errors import OpenQueueError
from openqueue.management import arguments
from openqueue.management.tables import as_json, moment, plain, span, table


class Command(BaseCommand):
    """``manage.py openqueue_flows list|show|cancel|retry``."""

    help = "Lists flows and shows one as a graph; cancels one; begins anew its nodes that did not complete."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="list | show | cancel | retry")
        listing = acts.add_parser("list", help="Flows, newest first.")
        listing.add_argument("--status", choices=flows.STATUSES, help="Only those that stand so.")
        listing.add_argument("--name", help="Only those of this name.")
        listing.add_argument("--after", type=UUID, help="The last flow of the page before.")
        listing.add_argument("--limit", type=arguments.positive, default=50, help="How many; 200 at most.")
        show = acts.add_parser("show", help="One flow: its nodes, and what each waits for.")
        cancel = acts.add_parser("cancel", help="End what waits, and ask what runs to stop.")
        retry = acts.add_parser("retry", help="Begin anew the nodes that did not complete, keeping what did.")
        for act in (show, cancel, retry):
            act.add_argument("id", type=UUID, help="As listed.")
        for act in (cancel, retry):
            act.add_argument("--reason", default="", help="Why, for the record.")
            arguments.add_actor(act)
        for act in acts.choices.values():
            act.add_argument("--json", action="store_true", help="For scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"{options['act']}_flows")(options)
        except (OpenQueueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def list_flows(self, options: dict[str, Any]) -> None:
        page = flows.find(
            status=options["status"],
            name=options["name"],
            after=options["after"],
            limit=min(options["limit"], 200),
        )
        if options["json"]:
            self.stdout.write(as_json({"flows": page.flows, "next": page.next}))
            return
        headers = ["ID", "NAME", "STATUS", "DONE", "FAILED", "ACTIVE", "WAITING", "CREATED", "TOOK"]
        rows = [
            [
                str(one.id),
                one.name,
                one.status,
                f"{one.completed}/{one.total}",
                one.failed,
                one.active,
                one.waiting,
                moment(one.created_at),
                span(one.seconds),
            ]
            for one in page.flows
        ]
        self.stdout.write(table(headers, rows) if rows else "No such flow.")
        if page.next:
            self.stdout.write(f"There are more: --after {page.next}")

    def show_flows(self, options: dict[str, Any]) -> None:
        flow = flows.show(options["id"])
        if options["json"]:
            self.stdout.write(as_json(flow))
            return
        self.stdout.write(
            plain(f"Flow {flow.name} {flow.id}: {flow.status}, {flow.completed} of {flow.total} completed")
        )
        rows = [
            [node.name, node.status, node.reason, node.task_id, node.queue, node.waits_for, node.run_id]
            for node in flow.nodes
        ]
        self.stdout.write(table(["NODE", "STATUS", "REASON", "TASK", "QUEUE", "WAITS FOR", "RUN"], rows))
        if flow.nodes_left_off:
            self.stdout.write(f"There are more than these {len(flow.nodes)} nodes.")

    def cancel_flows(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        flows.show(options["id"])
        answer = flows.cancel(options["id"], actor=actor, reason=options["reason"])
        self.stdout.write(as_json({"flow": options["id"], "answer": answer}) if options["json"] else answer)

    def retry_flows(self, options: dict[str, Any]) -> None:
        actor = arguments.actor(options["actor"])
        flows.show(options["id"])
        again = flows.retry(options["id"], actor=actor, reason=options["reason"])
        if options["json"]:
            self.stdout.write(as_json({"flow": options["id"], "nodes": again}))
        elif again:
            self.stdout.write(f"{again} nodes begin anew.")
        else:
            self.stdout.write("No node of it has ended without completing.")
