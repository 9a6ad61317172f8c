"""What all commands print with: standard output, columns, wording."""
