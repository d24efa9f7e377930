"""A payment provider to practise on: it fails, throttles, declines and stalls, as each test card says.

card_fine      charged at once                      card_busy      429 with Retry-After first, charged later
card_declined  402, whenever it is asked            card_slow      charged, but the first answer is too late
card_unstable  500 first, charged when asked again  card_dripping  first answer comes byte by byte, for ages
card_down      503, whenever it is asked

A charge carries an Idempotency-Key. Asked twice with one key, the provider charges once and says `replayed`.
It is a warehouse as well: GET /stock/<sku> tells how many are left, now and then too late.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

CHARGES = "/charges"
STOCK = re.compile(r"/stock/([A-Z-]+)")
STALLS_EVERY = 60  # the warehouse is silent for every 60th question
LONGEST_BODY = 10_000


class Provider(ThreadingHTTPServer):
    """The server and its ledger; `ledger` is a file of JSON lines that outlives the process."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(
        self,
        port: int = 0,
        *,
        ledger: Path | None = None,
        latency: float = 0.08,
        stall: float = 5.0,
        retry_after: int = 2,
    ) -> None:
        super().__init__(("127.0.0.1", port), Desk)
        self.latency, self.stall, self.retry_after = latency, stall, retry_after
        self.charges: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.closing = threading.Event()
        self.desk = threading.Lock()  # one question at a time sees and changes the books
        self.ledger = ledger
        if ledger and ledger.exists():
            self.charges = {entry["key"]: entry for entry in map(json.loads, ledger.read_text().splitlines())}

    @property
    def url(self) -> str:
        """Where the provider listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, subject: str) -> int:
        """Return how often this subject was asked about, this time included."""
        with self.desk:
            self.asked[subject] += 1
            return self.asked[subject]

    def book(self, key: str, *, amount: str, currency: str) -> tuple[dict[str, Any], bool]:
        """Charge, unless this key was charged before; return the charge and whether it is a replay."""
        with self.desk:
            if key in self.charges:
                return self.charges[key], True
            charge = {
                "key": key,
                "id": f"ch_{len(self.charges) + 1:06}",
                "amount": amount,
                "currency": currency,
            }
            self.charges[key] = charge
            if self.ledger:
                with self.ledger.open("a") as file:
                    file.write(json.dumps(charge) + "\n")
            return charge, False

    def wait(self, seconds: float) -> None:
        """Let time pass, but never hold up the end of the process."""
        self.closing.wait(seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up: impatience is what a slow provider earns."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Desk(BaseHTTPRequestHandler):
    """One connection; it is closed after each answer."""

    server: Provider
    refusals: ClassVar[dict[str, int]] = {"card_declined": 402, "card_down": 503}

    def do_POST(self) -> None:
        """Charge a card."""
        key = self.headers.get("Idempotency-Key", "")
        order = self.body()
        if self.path != CHARGES or not key or not {"amount", "currency", "card"} <= order.keys():
            self.answer(400, {"error": "POST /charges with an Idempotency-Key, amount, currency and card"})
            return
        self.server.wait(random.uniform(0.3, 1.7) * self.server.latency)
        card, first = order["card"], self.server.count(key) == 1
        if card in self.refusals:
            self.answer(self.refusals[card], {"error": card})
        elif first and card == "card_unstable":
            self.answer(500, {"error": "internal_error"})
        elif first and card == "card_busy":
            self.answer(429, {"error": "too_many_requests"}, retry_after=self.server.retry_after)
        else:
            charge, replayed = self.server.book(key, amount=order["amount"], currency=order["currency"])
            if first and card == "card_slow":
                self.server.wait(self.server.stall)
            drip = self.server.stall / 10 if first and card == "card_dripping" else 0
            self.answer(200 if replayed else 201, {**charge, "replayed": replayed}, drip=drip)

    def do_GET(self) -> None:
        """Look up a charge by its key, or the stock of an article."""
        if self.path.startswith(f"{CHARGES}/"):
            charge = self.server.charges.get(self.path.removeprefix(f"{CHARGES}/"))
            self.answer(200 if charge else 404, charge or {"error": "no_such_charge"})
        elif article := STOCK.fullmatch(self.path):
            if self.server.count("stock") % STALLS_EVERY == 0:
                self.server.wait(self.server.stall)
            self.server.wait(random.uniform(0.5, 4.0) * self.server.latency)
            self.answer(200, {"sku": article[1], "stock": random.randint(0, 200)})
        else:
            self.answer(404, {"error": "not_found"})

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent, empty when it is none."""
        size = min(int(self.headers.get("Content-Length") or 0), LONGEST_BODY)
        try:
            sent = json.loads(self.rfile.read(size))
        except ValueError:
            return {}
        return sent if isinstance(sent, dict) else {}

    def answer(
        self, status: int, content: dict[str, Any], *, retry_after: int | None = None, drip: float = 0
    ) -> None:
        """Send a JSON answer, byte by byte with `drip` seconds between when asked to."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        for count in range(len(body)) if drip else ():
            self.wfile.write(body[count : count + 1])
            self.server.wait(drip)
        if not drip:
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print what went wrong on purpose; success is silent."""
        if int(code) >= 400:
            print(
                f"{int(code)} {self.command} {self.path} {self.headers.get('Idempotency-Key', '')}",
                flush=True,
            )


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", type=int, default=8090, help="0 takes any free port; the first line says which"
    )
    parser.add_argument("--ledger", type=Path, help="file that keeps the charges for the next start")
    options = parser.parse_args()
    provider = Provider(options.port, ledger=options.ledger)

    def stop(*_: object) -> None:
        provider.closing.set()
        threading.Thread(
            target=provider.shutdown
        ).start()  # shutdown() waits for the loop that this signal interrupts

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"listening on {provider.url}", flush=True)
    provider.serve_forever(poll_interval=0.1)
    provider.server_close()


if __name__ == "__main__":
    main()
