"""What is told to the outside: logs and traces."""
