"""What scrapes and people see: the merged view, the text formats, the overview and real-time keys."""
