"""What a user declares, and what apply makes of it."""
