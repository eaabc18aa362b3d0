"""How clearly the last minutes differ from what came before: window means and the scales they are measured in."""
