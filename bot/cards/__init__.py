"""What messages say and offer: pure functions of what is known."""
