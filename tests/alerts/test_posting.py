"""A webhook is sent to the one address that was judged, to nobody it points at, and takes no longer than it may."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openqueue.alerts import posting
from openqueue.outward import Outward, Refused
from tests.alerts.builders import Receiver
from tests.servers import papers

HERE = Outward(allowed_hosts=["127.0.0.1"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


class Names:
    """What names resolve to, and how often somebody asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        monkeypatch.setattr(posting.socket, "getaddrinfo", self.resolve)

    def resolve(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


def post(url: str, outward: Outward = HERE) -> posting.Posted:
    return posting.post(url, b"{}", headers={"X-A": "b"}, outward=outward)


def test_a_name_is_asked_for_once_and_stays_the_host_of_the_request(receiver: Receiver, monkeypatch):
    names = Names(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    port = receiver.server.server_port
    answer = post(
        f"http://hooks.example.com:{port}/a?b=c", Outward(allowed_hosts=["127.0.0.0/8"], allow_http=True)
    )
    assert (answer.status, answer.body) == (200, "thanks")
    (received,) = receiver.received
    assert (received.path, received.headers["Host"]) == ("/a?b=c", f"hooks.example.com:{port}")
    assert (received.headers["X-A"], received.body) == ("b", b"{}")
    assert names.asked == ["hooks.example.com"]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"]])
def test_a_name_that_leads_into_this_network_is_not_connected_to(
    receiver: Receiver, monkeypatch, addresses: list[str]
):
    Names(monkeypatch, addresses)
    connected: list[Any] = []
    monkeypatch.setattr(posting.socket.socket, "connect", lambda _, place: connected.append(place))
    with pytest.raises(Refused, match="no public address"):
        post(f"http://hooks.example.com:{receiver.server.server_port}/", Outward(allow_http=True))
    assert connected == []


def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_a_second_time(monkeypatch):
    names = Names(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    connected: list[Any] = []

    def connect(_: Any, place: Any) -> None:
        connected.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(posting.socket.socket, "connect", connect)
    with pytest.raises(ConnectionRefusedError):
        post("https://hooks.example.com/")
    assert (connected, names.asked) == ([("93.184.216.34", 443)], ["hooks.example.com"])


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://2130706433:{}/", "http://0x7f000001:{}/",
     "http://0177.0.0.1:{}/", "http://127.1:{}/", "http://0.0.0.0:{}/", "http://localhost:{}/", "http://x@127.0.0.1:{}/",
     "http://[::1]:{}/", "http://127.0.0.1:{}/\r\nX: y"],
)  # fmt: skip
def test_no_way_to_write_this_host_reaches_it(receiver: Receiver, url: str):
    with pytest.raises(Refused):
        post(url.format(receiver.server.server_port), Outward(allow_http=True))
    assert receiver.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, status: int):
    receiver.answer = lambda _: status
    receiver.headers = {"Location": f"{receiver.url}/elsewhere"}
    assert post(receiver.url).status == status
    assert len(receiver.received) == 1


def test_of_a_long_answer_the_beginning_is_read(receiver: Receiver):
    receiver.text = b"x" * 1_000_000
    assert post(receiver.url).body == "x" * posting.MOST_BYTES


@pytest.mark.parametrize(("said", "heard"), [("120", 120.0), ("soon", None), ("9999999", None), ("-1", None)])
def test_what_the_receiver_says_of_when_to_come_again_is_heard(
    receiver: Receiver, said: str, heard: float | None
):
    receiver.answer, receiver.headers = lambda _: 429, {"Retry-After": said}
    assert post(receiver.url).retry_after == heard


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n", b"."])
def test_a_receiver_that_hangs_or_drips_is_hung_up_on(monkeypatch, drip: bytes):
    monkeypatch.setattr(posting, "WHOLE", 0.5)
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for at in range(1_000):
                if over.wait(0.02):
                    return
                try:
                    connection.send(drip[at % len(drip) : at % len(drip) + 1] if drip else b"")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        began = time.monotonic()
        with pytest.raises((OSError, posting.http.client.HTTPException)):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert time.monotonic() - began < 4
        over.set()
        server.join()


def test_tls_is_verified_by_the_name_of_the_url(tmp_path: Path, monkeypatch):
    authority = papers.write(tmp_path, "ca")
    papers.write(tmp_path, "server", issuer=authority)
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.sni_callback = lambda _, name, __: asked.append(name)
    with Receiver() as receiver:
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        port = receiver.server.server_port
        with pytest.raises(ssl.SSLCertVerificationError):
            post(f"https://127.0.0.1:{port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert post(f"https://127.0.0.1:{port}/").status == 200
        Names(monkeypatch, ["127.0.0.1"])
        with pytest.raises(ssl.SSLCertVerificationError, match=r"hooks\.example\.com"):
            post(f"https://hooks.example.com:{port}/")  # the certificate is the address's
    assert asked[-1] == "hooks.example.com"
    assert len(receiver.received) == 1
