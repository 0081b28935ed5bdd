"""The pure engine: what rooms mean, which rules hold, who is told and why; time and data come in as arguments."""
