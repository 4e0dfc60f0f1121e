"""What a file holds and where its bytes went, for people and for programs."""
