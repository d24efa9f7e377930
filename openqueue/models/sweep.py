"""When each sweep last ran, anywhere."""

from __future__ import annotations

from django.db import models

from openqueue.models.fields import InstantField


class Sweep(models.Model):
    """One kind of sweep. Any number of processes offer to do it; this row says whether somebody just did."""

    name = models.CharField(max_length=40, primary_key=True)
    last_at = InstantField()
    last_count = models.IntegerField(default=0)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
