from __future__ import annotations

import json
import sys

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from openqueue import secrets
from openqueue.errors import PayloadInvalid, SecretsUnavailable, SecretUnreadable
from openqueue.secrets import MASK, hide, redact, seal, unseal

PAYLOAD = {"user": 5, "password": "hunter2-é", "card": {"number": [4111, "x"]}}


@pytest.fixture(autouse=True)
def _keys():
    with override_settings(SECRET_KEY="the project's own", SECRET_KEY_FALLBACKS=[], OPENQUEUE={}):
        yield


@pytest.fixture
def no_cryptography(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("cryptography.fernet")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    secrets._multi_fernet.cache_clear()
    yield
    secrets._multi_fernet.cache_clear()


def keys(*names: str):
    return override_settings(OPENQUEUE={"SECRET_KEYS": list(names)})


def test_sealed_fields_come_back_and_others_are_left_alone():
    sealed = seal(PAYLOAD, fields=["password", "card"])

    assert sealed["user"] == 5
    assert unseal(sealed, fields=["password", "card"]) == PAYLOAD


def test_a_sealed_payload_is_plain_json_and_shows_nothing_of_the_secret():
    text = json.dumps(seal(PAYLOAD, fields=["password", "card"]))

    assert "hunter2" not in text
    assert "4111" not in text
    assert set(json.loads(text)["password"]) == {"$secret"}


def test_sealing_leaves_the_callers_payload_as_it_was():
    payload = dict(PAYLOAD)
    seal(payload, fields=["password"])

    assert payload == PAYLOAD


def test_the_same_secret_is_never_sealed_the_same():
    assert seal(PAYLOAD, fields=["password"]) != seal(PAYLOAD, fields=["password"])


def test_a_field_that_was_not_given_stays_away():
    assert seal({"user": 5}, fields=["password"]) == {"user": 5}
    assert unseal({"user": 5}, fields=["password"]) == {"user": 5}
    assert redact({"user": 5}, fields=["password"]) == {"user": 5}


@pytest.mark.parametrize("value", ["plain", None, {"$secret": 5}, {"$secret": "x", "more": 1}, ["$secret"]])
def test_a_field_from_before_it_was_secret_is_read_as_it_is(value):
    assert unseal({"password": value}, fields=["password"]) == {"password": value}


def test_a_value_in_the_shape_of_the_envelope_is_sealed_like_any_other():
    payload = {"password": {"$secret": "not a token"}}

    sealed = seal(payload, fields=["password"])

    assert sealed != payload
    assert unseal(sealed, fields=["password"]) == payload


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(json_values)
def test_any_json_value_survives_sealing_exactly(value):
    (back,) = unseal(seal({"field": value}, fields=["field"]), fields=["field"]).values()

    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], object()])
def test_what_json_lacks_is_refused_with_the_field(value):
    with pytest.raises(PayloadInvalid) as caught:
        seal({"password": value}, fields=["password"])

    assert caught.value.errors[0].path == "password"


# Keys


def test_the_default_key_comes_from_the_projects_secret_key():
    sealed = seal(PAYLOAD, fields=["password"])
    with override_settings(SECRET_KEY="another"), pytest.raises(SecretUnreadable):
        unseal(sealed, fields=["password"])


def test_a_rotated_secret_key_still_opens_as_a_fallback():
    sealed = seal(PAYLOAD, fields=["password"])
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["the project's own"]):
        assert unseal(sealed, fields=["password"]) == PAYLOAD


def test_keys_of_its_own_take_the_place_of_the_secret_key():
    with keys("first"):
        sealed = seal(PAYLOAD, fields=["password"])
    with pytest.raises(SecretUnreadable):
        unseal(sealed, fields=["password"])


