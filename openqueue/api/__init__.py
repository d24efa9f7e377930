"""The REST API: JSON under one include. A view parses, calls control once, and answers."""
