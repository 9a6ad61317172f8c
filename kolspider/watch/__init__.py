"""What a person sees of a run: live progress, history, the closing table."""
