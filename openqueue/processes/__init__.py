"""What is alive: the worker, and the sweeps. A process is a `step`; the loop is written once."""