def test_the_first_key_seals_and_every_key_opens():
    with keys("old"):
        before = seal(PAYLOAD, fields=["password"])
    with keys("new", "old"):
        after = seal(PAYLOAD, fields=["password"])
        assert unseal(before, fields=["password"]) == PAYLOAD
    with keys("new"):
        assert unseal(after, fields=["password"]) == PAYLOAD
        with pytest.raises(SecretUnreadable):
            unseal(before, fields=["password"])


def test_one_key_written_as_a_string_is_not_taken_letter_by_letter():
    with override_settings(OPENQUEUE={"SECRET_KEYS": "abc"}):
        sealed = seal(PAYLOAD, fields=["password"])
    with keys("a"), pytest.raises(SecretUnreadable):
        unseal(sealed, fields=["password"])


@pytest.mark.parametrize("token", ["", "junk", "é", "gAAAAAB" + "A" * 100])
def test_a_secret_that_no_key_opens_names_the_field_and_the_remedy(token):
    with pytest.raises(SecretUnreadable, match=r"password: .*SECRET_KEYS"):
        unseal({"password": {"$secret": token}}, fields=["password"])


def test_a_secret_that_was_tampered_with_is_refused():
    sealed = seal(PAYLOAD, fields=["password"])
    token = sealed["password"]["$secret"]
    sealed["password"]["$secret"] = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]

    with pytest.raises(SecretUnreadable):
        unseal(sealed, fields=["password"])


# Without cryptography


def test_without_cryptography_the_error_names_the_remedy(no_cryptography):
    sealed = {"password": {"$secret": "x"}}

    for use in (lambda: seal(PAYLOAD, fields=["password"]), lambda: unseal(sealed, fields=["password"])):
        with pytest.raises(SecretsUnavailable, match="crypto"):
            use()


def test_whether_secrets_can_be_used_is_known_beforehand(request):
    assert secrets.available()
    request.getfixturevalue("no_cryptography")
    assert not secrets.available()


def test_a_mask_needs_no_cryptography(no_cryptography):
    assert redact(PAYLOAD, fields=["password"])["password"] == MASK


# Where payloads are shown


def test_redacted_fields_show_only_the_mask_sealed_or_not():
    for payload in (PAYLOAD, seal(PAYLOAD, fields=["password", "card"])):
        assert redact(payload, fields=["password", "card"]) == {"user": 5, "password": MASK, "card": MASK}


def test_secrets_are_hidden_wherever_they_stand_in_an_error_or_result():
    shown = {
        "message": "login hunter2-é failed for 4111",
        "traceback": ["ValueError: " + repr("hunter2-é")],
        "number": 4111,
        "hunter2-é": 1,
        "fine": [5, None, True, 1.5],
    }

    hidden = hide(shown, payload=PAYLOAD, fields=["password", "card"])

    assert hidden == {
        "message": "login [secret] failed for [secret]",
        "traceback": ["ValueError: '[secret]'"],
        "number": MASK,
        MASK: 1,
        "fine": [5, None, True, 1.5],
    }


def test_a_secret_is_hidden_in_the_form_that_repr_gives_it():
    payload = {"key": "line one\nline 'two'"}

    assert "line" not in hide(f"bad key {payload['key']!r}", payload=payload, fields=["key"])


def test_a_short_secret_is_hidden_where_it_stands_alone():
    hidden = hide({"pin": 12, "text": "12 and 121", "other": "12"}, payload={"pin": 12}, fields=["pin"])

    assert hidden == {"pin": MASK, "text": "12 and 121", "other": MASK}


def test_of_two_secrets_the_longer_is_hidden_whole():
    payload = {"a": "abcdef", "b": "abcdefgh"}

    assert hide("x abcdefgh y", payload=payload, fields=["a", "b"]) == "x [secret] y"


@pytest.mark.parametrize("secret", ["", None, True, {}, []])
def test_an_empty_secret_hides_nothing(secret):
    assert hide(["text", "", True, None], payload={"a": secret}, fields=["a"]) == ["text", "", True, None]
