"""Series and label values while they are being counted."""
