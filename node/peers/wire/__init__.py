"""What nodes say to each other: messages, their bytes, their routes."""
