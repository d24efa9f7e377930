"""OpenQueue behind the interfaces of others."""
