"""What operators see and do: one service layer for the commands, and later the API and the Workbench."""
