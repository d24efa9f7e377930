"""Alerts, as operators see and change them: channels, rules, what fired and who was told; each act is on record."""
