"""A project whose admin is django-unfold's."""

from __future__ import annotations

from django.urls import path
from unfold.sites import UnfoldAdminSite

from openqueue_workbench import sites

site = UnfoldAdminSite(name="unfolded")
sites.register(site)
urlpatterns = [path("admin/", site.urls)]
