"""What the user asked for: arguments, settings, secrets."""
