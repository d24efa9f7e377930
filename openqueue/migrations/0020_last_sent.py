from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openqueue", "0019_depths_and_memory"),
    ]

    operations = [
        # First the new one: MySQL keeps an index for the foreign key at all times.
        migrations.AddIndex(
            model_name="alertdelivery",
            index=models.Index(fields=["channel", "id"], name="openqueue_alertdelivery_last"),
        ),
        migrations.RemoveIndex(model_name="alertdelivery", name="openqueue_alertdelivery_to"),
    ]
