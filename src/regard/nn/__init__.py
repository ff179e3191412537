"""Building blocks of models. They know neither text nor recipes."""
