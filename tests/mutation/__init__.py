"""Changes single places of the rooms that promises rest on, and counts which changes the tests notice."""
