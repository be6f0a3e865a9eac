"""A model fine-tuned on a user's own labels; `training` is built on the same parts."""
