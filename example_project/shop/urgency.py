"""Who goes first. A runtime without priorities refuses them, so the shop asks for none there."""

from __future__ import annotations

from django.conf import settings

_LEVEL = 10 if getattr(settings, "SHOP_PRIORITIES", True) else 0
AT_ONCE = _LEVEL  # a customer is looking at the screen
WHENEVER = -_LEVEL  # nobody waits for it
