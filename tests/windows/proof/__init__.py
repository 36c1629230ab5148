"""The kit by which the owner of a real Windows machine shows what works there, and the reader of what comes back."""
