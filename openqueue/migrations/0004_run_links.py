from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0003_worker_lag")]

    operations = [
        migrations.AddField(model_name="run", name="flow_id", field=models.UUIDField(null=True)),
        migrations.AddField(
            model_name="run", name="dedupe_key", field=models.CharField(max_length=200, null=True)
        ),
        migrations.AddField(model_name="run", name="schedule_id", field=models.BigIntegerField(null=True)),
    ]
