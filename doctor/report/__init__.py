"""What was found, as JSON, text and one HTML page."""
