"""What the tests command says of tests that failed."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.run import digest

REPORT = """
<testsuite>
  <testcase classname="tests.app.test_a" name="test_that_passes" />
  <testcase classname="tests.app.test_a" name="test_that_fails[1]">
    <failure message="assert 1 == 2&#10;  more" />
  </testcase>
  <testcase classname="tests.app.test_b" name="test_that_breaks"><error message="{long}" /></testcase>
  <testcase classname="tests.app.test_b" name="test_that_is_left_out"><skipped message="not here" /></testcase>
</testsuite>
""".replace("{long}", "so " * 1_000)


def test_each_test_that_failed_is_one_short_line_with_what_it_said_first():
    failed, broke = digest(ElementTree.fromstring(REPORT))
    assert failed == "tests.app.test_a::test_that_fails[1]: assert 1 == 2 more"
    assert broke.startswith("tests.app.test_b::test_that_breaks: so so so")
    assert len(broke) == 400
