"""A project with an admin site of its own."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import path

from openqueue_workbench import sites

backoffice = AdminSite(name="backoffice")
sites.register(backoffice)
urlpatterns = [path("backoffice/", backoffice.urls)]
