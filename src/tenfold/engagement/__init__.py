"""What the product does with events, in slices from bottom to top."""
