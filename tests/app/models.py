"""Rows of a made-up project: something for tasks to read, to write and to roll back."""

from __future__ import annotations

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)


class Note(models.Model):
    """What a task body leaves behind, so that a test in another process can see that it ran."""

    text = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
