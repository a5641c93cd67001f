"""What people read before they book: questions, doctors' answers, articles, news and tags."""
