"""Tasks that are defined by rows: their bodies run in workers in any language (docs: reference/worker-protocol)."""
