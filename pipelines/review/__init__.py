"""What a reader asks for on the way: groups, segments to review, re-scoring, two readers."""
