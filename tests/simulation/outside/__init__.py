"""What is outside the program: Vast.ai, a bucket, Telegram and machines, in virtual time."""
