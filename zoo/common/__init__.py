"""What the models share; it knows no model."""
