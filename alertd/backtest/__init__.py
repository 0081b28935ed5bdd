"""Going over the past: what rules would have fired and sent, what that costs people, and the page that shows it."""
