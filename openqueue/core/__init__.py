"""What decides: transitions, trigger, announcing."""
