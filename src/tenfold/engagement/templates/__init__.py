"""What messages say: definitions and rendering."""
