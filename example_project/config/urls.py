"""The addresses of the example shop."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from shop import demo_link, views

urlpatterns = [
    path("", views.home, name="home"),
    path("orders/", views.place_order, name="place-order"),
    path("orders/<str:number>/", views.order, name="order"),
    path("invoices/<str:number>/", views.invoice, name="invoice"),
    path("demo/<str:token>/", demo_link.enter, name="demo-link"),  # only while DEBUG, only from this machine
    path("admin/", admin.site.urls),
    path("openqueue/", include("openqueue.api.urls")),  # closed: `manage.py openqueue_tokens create` opens it
]
