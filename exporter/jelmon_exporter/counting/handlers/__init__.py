"""What each kind of event changes, one module per subject."""
