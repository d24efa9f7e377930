"""What every page has: a place in the admin, a reader with rights, parts that stay fresh, and acts."""
