"""Who calls from outside, and who did what."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from openqueue.models import ApiToken, IdempotencyKey
from openqueue_workbench.look_only import LookOnly, pretty


@admin.register(ApiToken)
class ApiTokenAdmin(LookOnly):
    """Tokens of the API, without what their secrets hash to."""

    list_display = ("name", "prefix", "created_at", "created_by", "expires_at", "last_used_at", "revoked_at")
    fields = (*list_display, "shown_scopes", "shown_queues")
    readonly_fields = ("shown_scopes", "shown_queues")

    @admin.display(description="scopes")
    def shown_scopes(self, token: ApiToken) -> str:
        """Show what it may do."""
        return ", ".join(token.scopes)

    @admin.display(description="queues")
    def shown_queues(self, token: ApiToken) -> str:
        """Show the only queues that it sees."""
        return "all" if token.queues is None else ", ".join(token.queues)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(LookOnly):
    """Requests that may be sent again."""

    list_display = ("id", "owner", "key", "created_at")
    fields = ("owner", "key", "created_at", "shown_answer")
    readonly_fields = ("shown_answer",)

    @admin.display(description="answer")
    def shown_answer(self, key: IdempotencyKey) -> SafeString | str:
        """Show what the first request was answered with."""
        return pretty(key.answer)
