"""What the compiler and the responder share: maintenance windows, their recurrence, and the file that carries them."""
