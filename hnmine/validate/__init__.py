"""What can be known of inputs before hours are spent on them; `stages.validate` asks for it."""
