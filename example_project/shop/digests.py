"""Who wants a weekly digest, and when: a schedule for each customer, and no table of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openqueue.models import Schedule
from shop.tasks import send_digest

if TYPE_CHECKING:
    from openqueue import ScheduleHandle
    from shop.models import Customer


def subscribe(customer: Customer, *, hour: int = 8, zone: str = "Europe/Berlin") -> ScheduleHandle:
    """Send a digest each Monday at this hour of the customer's day; called again, it changes the hour."""
    return send_digest.schedules.create(
        cron=f"0 {hour} * * MON",
        timezone=zone,
        key=key_of(customer),
        payload={"customer_id": customer.pk},
        overlap="skip",
        jitter=600,  # a thousand digests at eight o'clock are spread over ten minutes
    )


def unsubscribe(customer: Customer) -> bool:
    """Send no more digests; say whether there were any."""
    try:
        send_digest.schedules.get(key_of(customer)).delete()
    except Schedule.DoesNotExist:
        return False
    return True


def key_of(customer: Customer) -> str:
    return f"customer:{customer.pk}"
