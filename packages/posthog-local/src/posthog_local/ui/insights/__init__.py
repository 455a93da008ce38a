"""The pages that ask about many events at once. A question stands in the page's address."""
