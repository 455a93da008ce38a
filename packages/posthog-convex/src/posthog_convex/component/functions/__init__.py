"""The component's functions and tables; each module's name is part of its functions' paths."""
