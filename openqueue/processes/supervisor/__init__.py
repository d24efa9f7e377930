"""One process that keeps N worker processes alive and gives back at once what a dead one held."""
