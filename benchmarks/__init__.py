"""One file a claim, each with its peers in the same run; results/ keeps what was measured."""
