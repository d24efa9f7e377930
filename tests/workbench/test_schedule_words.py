from __future__ import annotations

import pytest

from openqueue.cron import read
from openqueue_workbench.pages.schedule_words import cron


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0 * * * *", "every hour at :00"),
        ("5,20 * * * *", "every hour at :05 and :20"),
        ("15 */2 * * *", "every 2 hours at :15"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("0 9-17 * * *", "every hour at :00 from 09:00 to 17:59"),
        ("0 9 * * *", "at 09:00, every day"),
        ("0 9,12,18 * * *", "at 09:00, 12:00 and 18:00, every day"),
        ("30 2 1 * *", "at 02:30, on day 1 of the month"),
        ("0 0 l * *", "at 00:00, on the last day of the month"),
        ("7 3 1,15 * 0,6", "at 03:07, on days 1 and 15 of the month or on Saturday and Sunday"),
        ("0 12 * * 1#1", "at 12:00, on the first Monday of the month"),
        ("0 12 * * l5", "at 12:00, on the last Friday of the month"),
        ("@yearly", "at 00:00, on day 1 of the month, in January"),
        ("1-50/7 1,5,9,13 * * *", "at :01, :08, :15, :22, :29, :36, :43 and :50 of the hours 1, 5, 9 and 13"),
    ],
)
def test_cron_is_said_in_words(text, said):
    assert cron(read(text)) == said
