"""Measures OpenQueue with the settings in use, on the machine in use."""
