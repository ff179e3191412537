"""Parts that models are made of; they know neither text nor recipes."""
