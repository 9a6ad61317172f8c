"""Extensions that follow a run: its progress, its history, its outcome."""
