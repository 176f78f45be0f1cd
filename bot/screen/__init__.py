"""What brings cards on screen: when to edit, what was shown, how an end is told."""
