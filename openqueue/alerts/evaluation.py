"""One look at all rules: alerts open, stand and end, and what is to be said of them is written with them.

Any number of processes look. What was read is written under the locks of the rules, and only where no later look has
been written: so that one alert opens once, and an old look undoes no newer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Max, Q

from openqueue.alerts import kinds, messages
from openqueue.alerts.judging import Fault, Faults, judge
from openqueue.alerts.pulses import Pulses
from openqueue.alerts.readings import Readings, read
from openqueue.models import Alert, AlertChannel, AlertDelivery, AlertRule
from openqueue.store import store

CLOCK_SET_BACK: Final = timedelta(minutes=5)
"""A rule that was judged for so far ahead was judged by a clock that has been set back since."""
CHUNK: Final = 200
Key = tuple[int, str]


def active() -> list[AlertRule]:
    """Return the rules that are not paused, in one statement."""
    return list(AlertRule.objects.using(store().alias).filter(paused_at=None))


def evaluate(rules: Sequence[AlertRule], *, pulses: Pulses, now: datetime | None = None) -> int:
    """Look at these rules once; return how many alerts opened or ended. A number of statements that is bounded."""
    at = store().clock(now)
    found = read(rules, at=at, pulses=pulses)
    judged = {rule.pk: faults for rule in rules if (faults := judge(rule, found)) is not None}
    return write(judged, found) if judged else 0


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one look changes."""

    made: list[Alert] = field(default_factory=list)
    """Pending, or open at once."""
    opened: list[Alert] = field(default_factory=list)
    """Those that were pending."""
    seen: list[Alert] = field(default_factory=list)
    """Those that go on, and say something else by now."""
    ended: list[Alert] = field(default_factory=list)
    forgotten: list[Alert] = field(default_factory=list)
    """Pending ones whose condition holds no more."""

    @property
    def told(self) -> list[tuple[Alert, str]]:
        """Return what somebody is to hear of."""
        opened = [*(alert for alert in self.made if alert.opened_at), *self.opened]
        return [(alert, messages.OPENED) for alert in opened] + [
            (alert, messages.ENDED) for alert in self.ended
        ]


def write(judged: Mapping[int, Faults], found: Readings) -> int:
    """Write what a look has found, of the rules for which it is the newest; return how many alerts opened or ended."""
    at = found.at
    with store().writing():
        rules = _locked(judged, at)
        if not rules:
            return 0
        standing = Alert.objects.using(store().alias).filter(rule_id__in=list(rules), standing=1)
        open_now: dict[int, dict[str, Alert]] = {}
        for alert in standing:
            open_now.setdefault(alert.rule_id or 0, {})[alert.subject] = alert
        cooling = _cooling(rules.values(), at)
        changes = Changes()
        for pk, rule in rules.items():
            _compare(rule, judged[pk], open_now.get(pk, {}), at=at, cooling=cooling, changes=changes)
        _save(changes)
        _tell(changes, rules, at)
        AlertRule.objects.using(store().alias).filter(pk__in=list(rules)).update(evaluated_at=at)
    return len(changes.told)


def _locked(judged: Mapping[int, Faults], at: datetime) -> dict[int, AlertRule]:
    """Lock these rules in the order of their ids; return those that nobody judged for this moment or later."""
    older = Q(evaluated_at=None) | Q(evaluated_at__lt=at) | Q(evaluated_at__gt=at + CLOCK_SET_BACK)
    rules = AlertRule.objects.using(store().alias).filter(older, pk__in=list(judged), paused_at=None)
    if store().connection.features.has_select_for_update:
        rules = rules.select_for_update()
    return {rule.pk: rule for rule in rules.order_by("pk")}


def _cooling(rules: Iterable[AlertRule], at: datetime) -> dict[Key, datetime]:
    """Return when subjects last opened, as far back as the longest cooldown goes."""
    longest = max(rule.cooldown for rule in rules)
    if not longest:
        return {}
    recent: Any = Alert.objects.using(store().alias).filter(opened_at__gt=at - timedelta(seconds=longest))
    rows = recent.order_by().values_list("rule_id", "subject").annotate(last=Max("opened_at"))
    return {(rule, subject): last for rule, subject, last in rows if rule is not None}


