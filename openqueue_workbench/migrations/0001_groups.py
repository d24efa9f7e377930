"""Two groups to begin with: who looks on, and who operates. They are the project's from then on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, router

VIEWERS, OPERATORS = "OpenQueue viewers", "OpenQueue operators"
LOOK = (
    "view_run", "view_queuestate", "view_worker", "view_outbox", "view_schedule", "view_flow", "view_errorgroup",
    "view_alert", "view_alertrule", "view_alertchannel", "view_auditlog",
)  # fmt: skip
"""Everything but what runs carry."""
OPERATE = (
    "view_payload", "trigger_run", "cancel_run", "retry_run", "promote_run", "discard_run", "pause_queue",
    "clear_queue", "control_worker", "flush_outbox", "pause_schedule", "trigger_schedule", "cancel_flow", "retry_flow",
    "triage_errorgroup", "change_alert",
)  # fmt: skip
"""What an operator on call needs beside that. To change schedules, rules of alerts or tokens is given one by one."""


def make(apps: Any, editor: Any) -> None:
    """Make the groups with their permissions, where the project keeps its users."""
    alias = editor.connection.alias
    group_model = apps.get_model("auth", "Group")
    if not router.allow_migrate_model(alias, group_model):  # the project keeps its users elsewhere
        return
    app = apps.get_app_config("openqueue")
    # Django makes permissions when all migrations are done; these are needed now.
    before = getattr(app, "models_module", None)
    app.models_module = True
    create_permissions(app, verbosity=0, using=alias, apps=apps)
    app.models_module = before
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, codes in ((VIEWERS, LOOK), (OPERATORS, LOOK + OPERATE)):
        group, is_new = group_model.objects.using(alias).get_or_create(name=name)
        if is_new:
            group.permissions.set(permissions.filter(content_type__app_label="openqueue", codename__in=codes))


class Migration(migrations.Migration):
    """The groups."""

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("openqueue", "0017_alerts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
