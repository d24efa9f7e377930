"""How the admin shows rows that nobody may write: bounded pages in the order of the key."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from openqueue.conf import config
from openqueue.control import run_ids
from openqueue.errors import UnclearRun

PAGE: Final = 100
REACH: Final = 10_000
"""Rows that paging reaches: a count and an OFFSET beyond would walk history."""


class NewestPages(Paginator):  # type: ignore[type-arg]  # any row
    """Pages of the newest rows only."""

    @cached_property
    def count(self) -> int:
        """Count up to REACH."""
        rows: Any = self.object_list
        return int(rows.order_by()[:REACH].count())


class LightList(ChangeList):
    """A list that leaves large columns where they are."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the rows of the list."""
        return super().get_queryset(*args, **kwargs).defer(*self.model_admin.heavy)  # type: ignore[attr-defined]  # ours


@method_decorator(require_safe, name="changelist_view")
@method_decorator(require_safe, name="changeform_view")
class LookOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # any model
    """No adding, changing, deleting, no actions; a POST is refused. In the order of the key, and not sortable."""

    actions = None
    ordering = ("-pk",)
    sortable_by = ()
    list_per_page = PAGE
    list_max_show_all = PAGE
    show_full_result_count = False
    paginator = NewestPages
    heavy: ClassVar[tuple[str, ...]] = ()
    run_column: ClassVar[str] = ""
    """Where a run's id stands; the search box looks for it alone."""

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the list."""
        return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one row."""
        return super().changeform_view(request, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Keep the tables out of the sidebar, which has the pages; the page of the runtimes' health leads to them."""
        return {}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read from the database that holds OpenQueue's tables."""
        return super().get_queryset(request).using(config.database)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the light list."""
        return LightList

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the search box where rows belong to runs."""
        return (self.run_column,) if self.run_column else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by a run's id or its beginning, through the index."""
        if not search_term.strip():
            return queryset, False
        try:
            lowest, highest = run_ids.bounds(search_term)
        except UnclearRun:
            return queryset.none(), False
        return queryset.filter(
            **{f"{self.run_column}__gte": lowest, f"{self.run_column}__lte": highest}
        ), False

    search_help_text = "A run's id, or at least its first 8 characters."

    @admin.display(description="run")
    def run_link(self, row: Any) -> SafeString:
        """Link to the run without asking for it."""
        url = reverse("admin:openqueue_run_change", args=[row.run_id])
        return format_html('<a href="{}">{}</a>', url, row.run_id)


def pretty(value: Any) -> SafeString | str:
    """Return JSON to read."""
    if value is None:
        return "-"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
