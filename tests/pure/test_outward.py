"""Whom a URL leads to, however it is written: what is judged before anybody is asked for an address."""

from __future__ import annotations

import ipaddress

import pytest

from openqueue import outward
from openqueue.outward import Outward, Refused, parsed

ALLOWED, NEAR = "10.1.2.3", "10.2.2.3"
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1",
    "192.168.1.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "fe80::1", "fc00::1",
    "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2001::1", "2001:db8::1", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NO_URLS = [
    "file:///etc/passwd", "gopher://hooks.example.com/_x", "ftp://hooks.example.com/", "//hooks.example.com/",
    "hooks.example.com", "", "https://", "https:///x", "https://?x", "javascript:alert(1)", "HTTPS:hooks.example.com",
    "https://user@hooks.example.com/", "https://user:pass@hooks.example.com/", "https://1.1.1.1@127.0.0.1/",
    "https://hooks.example.com#@127.0.0.1/", "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/\r\nHost: other", "https://hooks.example.com/ x", "https://hooks.example.com/\tx",
    "https://hooks.example.com:0/", "https://hooks.example.com:99999/", "https://hooks.example.com:x/",
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/",
    "https://127.0.1/", "https://1.1.1.01/", "https://017700000001/", "https://[::1/", "https://[::ffff:127.1]/",
    "https://[fe80::1%25eth0]/", "https://%31%32%37.0.0.1/", "https://ⓔxample.com/", "https://example。com/",
    "https://127.0.0.1./", "https://hooks..example.com/", "https://-x.example.com/", "https://hooks.example.com./",
    "https://hooks.example.com/" + "x" * 1_000,
]  # fmt: skip


@pytest.mark.parametrize("one", PRIVATE)
def test_an_address_that_is_not_everybodys_is_not_public(one: str):
    assert not outward.is_public(ipaddress.ip_address(one))
    host = f"[{one}]" if ":" in one else one
    with pytest.raises(Refused):
        Outward().target(f"https://{host}/")


@pytest.mark.parametrize("one", PUBLIC)
def test_an_address_of_the_world_is_public(one: str):
    assert outward.is_public(ipaddress.ip_address(one))
    Outward().target(f"https://{f'[{one}]' if ':' in one else one}/hook")


@pytest.mark.parametrize("url", NO_URLS)
def test_what_could_mean_two_things_is_no_url(url: str):
    with pytest.raises(Refused):
        parsed(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/",
        "https://intranet/",
        "https://x.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
    ],
)
def test_a_name_of_this_network_is_refused_unless_it_is_allowed(url: str):
    with pytest.raises(Refused, match="ALLOWED_HOSTS"):
        Outward().target(url)
    Outward(allowed_hosts=[parsed(url).host]).target(url)


def test_http_is_for_hosts_that_are_allowed_or_for_all_when_a_setting_says_so():
    with pytest.raises(Refused, match="ALLOW_HTTP"):
        Outward().target("http://hooks.example.com/")
    Outward(allow_http=True).target("http://hooks.example.com/")
    Outward(allowed_hosts=["hooks.example.com"]).target("http://hooks.example.com/")
    with pytest.raises(Refused, match="no public address"):
        Outward(allow_http=True).target("http://127.0.0.1/")


def test_networks_names_and_suffixes_can_be_allowed_and_nothing_beside_them():
    some = Outward(allowed_hosts=["10.1.0.0/16", ".corp.example.com"])
    some.target(f"https://{ALLOWED}/")
    some.target("http://hooks.corp.example.com/")
    some.check(ipaddress.ip_address("10.1.9.9"), host="hooks.example.com")
    some.check(ipaddress.ip_address("192.168.1.1"), host="hooks.corp.example.com")
    for host in ("hooks.example.com", "xcorp.example.com"):
        with pytest.raises(Refused):
            some.check(ipaddress.ip_address("192.168.1.1"), host=host)
    with pytest.raises(Refused):
        some.target(f"https://{NEAR}/")


def test_where_only_some_hosts_are_talked_to_no_other_is():
    some = Outward(only_hosts=["hooks.slack.com", ".example.com", "1.1.1.0/24"])
    for url in ("https://hooks.slack.com/x", "https://a.example.com/", "https://1.1.1.1/"):
        some.target(url)
    for url in ("https://slack.com/", "https://example.com/", "https://8.8.8.8/"):
        with pytest.raises(Refused, match="ONLY_HOSTS"):
            some.target(url)
    with pytest.raises(Refused):
        Outward(only_hosts=["127.0.0.1"]).target("https://127.0.0.1/")  # named, and still private


def test_a_url_is_shown_by_its_host_and_its_end():
    shown = parsed("https://hooks.slack.com:8443/services/T0/B0/abcdefgh?key=1234").masked
    assert shown == "https://hooks.slack.com:8443/…1234"
    assert parsed("https://hooks.slack.com/short").masked == "https://hooks.slack.com/…"


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ([], "must be a dictionary"),
        ({"HOSTS": []}, "'HOSTS'"),
        ({"ALLOWED_HOSTS": "10.0.0.1"}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": ["https://x"]}, "ALLOWED_HOSTS"),
        ({"ONLY_HOSTS": [1]}, "ONLY_HOSTS"),
        ({"ALLOW_HTTP": 1}, "ALLOW_HTTP"),
        ({"URL": "ftp://x"}, "URL"),
        ({"FROM": "a\nb"}, "FROM"),
    ],
)
def test_a_setting_with_a_fault_is_named(raw: object, fault: str):
    made, faults = outward.read(raw)
    assert fault in faults[0][0]
    assert made == Outward()


def test_the_setting_is_read():
    raw = {
        "ALLOWED_HOSTS": ["10.0.0.1"],
        "ONLY_HOSTS": None,
        "ALLOW_HTTP": True,
        "URL": "https://x/y",
        "FROM": "a@x.de",
    }
    made, faults = outward.read(raw)
    assert (faults, made.only_hosts) == ([], None)
    assert made == Outward(allowed_hosts=("10.0.0.1",), allow_http=True, url="https://x/y", sender="a@x.de")
