"""Alerts: rules that are looked at again and again, and messages to those whom they concern."""
