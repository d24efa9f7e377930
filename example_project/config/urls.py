"""The addresses of the example shop."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("orders/", views.place_order, name="place-order"),
    path("orders/<str:number>/", views.order, name="order"),
    path("invoices/<str:number>/", views.invoice, name="invoice"),
    path("admin/", admin.site.urls),
]
