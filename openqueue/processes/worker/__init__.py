"""The worker process: intake claims, the executor runs, the recorder settles, the heartbeat keeps the lease."""
