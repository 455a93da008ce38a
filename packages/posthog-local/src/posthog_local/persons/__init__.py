"""Persons and groups: whose an event is, which ids are one person, what is known of them."""
