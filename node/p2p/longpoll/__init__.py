"""Long polls: messages for peers that cannot be dialled, and the polls that fetch ours."""
