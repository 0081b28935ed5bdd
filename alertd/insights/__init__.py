"""Twilio's side: asking its Video Log Analyzer for rooms and participants."""
