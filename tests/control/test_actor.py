from __future__ import annotations

import getpass

import pytest

from openqueue.control.actor import Actor


def test_the_actor_of_a_command_is_the_user_of_the_operating_system():
    assert Actor.of_system().name == getpass.getuser()


def test_a_user_id_without_a_name_is_still_somebody(monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert Actor.of_system().name == "uid 54321"


@pytest.mark.parametrize("name", ["", " ", "a" * 151, "ada\nroot"])
def test_a_name_that_the_record_cannot_show_is_refused(name):
    with pytest.raises(ValueError, match="1 to 150 printable characters"):
        Actor(name=name)
