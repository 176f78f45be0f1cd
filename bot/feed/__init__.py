"""What comes in: polling, the inbox, and what a message brings."""
