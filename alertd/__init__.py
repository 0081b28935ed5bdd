"""alertd watches Twilio's Video Log Analyzer and alerts people on call by rules."""

__version__ = "0.1.0"
