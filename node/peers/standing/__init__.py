"""What peers are worth to us and we to them: scores, places, rations, roles, limits."""
