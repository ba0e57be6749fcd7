"""Where others look for models: versions and aliases are mirrored there."""
