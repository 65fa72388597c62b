"""What makes a source model a target model: where an arm starts, what it trains, and how vocabularies meet."""
