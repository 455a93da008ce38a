"""One run of a function, where its code is: inside an isolate."""
