"""Workers in any language: what they may ask of OpenQueue (docs: reference/worker-protocol)."""
