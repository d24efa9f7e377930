from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openqueue", "0002_storage_parameters")]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="lag",
            field=models.FloatField(db_default=0.0, default=0.0),
        )
    ]
