from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openqueue", "0020_last_sent"),
    ]

    operations = [
        migrations.AddField(
            model_name="outbox",
            name="heard",
            # Kept by the database: its own statements, and a release before this one, insert rows without it.
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