def _compare(
    rule: AlertRule,
    faults: Faults,
    standing: Mapping[str, Alert],
    *,
    at: datetime,
    cooling: Mapping[Key, datetime],
    changes: Changes,
) -> None:
    for subject, fault in faults.items():
        alert = standing.get(subject)
        if alert is None:
            alert = _made(rule, subject, fault, at)
            if _is_ripe(rule, alert, at, cooling):
                alert.opened_at = at
            changes.made.append(alert)
            continue
        is_news = (alert.value, alert.text) != (fault.value, fault.text)
        alert.value, alert.text = fault.value, fault.text
        if alert.opened_at is None and _is_ripe(rule, alert, at, cooling):
            alert.opened_at = at
            changes.opened.append(alert)
        elif is_news:
            changes.seen.append(alert)
    for subject, alert in standing.items():
        if subject in faults:
            continue
        if alert.opened_at is None:
            changes.forgotten.append(alert)
        else:
            alert.standing, alert.ended_at = None, at
            changes.ended.append(alert)


def _made(rule: AlertRule, subject: str, fault: Fault, at: datetime) -> Alert:
    return Alert(
        rule=rule,
        subject=subject,
        standing=1,
        rule_name=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        value=fault.value,
        text=fault.text[:500],
        began_at=at,
    )


def _is_ripe(rule: AlertRule, alert: Alert, at: datetime, cooling: Mapping[Key, datetime]) -> bool:
    """Tell whether the condition has held for long enough, and the last alert of it is long enough ago."""
    if at - alert.began_at < timedelta(seconds=rule.hold):
        return False
    last = cooling.get((rule.pk, alert.subject))
    return last is None or at - last >= timedelta(seconds=rule.cooldown)


def _save(changes: Changes) -> None:
    alerts = Alert.objects.using(store().alias)
    if changes.made:
        alerts.bulk_create(changes.made, batch_size=CHUNK)
    if changed := [*changes.opened, *changes.seen]:
        alerts.bulk_update(changed, ["value", "text", "opened_at"], batch_size=CHUNK)
    if changes.ended:
        ids = [alert.pk for alert in changes.ended]
        alerts.filter(pk__in=ids).update(standing=None, ended_at=changes.ended[0].ended_at)
    if changes.forgotten:
        alerts.filter(pk__in=[alert.pk for alert in changes.forgotten]).delete()


def _tell(changes: Changes, rules: Mapping[int, AlertRule], at: datetime) -> None:
    """Write what is to be sent, in the transaction of what it tells of."""
    told = [
        (alert, event)
        for alert, event in changes.told
        if event == messages.OPENED
        or (rules[alert.rule_id or 0].tells_end and kinds.KINDS[alert.kind].tells_end)
    ]
    if not told:
        return
    concerned = _channels({alert.rule_id or 0 for alert, _ in told})
    AlertDelivery.objects.using(store().alias).bulk_create(
        [
            AlertDelivery(
                alert=alert,
                channel=channel,
                channel_name=channel.name,
                event=event,
                facts=messages.facts(alert, event=event, rule=rules[alert.rule_id or 0]),
                due_at=at,
                created_at=at,
                log=[],
            )
            for alert, event in told
            for channel in concerned.get(alert.rule_id or 0, ())
        ],
        batch_size=CHUNK,
    )


def _channels(rules: Iterable[int]) -> dict[int, list[AlertChannel]]:
    """Return whom these rules concern, without those that are paused, in one statement."""
    links = AlertRule.channels.through.objects.using(store().alias).filter(
        alertrule_id__in=list(rules), alertchannel__paused_at=None
    )
    found: dict[int, list[AlertChannel]] = {}
    for link in links.select_related("alertchannel").order_by("alertchannel_id"):
        found.setdefault(link.alertrule_id, []).append(link.alertchannel)
    return found
